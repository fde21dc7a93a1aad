"""Folded kernels in a stream of frames of any size: a chain of valid convolutions, one pixel every II clocks.

The front admits a pixel every II clocks, II being the largest reuse factor. Behind it nothing waits: line buffers
and windows as in a chain of adder graphs, and every folded kernel is done with a window when the next one comes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dwell.hls.qmodel import Conv2D, Node, QModel, Tensor
from dwell.hls.rtl.circuit.builder import Range
from dwell.hls.rtl.folded.chain_text import ChainShell, ChainStage, print_chain
from dwell.hls.rtl.folded.dense import layer_entry
from dwell.hls.rtl.folded.folding import Folding, require_foldings
from dwell.hls.rtl.folded.layer import FoldedLayer, print_layer
from dwell.hls.rtl.folded.reload_map import plan_loads, weights_entry
from dwell.hls.rtl.folded.window_kernel import check_window, window_layer, window_matrix
from dwell.hls.rtl.kernel.make import check_kernel, make_kernel, print_kernel
from dwell.hls.rtl.lowering import Window
from dwell.hls.rtl.netlist import Netlist, Port, header, type_entry
from dwell.hls.rtl.options import RtlOptions
from dwell.hls.rtl.support import check_chain, layer_groups
from dwell.hls.rtl.verilog.names import identifier, unique


@dataclass(frozen=True)
class _Made:
    stage: ChainStage
    nodes: tuple[Node, ...]
    compared: int


def build_folded_chain(model: QModel, options: RtlOptions) -> Netlist:
    """A chain of valid convolutions of stride 1, those with a reuse factor above 1 folded.

    Raises `UnsupportedLayerError`, `ConfigError` (reuse factors that do not exist) or `ResourceError`,
    `InternalError` if what was lowered disagrees with the interpreter.
    """
    check_chain(model, options)
    top, head = identifier(model.name), header(model, options.style)
    made = _stages(model, options, top)
    stages = tuple(m.stage for m in made)
    layers = [s.layer for s in stages if s.layer is not None]
    loads = plan_loads(layers) if options.reload and layers else None
    entry, last = model.tensors[model.input], model.tensors[model.output]
    shell = ChainShell(
        top, head, stages,
        Port(entry.name, entry.type, entry.shape[-1], 0), Port(last.name, last.type, last.shape[-1], 0),
        options.max_width, loads,
    )  # fmt: skip
    modules = {f"{top}.v": print_chain(shell)}
    for stage in stages:
        if stage.layer is not None:
            modules |= print_layer(stage.layer, top, head, loads)
        elif stage.kernel is not None:
            modules[f"{stage.module}.v"] = print_kernel(stage.kernel, stage.module, head)
    return Netlist(
        top=top, modules=modules, input=shell.input, output=shell.output,
        latency_cycles=shell.latency, ii_cycles=shell.interval, frame_cycles=0,
        layers=tuple(_entry(model, m, shell) for m in made),
        checked_codes=sum(m.compared for m in made),
        max_width=options.max_width, fifo_depth=1 << shell.depth_log2,
        weights=weights_entry(layers, loads) if loads else None,
    )  # fmt: skip


def chain_layers(model: QModel, options: RtlOptions) -> list[FoldedLayer]:
    """The folded layers of a chain, from input to output."""
    made = _stages(model, options, identifier(model.name))
    return [m.stage.layer for m in made if m.stage.layer is not None]


def _stages(model: QModel, options: RtlOptions, top: str) -> list[_Made]:
    groups = layer_groups(model)
    convs = [g[0] for g in groups if isinstance(g[0], Conv2D)]
    foldings = require_foldings([window_matrix(c) for c in convs], options)
    names = unique([group[0].name for group in groups])
    entry = model.tensors[model.input]
    pixel = (Range(entry.type.lo, entry.type.hi, entry.type.frac),) * entry.shape[-1]
    made = []
    for group, name in zip(groups, names, strict=True):
        made.append(_stage(model, options, group, pixel, f"{top}_{name}", foldings))
        pixel = made[-1].stage.result
    return made


def _stage(
    model: QModel,
    options: RtlOptions,
    nodes: Sequence[Node],
    pixel: tuple[Range, ...],
    module: str,
    foldings: dict[str, Folding],
) -> _Made:
    head = nodes[0]
    window = None
    taps = list(pixel)
    if isinstance(head, Conv2D):
        window = Window(head.weight.shape[0], head.weight.shape[1], head.dilation)
        taps = taps * (window.height * window.width)
    if isinstance(head, Conv2D) and options.reuse_of(head.name) > 1:
        layer = window_layer(nodes, model.tensors, taps, foldings[head.name], options, module, rigid=True)
        stage = ChainStage(head.name, module, window, pixel, layer, None)
        return _Made(stage, tuple(nodes), check_window(layer, nodes, model.tensors))
    tensors = model.tensors
    kernel = make_kernel(nodes, tensors, taps, cutoff=options.latency_cutoff)
    stage = ChainStage(head.name, module, window, pixel, None, kernel)
    return _Made(stage, tuple(nodes), check_kernel(kernel, nodes, tensors))


def _entry(model: QModel, made: _Made, shell: ChainShell) -> dict[str, Any]:
    stage, nodes = made.stage, made.nodes
    head, tail = nodes[0], nodes[-1]
    tensors: dict[str, Tensor] = dict(model.tensors)
    window = stage.window
    width = shell.width_at(stage)
    entry: dict[str, Any] = {
        "name": stage.name,
        "kind": type(head).__name__,
        "nodes": [f"{type(node).__name__} {node.name}" for node in nodes],
        "style": "stream",
        "in_type": type_entry(tensors[head.inputs[0]].type),
        "weight_type": type_entry(head.weight_type) if isinstance(head, Conv2D) else None,
        "out_type": type_entry(tensors[tail.output].type),
        "wires": {"in_bits": stage.pixel_bits, "out_bits": sum(s.bits for s in stage.result)},
        "window": [window.height, window.width] if window else None,
        "line_buffer_bits": window.rows * stage.pixel_bits * width if window else 0,
        "lut_estimate": None,
    }
    if stage.layer is not None:
        return entry | layer_entry(stage.layer) | {"latency_cycles": stage.latency}
    assert stage.kernel is not None
    return entry | {
        "module": stage.module,
        "kernel": {
            "kind": "adders", "adders": stage.kernel.circuit.adders,
            "depth": stage.kernel.circuit.depth(), "stages": stage.kernel.latency,
        },
        "ii_cycles": 1, "latency_cycles": stage.latency, "fifo_depth": 0,
    }  # fmt: skip
