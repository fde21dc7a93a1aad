"""From a graph to the netlist of style "unrolled"."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from dwell.errors import ConfigError, UnsupportedLayerError
from dwell.hls.qmodel import Affine, Conv2D, Dense, Node, Overflow, QModel, Recurrent, checked
from dwell.hls.qmodel.recurrence import unroll_steps
from dwell.hls.qmodel.simplify import simplify
from dwell.hls.rtl.circuit.builder import Constant, Less, Negate, ShiftAdd, ShiftAdd3, Tap
from dwell.hls.rtl.circuit.schedule import Schedule, pipeline
from dwell.hls.rtl.kernel.kernel import Kernel, print_kernel
from dwell.hls.rtl.netlist import Netlist, Port, header, type_entry
from dwell.hls.rtl.options import RtlOptions
from dwell.hls.rtl.support import UNROLLED, check_unrolled
from dwell.hls.rtl.unrolled.check import check_network
from dwell.hls.rtl.unrolled.lower import Lowered, lower_network
from dwell.hls.rtl.unrolled.top import SampleTop, print_sample_top
from dwell.hls.rtl.verilog.names import identifier

#: Steps of a recurrence beyond which its unrolled form is refused.
MAX_STEPS = 64


def build_unrolled(model: QModel, options: RtlOptions) -> Netlist:
    """Lower the whole of `model` to one circuit, check it against the interpreter, and print it.

    Raises `UnsupportedLayerError` for weights or sums that are too wide, `ConfigError` for a model that
    computes nothing, `ResourceError` for one that is too large to be unrolled, `InternalError` if the
    circuit disagrees with the interpreter.
    """
    whole = _without_steps(model)
    check_unrolled(whole)
    small = simplified(whole) if options.passes.simplify else whole
    lowered = lower_network(small, options.passes)
    compared = check_network(model, small, lowered)
    circuit = lowered.circuit
    schedule = pipeline(circuit, options.latency_cutoff, [0.0] * len(circuit.inputs))
    name = identifier(model.name)
    kernel = Kernel(model.name, "the network", circuit, schedule)
    top = SampleTop(
        name, f"{name}_network", header(model, "unrolled"), kernel, model.tensors[model.output].type
    )
    return Netlist(
        top=name,
        modules={
            f"{name}.v": print_sample_top(top),
            f"{top.module}.v": print_kernel(kernel, top.module, top.header),
        },
        input=_port(model, model.input),
        output=_port(model, model.output),
        latency_cycles=top.latency,
        ii_cycles=1,
        frame_cycles=1,
        layers=_layers(small, lowered, schedule, top.module),
        checked_codes=compared,
        fifo_depth=1 << top.depth_log2,
    )


def _without_steps(model: QModel) -> QModel:
    """`model` with a copy of its bodies for every step. Raises `UnsupportedLayerError` for too many steps."""
    for node in model.order():
        steps = model.tensors[node.inputs[0]].shape[0] if isinstance(node, Recurrent) else 0
        if steps > MAX_STEPS:
            raise UnsupportedLayerError(
                node.name, "Recurrent", UNROLLED, reason=f"{steps} steps through time, each of which becomes hardware",
                hint=f"at most {MAX_STEPS} in style 'unrolled'; styles 'folded' and 'stream' have one body for all",
            )  # fmt: skip
    return unroll_steps(model)


def simplified(model: QModel) -> QModel:
    """`model` in fewer nodes and bits, for every code that the port can carry.

    The input's own cast may never give the lowest one (SAT_SYM), but who knows what feeds the port. A graph
    whose types rely on that stays as it is.
    """
    entry = model.input_node
    nodes = [replace(node, overflow=Overflow.SAT) if node is entry else node for node in model.nodes]
    try:
        whole = checked(replace(model, nodes=tuple(nodes)))
    except ConfigError:
        return model
    return simplify(whole)[0]


def _port(model: QModel, name: str) -> Port:
    tensor = model.tensors[name]
    return Port(name, tensor.type, math.prod(tensor.shape), 1)


def _layers(
    model: QModel, lowered: Lowered, schedule: Schedule, module: str
) -> tuple[Mapping[str, Any], ...]:
    """An entry for each linear layer and what follows it up to the next one, as the pipeline has them."""
    groups = _groups(model)
    place = {node.name: number for number, group in enumerate(groups) for node in group}
    adders, first, last = [0] * len(groups), [schedule.stages] * len(groups), [0] * len(groups)
    for node, owner, stage in zip(lowered.circuit.nodes, lowered.owner, schedule.stage, strict=True):
        number = place.get(owner)
        if number is None or isinstance(node, Tap | Constant):
            continue
        adders[number] += isinstance(node, ShiftAdd | ShiftAdd3 | Negate | Less)
        first[number], last[number] = min(first[number], stage), max(last[number], stage)
    return tuple(
        _layer(model, group, module, adders[n], max(last[n] - first[n] + 1, 0))
        for n, group in enumerate(groups)
    )


def _groups(model: QModel) -> list[list[Node]]:
    groups: list[list[Node]] = []
    for node in model.order()[1:]:
        if not groups or isinstance(node, Conv2D | Dense):
            groups.append([])
        groups[-1].append(node)
    return groups


def _layer(model: QModel, group: Sequence[Node], module: str, adders: int, stages: int) -> dict[str, Any]:
    head, tail = group[0], group[-1]
    linear = isinstance(head, Conv2D | Dense | Affine)
    return {
        "name": head.name,
        "kind": type(head).__name__,
        "nodes": [f"{type(node).__name__} {node.name}" for node in group],
        "module": module,
        "style": "unrolled",
        "in_type": type_entry(model.tensors[head.inputs[0]].type),
        "weight_type": type_entry(head.weight_type) if isinstance(head, Conv2D | Dense | Affine) else None,
        "out_type": type_entry(model.tensors[tail.output].type),
        "window": list(head.weight.shape[:2]) if isinstance(head, Conv2D) else None,
        "kernel": {"kind": "adders" if linear else "logic", "adders": adders, "stages": stages},
        "ii_cycles": 1,
        "latency_cycles": stages,
        "fifo_depth": 0,
        "line_buffer_bits": 0,
        "lut_estimate": None,
    }
