"""Style `stream` for frames of a fixed size: the graph as islands with elastic links."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dwell.errors import InternalError
from dwell.hls.qmodel import Conv2D, Dense, QModel
from dwell.hls.rtl.design.top import Shell, print_stream
from dwell.hls.rtl.folded.dense import layer_entry
from dwell.hls.rtl.folded.layer import FoldedLayer, Loads, print_layer
from dwell.hls.rtl.folded.reload_map import plan_loads, weights_entry
from dwell.hls.rtl.kernel.kernel import Kernel, print_kernel
from dwell.hls.rtl.kernel.make import check_kernel
from dwell.hls.rtl.netlist import Netlist, Port, header, type_entry
from dwell.hls.rtl.options import RtlOptions
from dwell.hls.rtl.stream.blocks import Block, Fifo, Folded, Island, Plan, Reduce, Repeat, Steps, Window
from dwell.hls.rtl.stream.bodies import Body, bodies_of, options_inside, step_latency
from dwell.hls.rtl.stream.clocks import Pace, sized
from dwell.hls.rtl.stream.folds import check_folded
from dwell.hls.rtl.stream.layout import Geometry, Layout
from dwell.hls.rtl.stream.links import MOST_GATHERED_BITS
from dwell.hls.rtl.stream.lower import lower_stream
from dwell.hls.rtl.verilog.names import identifier


def build_stream(model: QModel, options: RtlOptions) -> Netlist:
    """Lower `model`, hold its kernels against the interpreter, and print the modules.

    Raises `UnsupportedLayerError` for a layer that the style cannot carry, `ConfigError` for a bad option,
    `ResourceError` for a model that is too large, `InternalError` if a kernel disagrees with the interpreter.
    """
    bodies = _bodies(model, options)
    plan, timing = sized(lower_stream(model, options, bodies))
    return _netlist(model, options, plan, timing, bodies)


def _bodies(model: QModel, options: RtlOptions) -> dict[str, Body]:
    """The body of each recurrence, by its name: a design of its own, whose results leave in one beat."""
    found = {}
    for node, body in bodies_of(model):
        inside = options_inside(node, body, options)
        plan, timing = sized(lower_stream(body, inside, widest_vector=MOST_GATHERED_BITS))
        net = _netlist(body, inside, plan, timing, {})
        found[node.name] = Body(net.top, net.modules, net.layers, step_latency(plan), net.checked_codes)
    return found


def _netlist(
    model: QModel, options: RtlOptions, plan: Plan, timing: Pace, bodies: Mapping[str, Body]
) -> Netlist:
    islands = [b for b in plan.blocks if isinstance(b, Island)]
    folded = [b for b in plan.blocks if isinstance(b, Folded)]
    layers = [b.layer for b in folded]
    loads = plan_loads(layers) if options.reload and layers else None
    checked = sum(_checked(b, model) for b in islands) + sum(check_folded(b, model) for b in folded)
    shell = _shell(model, plan, loads)
    modules = {f"{shell.top}.v": print_stream(plan, shell)}
    for kernel in _kernels(islands):
        name = plan.modules[kernel.name]
        modules[f"{name}.v"] = print_kernel(kernel, name, shell.header)
    for layer in layers:
        modules |= print_layer(layer, shell.top, shell.header, loads)
    for body in bodies.values():
        if set(modules) & set(body.modules):
            raise InternalError(f"two modules of one name: {sorted(set(modules) & set(body.modules))}")
        modules |= body.modules
    return Netlist(
        top=shell.top,
        modules=modules,
        input=shell.input,
        output=shell.output,
        latency_cycles=timing.latency,
        ii_cycles=-(-timing.frame_cycles // plan.links[plan.blocks[0].outputs[0]].beats),
        frame_cycles=timing.frame_cycles,
        layers=tuple(entry for b in plan.blocks for entry in _entries(model, plan, b, bodies)),
        checked_codes=checked + sum(body.checked for body in bodies.values()),
        latency_exact=timing.exact,
        fifo_depth=max((b.depth for b in plan.blocks if isinstance(b, Fifo)), default=0),
        weights=weights_entry(layers, loads) if loads else None,
    )


def stream_layers(model: QModel, options: RtlOptions) -> list[FoldedLayer]:
    """The folded layers of a stream, in the order of its blocks."""
    plan = lower_stream(model, options, _bodies(model, options))
    return [b.layer for b in plan.blocks if isinstance(b, Folded)]


def _shell(model: QModel, plan: Plan, loads: Loads | None) -> Shell:
    return Shell(
        top=identifier(model.name),
        header=header(model, "stream"),
        input=_port(model, model.input, plan, plan.blocks[0].outputs[0]),
        output=_port(model, model.output, plan, plan.result),
        loads=loads,
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


def _entries(
    model: QModel, plan: Plan, block: Block, bodies: Mapping[str, Body]
) -> tuple[Mapping[str, Any], ...]:
    """What `design.json` says of a block: of a recurrence, what it says of its body's layers too."""
    if isinstance(block, Steps):
        return (_steps_entry(model, plan, block), *bodies[block.node.name].layers)
    return (_entry(model, plan, block),) if isinstance(block, Island | Folded) and block.nodes else ()


def _steps_entry(model: QModel, plan: Plan, block: Steps) -> Mapping[str, Any]:
    node, steps = block.node, plan.links[block.input].beats
    return {
        "name": node.name,
        "kind": "Recurrent",
        "nodes": [f"Recurrent {node.name}"],
        "style": "stream",
        "lanes": 1,
        "in_type": type_entry(model.tensors[node.inputs[0]].type),
        "weight_type": None,
        "out_type": type_entry(model.tensors[node.output].type),
        "wires": {"in_bits": plan.links[block.input].bits, "out_bits": plan.links[block.output].bits},
        "fifo_depth": 0,
        "lut_estimate": None,
        "window": None,
        "line_buffer_bits": 0,
        "module": block.top,
        "kernel": {"kind": "steps", "steps": steps, "state_bits": sum(s.bits for s in block.state)},
        "ii_cycles": block.latency + 1,
        "clocks_per_frame": steps * (block.latency + 1),
        "latency_cycles": block.latency + 1,
    }


def _entry(model: QModel, plan: Plan, block: Island | Folded) -> Mapping[str, Any]:
    """What `design.json` says of a layer."""
    head, tail = block.nodes[0], block.nodes[-1]
    frame, out = plan.links[block.inputs[0]], plan.links[block.output]
    fifos = [b for b in plan.blocks if isinstance(b, Fifo) and b.output in block.inputs]
    entry = {
        "name": head.name,
        "kind": type(head).__name__,
        "nodes": [f"{type(node).__name__} {node.name}" for node in block.nodes],
        "style": "stream",
        "lanes": out.lanes,
        "in_type": type_entry(model.tensors[head.inputs[0]].type),
        "weight_type": type_entry(head.weight_type) if isinstance(head, Conv2D | Dense) else None,
        "out_type": type_entry(model.tensors[tail.output].type),
        "wires": {"in_bits": frame.bits, "out_bits": out.bits},
        "fifo_depth": max((f.depth for f in fifos), default=0),
        "lut_estimate": None,
    }
    if isinstance(block, Folded):
        source = next(b for b in plan.blocks if block.input in b.outputs)
        window = (
            source.front.geometry if isinstance(source, Island) and isinstance(source.front, Window) else None
        )
        above = plan.links[source.inputs[0]] if window else frame
        return entry | _window_entry(window, above) | layer_entry(block.layer, frame.beats // block.beats)
    window = block.front.geometry if isinstance(block.front, Window) else None
    kernel = block.kernel
    return (
        entry
        | _window_entry(window, frame)
        | {
            "module": plan.modules[kernel.name] if kernel else None,
            "kernel": {
                "kind": "adders",
                "adders": kernel.circuit.adders if kernel else 0,
                "depth": kernel.circuit.depth() if kernel else 0,
                "stages": kernel.latency if kernel else 0,
            },
            "ii_cycles": 1,
            "latency_cycles": block.latency,
        }
    )


def _window_entry(window: Geometry | None, frame: Layout) -> dict[str, Any]:
    return {
        "window": list(window.kernel) if window else None,
        "line_buffer_bits": window.reach[0] * frame.bits * frame.row_beats if window else 0,
    }
