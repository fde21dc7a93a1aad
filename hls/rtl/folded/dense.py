"""Style `folded`: a dense network as a chain of folded layers behind one front door."""

from __future__ import annotations

from math import prod
from typing import Any

from dwell.hls.qmodel import Dense, QModel
from dwell.hls.rtl.circuit.builder import Range
from dwell.hls.rtl.folded.beats import output_elements
from dwell.hls.rtl.folded.check import check_layer
from dwell.hls.rtl.folded.layer import FoldedLayer, print_layer
from dwell.hls.rtl.folded.plan import IslandPlan, KernelIsland, LayerIsland, Plan, make_plan
from dwell.hls.rtl.folded.reload_map import plan_loads, weights_entry
from dwell.hls.rtl.folded.timing import Flow, Guard, Island, Pipe, Stream, Unit, Widen, measure
from dwell.hls.rtl.folded.top import print_top
from dwell.hls.rtl.kernel.kernel import print_kernel
from dwell.hls.rtl.netlist import Netlist, Port, header, type_entry
from dwell.hls.rtl.options import RtlOptions
from dwell.hls.rtl.verilog.names import identifier


def build_folded(model: QModel, options: RtlOptions) -> Netlist:
    """Fold the dense layers of `model`, check them against its interpreter, and print the modules.

    Raises `UnsupportedLayerError` for a layer that the style cannot carry, `ConfigError` for reuse factors
    that do not exist, `InternalError` if the folds disagree with the interpreter.
    """
    plan = make_plan(model, options)
    compared = sum(_check(model, island) for island in plan.islands)
    top, head = identifier(model.name), header(model, options.style)
    layers = [i.layer for i in plan.islands if isinstance(i, LayerIsland)]
    loads = plan_loads(layers) if options.reload else None
    ports = _ports(model, plan)
    modules = {f"{top}.v": print_top(model, plan, ports, top, head, loads)}
    for island in plan.islands:
        if isinstance(island, LayerIsland):
            modules |= print_layer(island.layer, top, head, loads)
        else:
            modules[f"{island.module}.v"] = print_kernel(island.kernel, island.module, head)
    flow = _flow(model, plan, ports)
    beats = prod(model.tensors[model.input].shape) // plan.elements
    return Netlist(
        top=top, modules=modules, input=ports[0], output=ports[1],
        latency_cycles=flow.latency, latency_exact=False,
        ii_cycles=-(-flow.frame // beats), frame_cycles=flow.frame,
        layers=tuple(_entry(model, options, island) for island in plan.islands),
        checked_codes=compared,
        fifo_depth=max((1 << i.layer.fifo_log2 for i in plan.islands if isinstance(i, LayerIsland)), default=0),
        weights=weights_entry(layers, loads) if loads else None,
    )  # fmt: skip


def _check(model: QModel, island: IslandPlan) -> int:
    if isinstance(island, KernelIsland):
        return island.compared
    layer = island.layer
    spans = layer.in_spans * (layer.unit.folding.inputs // layer.in_lanes)
    return check_layer(layer.unit, layer.lanes, island.nodes, model.tensors, spans)


def _ports(model: QModel, plan: Plan) -> tuple[Port, Port]:
    entry, last = model.tensors[model.input], model.tensors[model.output]
    size = prod(last.shape)
    elements = output_elements(size, last.type.width, len(plan.islands[-1].out_spans))
    return (
        Port(entry.name, entry.type, plan.elements, prod(entry.shape) // plan.elements),
        Port(last.name, last.type, elements, size // elements),
    )


def _vectors(model: QModel, island: LayerIsland) -> int:
    """Vectors of a frame."""
    return prod(model.tensors[island.nodes[0].inputs[0]].shape) // island.layer.unit.folding.inputs


def _flow(model: QModel, plan: Plan, ports: tuple[Port, Port]) -> Flow:
    islands: list[Island] = [Guard()]
    for island in plan.islands:
        if isinstance(island, KernelIsland):
            if island.gather > 1:
                islands.append(Widen(island.gather))
            islands.append(Stream(island.kernel.latency, Pipe(1 << island.depth_log2, 1)))
            continue
        layer, fold = island.layer, island.layer.unit.folding
        spacing = fold.sf * (fold.nf // layer.beats)
        pipe = Pipe(1 << layer.fifo_log2, layer.beats)
        beats = fold.inputs // layer.in_lanes
        islands.append(Unit(beats, layer.slots, fold.reuse, layer.pipeline, spacing, pipe))
    widen = ports[1].elements // len(plan.islands[-1].out_spans)
    if widen > 1:
        islands.append(Widen(widen))
    return measure(islands, ports[0].line_beats, ports[1].line_beats)


def _entry(model: QModel, options: RtlOptions, island: IslandPlan) -> dict[str, Any]:
    nodes = island.nodes
    head, tail = nodes[0], nodes[-1]
    entry: dict[str, Any] = {
        "name": head.name,
        "kind": type(head).__name__,
        "nodes": [f"{type(node).__name__} {node.name}" for node in nodes],
        "style": "folded",
        "in_type": type_entry(model.tensors[head.inputs[0]].type),
        "weight_type": type_entry(head.weight_type) if isinstance(head, Dense) else None,
        "out_type": type_entry(model.tensors[tail.output].type),
        "window": None,
        "line_buffer_bits": 0,
        "lut_estimate": None,
        "wires": {"in_bits": _bits(_in_spans(island)), "out_bits": _bits(island.out_spans)},
    }
    if isinstance(island, LayerIsland):
        return entry | layer_entry(island.layer, _vectors(model, island))
    return entry | {
        "module": island.module,
        "kernel": {
            "kind": "adders", "adders": island.kernel.circuit.adders,
            "depth": island.kernel.circuit.depth(), "stages": island.kernel.latency,
        },
        "ii_cycles": 1, "latency_cycles": island.kernel.latency + 1, "fifo_depth": 1 << island.depth_log2,
    }  # fmt: skip


def layer_entry(layer: FoldedLayer, vectors: int = 1) -> dict[str, Any]:
    """What `design.json` says of a folded layer: the keys that are not the graph's."""
    fold = layer.unit.folding
    return {
        "module": layer.module,
        "kernel": {
            "kind": "folded", "reuse": fold.reuse, "multipliers": fold.multipliers, "simd": fold.simd,
            "pe": fold.pe, "multiplier": "lut" if layer.unit.rows else "dsp",
            "sum_bits": layer.unit.acc_bits,
            "memory_bits": sum(m.width * m.depth for m in layer.memories()),
            "activation": "steps" if layer.lanes.steps else "circuit" if layer.lanes.kernel else "none",
        },
        "ii_cycles": fold.reuse,
        "clocks_per_frame": fold.reuse * vectors,
        "latency_cycles": layer.pipeline + fold.reuse - (fold.reuse if layer.gathers else fold.sf) + 1,
        "fifo_depth": 0 if layer.rigid else 1 << layer.fifo_log2,
    }  # fmt: skip


def _in_spans(island: IslandPlan) -> tuple[Range, ...]:
    return island.in_spans if isinstance(island, KernelIsland) else island.layer.in_spans


def _bits(spans: tuple[Range, ...]) -> int:
    return sum(span.bits for span in spans)
