"""The golden model of what FINN keeps of a network: from the first quantizer's codes to the last sums."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from dwell.errors import ConfigError
from dwell.hls.finn.quantizers import with_tables
from dwell.hls.qmodel import (
    Codes,
    Conv2D,
    Dense,
    FixedPoint,
    Input,
    Node,
    Overflow,
    QModel,
    Rounding,
    Table,
    Tensor,
    checked,
    value_range,
)

#: The type that a network which does not fix its input's type is read with: FINN's design does not see it,
#: for the host quantizes the frames.
READ_WITH = "ufixed<8,0>"


def from_first_quantizer(model: QModel, scale: float, offset: float) -> QModel:
    """`model` without what comes before its first quantizer, whose codes become the input.

    A code stands for ``code * scale + offset`` in the units of the frames. Raises `ConfigError` for a network
    without a quantizer on its input.
    """
    if not model.quantizers:
        raise ConfigError("the network has no quantizer", hint="put a QuantIdentity before the first layer")
    first = model.quantizers[0][1]
    before = _before(model, first)
    after = [node for node in model.nodes if node.name not in before]
    inner = {node.output for node in model.nodes if node.name in before} - {first}
    if any(name in inner for node in after for name in node.inputs):
        raise ConfigError(
            "the frame is used apart from its quantizer", hint="put a QuantIdentity before the first layer"
        )
    kind = model.tensors[first].type
    low = int(value_range(model, first)[0].min())
    overflow = Overflow.SAT_SYM if kind.signed and low > kind.lo else Overflow.SAT
    nodes: list[Node] = [Input(first, (), first, Rounding.RND_CONV, overflow), *after]
    tensors = {node.output: model.tensors[node.output] for node in nodes}
    tensors[first] = _real(tensors[first], scale, offset)
    kept = tuple((source, name) for source, name in model.quantizers if name in tensors)
    return checked(QModel(model.name, tuple(nodes), tensors, first, model.output, kept, model.notes))


def to_last_sum(model: QModel) -> QModel:
    """`model` without the bias of its last layer, which FINN leaves to the host: the result's offset has it."""
    last = _maker(model, model.output)
    if not isinstance(last, Conv2D | Dense) or not last.bias.any():
        return model
    out = model.tensors[model.output]
    frac = model.tensors[last.inputs[0]].type.frac + last.weight_type.frac
    bias = last.bias << (out.type.frac - last.bias_frac)
    ends = [(end - bias) >> (out.type.frac - frac) for end in value_range(model, model.output)]
    offset = bias * out.type.step * np.asarray(out.scale) + np.asarray(out.offset)
    result = replace(
        out,
        type=FixedPoint.holding(int(ends[0].min()), int(ends[1].max()), frac),
        offset=float(offset[0]) if len(set(offset)) == 1 else tuple(float(v) for v in offset),
    )
    bare = replace(last, bias=np.zeros_like(last.bias), bias_frac=frac)
    nodes = tuple(bare if node is last else node for node in model.nodes)
    return checked(replace(model, nodes=nodes, tensors={**model.tensors, model.output: result}))


def like(own: QModel, model: QModel) -> QModel:
    """`model`, as the door reads it, cut as the design's golden model `own` is, with `own`'s tables where they are the
    same functions of every sum that `model` can give."""
    if model.input != own.input:
        entry = own.tensors[own.input]
        scale, offset = np.asarray(entry.scale) * entry.type.step, np.asarray(entry.offset)
        model = to_last_sum(from_first_quantizer(model, float(scale), float(offset)))
    model = with_tables(model)
    tables = {node.name: node for node in own.nodes if isinstance(node, Table)}
    nodes = []
    for node in model.nodes:
        table = tables.get(node.name)
        if isinstance(node, Table) and table is not None and _fits(model, node, table):
            node = replace(node, breaks=table.breaks, levels=table.levels)
        nodes.append(node)
    return checked(replace(model, nodes=tuple(nodes)))


def _fits(model: QModel, node: Table, table: Table) -> bool:
    return same_steps(node, table, *value_range(model, node.inputs[0]))


def same_steps(one: Table, other: Table, low: Codes, high: Codes) -> bool:
    """Whether two tables are the same function of codes from `low` to `high` (by channel, or one for all)."""
    rows = max(len(one.breaks), len(other.breaks), np.size(low))
    ends = [np.broadcast_to(np.asarray(end).reshape(-1), (rows,)) for end in (low, high)]
    for row, (least, most) in enumerate(zip(*ends, strict=True)):
        tables = [(t.breaks[row % len(t.breaks)], t.levels[row % len(t.levels)]) for t in (one, other)]
        points = np.concatenate([[least], *(breaks for breaks, _ in tables)])
        points = points[(points >= least) & (points <= most)]
        first, second = (levels[np.searchsorted(breaks, points, side="right")] for breaks, levels in tables)
        if not np.array_equal(first, second):
            return False
    return True


def _real(tensor: Tensor, scale: float, offset: float) -> Tensor:
    return replace(tensor, scale=scale * 2.0**tensor.type.frac, offset=offset)


def _maker(model: QModel, tensor: str) -> Node:
    return next(node for node in model.nodes if node.output == tensor)


def _before(model: QModel, tensor: str) -> set[str]:
    """Names of the nodes that `tensor` depends on, its own among them."""
    found: set[str] = set()
    waiting: Sequence[str] = [tensor]
    while waiting:
        node = _maker(model, waiting[0])
        waiting = [*waiting[1:], *node.inputs]
        found.add(node.name)
    return found
