"""Style `stream` for frames of a fixed size: the graph as islands with elastic links."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dwell.hls.qmodel import Conv2D, Dense, QModel
from dwell.hls.rtl.kernel import Kernel, print_kernel
from dwell.hls.rtl.kernels import check_kernel
from dwell.hls.rtl.names import identifier, unique
from dwell.hls.rtl.netlist import Netlist, Port, header, type_entry
from dwell.hls.rtl.options import RtlOptions
from dwell.hls.rtl.stream.blocks import Entry, Fifo, Island, Plan, Reduce, Repeat, Window
from dwell.hls.rtl.stream.clocks import sized
from dwell.hls.rtl.stream.lower import lower_stream
from dwell.hls.rtl.stream.text import bits_of
from dwell.hls.rtl.stream.top import Shell, print_stream


def build_stream(model: QModel, options: RtlOptions) -> Netlist:
    """Lower `model`, hold its kernels against the interpreter, and print the modules.

    Raises `UnsupportedLayerError` for a layer that the style cannot carry, `ConfigError` for a bad option,
    `ResourceError` for a model that is too large, `InternalError` if a kernel disagrees with the interpreter.
    """
    plan, timing = sized(lower_stream(model, options))
    islands = [b for b in plan.blocks if isinstance(b, Island)]
    checked = sum(_checked(island, model) for island in islands)
    shell = _shell(model, plan, islands)
    modules = {f"{shell.top}.v": print_stream(plan, shell)}
    for kernel in _kernels(islands):
        name = shell.modules[kernel.name]
        modules[f"{name}.v"] = print_kernel(kernel, name, shell.header)
    frame_cycles = timing.frame_cycles
    return Netlist(
        top=shell.top,
        modules=modules,
        input=shell.input,
        output=shell.output,
        latency_cycles=timing.latency,
        ii_cycles=-(-frame_cycles // plan.links[plan.blocks[0].outputs[0]].beats),
        frame_cycles=frame_cycles,
        layers=tuple(_layer(model, plan, shell, island) for island in islands),
        checked_codes=checked,
        latency_exact=timing.exact,
        fifo_depth=max((b.depth for b in plan.blocks if isinstance(b, Fifo)), default=0),
    )


def _shell(model: QModel, plan: Plan, islands: list[Island]) -> Shell:
    top = identifier(model.name)
    kernels = _kernels(islands)
    modules = unique([f"{top}_{identifier(kernel.name)}" for kernel in kernels])
    entry = plan.blocks[0]
    assert isinstance(entry, Entry)
    return Shell(
        top=top,
        header=header(model, "stream"),
        input=_port(model, model.input, plan, entry.output),
        output=_port(model, model.output, plan, plan.result),
        modules={kernel.name: module for kernel, module in zip(kernels, modules, strict=True)},
    )


def _port(model: QModel, tensor: str, plan: Plan, link: str) -> Port:
    frame = plan.links[link]
    return Port(tensor, model.tensors[tensor].type, frame.lanes * len(frame.spans), frame.row_beats)


def _kernels(islands: list[Island]) -> list[Kernel]:
    kernels = []
    for island in islands:
        if isinstance(island.front, Reduce) and island.front.lanes:
            kernels.append(island.front.lanes)
        if island.kernel:
            kernels.append(island.kernel)
    return kernels


def _checked(island: Island, model: QModel) -> int:
    """Codes for which an island's kernel was held against the interpreter."""
    if island.kernel is None:
        return 0
    nodes = island.nodes if not isinstance(island.front, Repeat | Reduce) else island.nodes[1:]
    return check_kernel(island.kernel, nodes, model.tensors)


def _layer(model: QModel, plan: Plan, shell: Shell, island: Island) -> Mapping[str, Any]:
    head, tail = island.nodes[0], island.nodes[-1]
    frame, out = plan.links[island.inputs[0]], plan.links[island.output]
    window = island.front.geometry if isinstance(island.front, Window) else None
    fifos = [b for b in plan.blocks if isinstance(b, Fifo)]
    kernel = island.kernel
    circuit = kernel.circuit if kernel else None
    return {
        "name": head.name,
        "kind": type(head).__name__,
        "nodes": [f"{type(node).__name__} {node.name}" for node in island.nodes],
        "module": shell.modules[kernel.name] if kernel else None,
        "style": "stream",
        "lanes": out.lanes,
        "in_type": type_entry(model.tensors[head.inputs[0]].type),
        "weight_type": type_entry(head.weight_type) if isinstance(head, Conv2D | Dense) else None,
        "out_type": type_entry(model.tensors[tail.output].type),
        "wires": {"in_bits": frame.bits, "out_bits": bits_of(out.spans) * out.lanes},
        "window": list(window.kernel) if window else None,
        "kernel": {
            "kind": "adders",
            "adders": circuit.adders if circuit else 0,
            "depth": circuit.depth() if circuit else 0,
            "stages": kernel.latency if kernel else 0,
        },
        "ii_cycles": 1,
        "latency_cycles": island.latency,
        "fifo_depth": max((f.depth for f in fifos if f.output in island.inputs), default=0),
        "line_buffer_bits": window.reach[0] * frame.bits * frame.row_beats if window else 0,
        "lut_estimate": None,
    }
