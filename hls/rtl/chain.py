"""Chains of layers without a stall: pixels streamed through adder-graph kernels, frames of any size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dwell.hls.qmodel import Conv2D, QModel, Tensor
from dwell.hls.rtl.check import check_stages
from dwell.hls.rtl.circuit.builder import Range
from dwell.hls.rtl.kernel.kernel import print_kernel
from dwell.hls.rtl.lowering import Stage, lower
from dwell.hls.rtl.netlist import Netlist, Port, header, type_entry
from dwell.hls.rtl.options import RtlOptions
from dwell.hls.rtl.tops import Shell, print_top
from dwell.hls.rtl.verilog.names import identifier, unique


def build_chain(model: QModel, options: RtlOptions) -> Netlist:
    """Lower `model`, check the circuits against its interpreter, and print the modules.

    Raises `UnsupportedLayerError` for a layer that the style cannot carry, `ConfigError` for a bad option,
    `ResourceError` for a model that is too large, `InternalError` if the circuits disagree with the
    interpreter.
    """
    stages = lower(model, options)
    compared = check_stages(model, stages)
    top = identifier(model.name)
    shell = Shell(
        top=top,
        header=header(model, options.style),
        stages=stages,
        modules=tuple(f"{top}_{name}" for name in unique([stage.name for stage in stages])),
        input_bits=stages[0].pixel_bits,
        output_type=model.tensors[model.output].type,
        max_width=options.max_width,
    )
    modules = {f"{shell.top}.v": print_top(shell)}
    for stage, module in zip(shell.stages, shell.modules, strict=True):
        modules[f"{module}.v"] = print_kernel(stage.kernel, module, shell.header)
    return Netlist(
        top=top,
        modules=modules,
        input=_port(model.tensors[model.input], stages[0].pixel),
        output=_port(model.tensors[model.output], stages[-1].result),
        latency_cycles=shell.latency,
        ii_cycles=1,
        frame_cycles=0,
        layers=tuple(_layer(model, shell, stage, index) for index, stage in enumerate(stages)),
        checked_codes=compared,
        max_width=options.max_width,
        fifo_depth=1 << shell.depth_log2,
    )


def _port(tensor: Tensor, beat: Sequence[Range]) -> Port:
    return Port(tensor.name, tensor.type, len(beat), 0)


def _layer(model: QModel, shell: Shell, stage: Stage, index: int) -> dict[str, Any]:
    head, tail = stage.nodes[0], stage.nodes[-1]
    window = stage.window
    width = shell.max_width - sum(s.window.columns for s in shell.stages[:index] if s.window)
    return {
        "name": stage.name,
        "kind": stage.kernel.kind,
        "nodes": [f"{type(node).__name__} {node.name}" for node in stage.nodes],
        "module": shell.modules[index],
        "style": "stream",
        "in_type": type_entry(model.tensors[head.inputs[0]].type),
        "weight_type": type_entry(head.weight_type) if isinstance(head, Conv2D) else None,
        "out_type": type_entry(model.tensors[tail.output].type),
        "wires": {"in_bits": stage.pixel_bits, "out_bits": sum(s.bits for s in stage.result)},
        "window": [window.height, window.width] if window else None,
        "kernel": {
            "kind": "adders",
            "adders": stage.kernel.circuit.adders,
            "depth": stage.kernel.circuit.depth(),
            "stages": stage.kernel.latency,
        },
        "ii_cycles": 1,
        "latency_cycles": stage.latency,
        "fifo_depth": 0,
        "line_buffer_bits": window.rows * stage.pixel_bits * width if window else 0,
        "lut_estimate": None,
    }
