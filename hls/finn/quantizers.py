"""The quantizer behind a layer's sums, as one function of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from dwell.hls.frontends.tables import steps_of
from dwell.hls.qmodel import (
    Affine,
    Cast,
    Clip,
    Codes,
    Conv2D,
    Dense,
    LeakyRelu,
    Node,
    QModel,
    Relu,
    Table,
    checked,
    intervals_of,
    value_range,
)
from dwell.hls.qmodel.kernels import evaluate


def way_to_quantizer(model: QModel, layer: Node) -> list[Node]:
    """The nodes from a layer's sums to its quantizer, each the only reader of the one before; none if it has none."""
    quantized = {name for _, name in model.quantizers}
    way: list[Node] = []
    tensor = layer.output
    while not way or way[-1].output not in quantized:
        readers = model.readers(tensor)
        if len(readers) != 1 or not isinstance(readers[0], Relu | LeakyRelu | Clip | Affine | Cast | Table):
            return []
        way.append(readers[0])
        tensor = readers[0].output
    return way


def codes_of_sums(model: QModel, way: Sequence[Node]) -> Callable[[Codes], Codes]:
    """The function that the nodes of `way` compute together, of codes (N, channels)."""

    def codes(sums: Codes) -> Codes:
        for node in way:
            sources = [model.tensors[name] for name in node.inputs]
            out = model.tensors[node.output]
            sums = evaluate(node, sources, out, intervals_of(model)[node.inputs[0]], [sums])
        return sums

    return codes


def with_tables(model: QModel) -> QModel:
    """`model` with each quantizer behind a layer, and what lies between, as one table: the same for every sum that
    can occur."""
    nodes, tensors = list(model.nodes), dict(model.tensors)
    for layer in [node for node in model.order() if isinstance(node, Conv2D | Dense)]:
        way = way_to_quantizer(model, layer)
        if len(way) < 2 and not (way and isinstance(way[0], Cast)):
            continue
        channels = (model.tensors[layer.output].shape[-1],)
        low, high = (np.broadcast_to(end, channels) for end in value_range(model, layer.output))
        steps = steps_of(codes_of_sums(model, way), low, high)
        table = Table(way[-1].name, (layer.output,), way[-1].output, steps.breaks, steps.levels)
        nodes[nodes.index(way[-1])] = table
        for node in way[:-1]:
            nodes.remove(node)
            del tensors[node.output]
    return checked(replace(model, nodes=tuple(nodes), tensors=tensors))
