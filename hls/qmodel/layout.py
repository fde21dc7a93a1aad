"""Passes over nodes that compute nothing: those that only move codes, and those that leave them as they are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dwell.hls.qmodel import nodes as n
from dwell.hls.qmodel.graph import Node, QModel
from dwell.hls.qmodel.kernels import moved
from dwell.hls.qmodel.ranges import intervals_of, of_channel, reachable_levels
from dwell.hls.qmodel.rewrite import Report, Result, free_name, reading, rebuilt
from dwell.hls.qmodel.types import Codes, FixedPoint, Overflow, Tensor

#: Nodes that put codes elsewhere and change none.
MOVING_NODES: tuple[type[Node], ...] = (n.Transpose, n.Flatten, n.Reshape, n.Slice, n.Upsample)

#: Those of them whose output has the type of their input.
SAME_TYPE_NODES: tuple[type[Node], ...] = (n.Transpose, n.Flatten, n.Reshape, n.Slice)

#: Those that keep every code.
_ORDERED: tuple[type[Node], ...] = (n.Transpose, n.Flatten, n.Reshape)


def drop_side_branches(model: QModel) -> Result:
    """Leave out what the output does not depend on: branches that only quantizers watch."""
    order = model.order()
    report = Report("drop_side_branches", {"nodes": len(model.nodes) - len(order)})
    return (rebuilt(model, order) if report else model), report


def drop_idle_nodes(model: QModel) -> Result:
    """Leave out nodes that change no code that can occur, nor what it stands for."""
    count = 0
    while (lean := _without_an_idle_node(model)) is not None:
        model, count = lean, count + 1
    return model, Report("drop_idle_nodes", {"nodes": count})


def _without_an_idle_node(model: QModel) -> QModel | None:
    for node in model.nodes:
        follows = _idle(model, node)
        last = node.output == model.output
        if follows is None or (last and follows == model.input):
            continue
        source, out = model.tensors[follows], model.tensors[node.output]
        tensors = dict(model.tensors)
        typed = last or _moved_on(model, node.output)
        if typed and source.type != out.type:
            if not _may_take(model, node, source, out.type):
                continue
            tensors[follows] = replace(source, type=out.type)
        renamed = {node.output: follows}
        kept = [reading(other, renamed) for other in model.nodes if other is not node]
        output = follows if last else model.output
        return rebuilt(model, kept, tensors, output=output, renamed=renamed)
    return None


def _moved_on(model: QModel, name: str, but: Node | None = None) -> bool:
    """Whether a node reads `name` that has to keep its type."""
    return any(isinstance(r, SAME_TYPE_NODES) for r in model.readers(name) if r is not but)


def _may_take(model: QModel, node: Node, source: Tensor, kind: FixedPoint) -> bool:
    """Whether `source`, which the idle `node` reads, can be of type `kind` as well."""
    maker = model.maker(source.name)
    if isinstance(maker, (n.Input, n.Softmax, *SAME_TYPE_NODES)) or _moved_on(model, source.name, node):
        return False
    return not (kind.signed and isinstance(maker, n.Relu | n.TopK))


def _idle(model: QModel, node: Node) -> str | None:
    """The tensor whose codes the output of `node` always repeats, if there is one."""
    if isinstance(node, n.Input):
        return None
    out = model.tensors[node.output]
    for name in node.inputs:
        source = model.tensors[name]
        alike = (source.shape, source.type.frac, source.scale, source.offset) == (
            out.shape,
            out.type.frac,
            out.scale,
            out.offset,
        )
        if alike and _repeats(model, node, name):
            return name
    return None


def _repeats(model: QModel, node: Node, name: str) -> bool:
    """Whether `node` hands on the codes of `name`, which has the output's shape and fraction."""
    interval = intervals_of(model)[name]
    channels = list(zip(range(len(interval.lo)), interval.lo, interval.hi, strict=True))
    if isinstance(node, n.Relu | n.LeakyRelu):
        return interval.least >= 0
    if isinstance(node, n.Clip):
        return node.lo <= interval.least and interval.greatest <= node.hi
    if isinstance(node, n.Cast):
        return all(_absorbs(node, model.tensors[name].type.frac, *channel) for channel in channels)
    if isinstance(node, n.Affine):
        return node.weight_type.frac == 0 and bool((node.weight == 1).all() and (node.bias == 0).all())
    if isinstance(node, n.Table):
        return all(_steps_repeat(node, *channel) for channel in channels)
    if isinstance(node, n.Pool2D):
        return node.size == (1, 1) and node.stride == (1, 1) and node.shift == 0
    if isinstance(node, n.Add):
        others = [other for other in node.inputs if other != name]
        return (
            len(others) == 1
            and intervals_of(model)[others[0]].least == intervals_of(model)[others[0]].greatest == 0
        )
    if isinstance(node, MOVING_NODES):
        places = _places(model.tensors[name], [node])
        return bool((places.reshape(-1) == np.arange(places.size)).all())
    return False


def _absorbs(node: n.Cast, frac: int, channel: int, lo: int, hi: int) -> bool:
    """Whether codes from `lo` to `hi` of `frac` fraction bits fit this channel's type without rounding."""
    kind = node.types[channel if len(node.types) > 1 else 0]
    if kind.width == 0:
        return lo == hi == 0
    if kind.frac < frac:
        return lo == hi == 0
    floor = -kind.hi if node.overflow is Overflow.SAT_SYM and kind.signed else kind.lo
    up = kind.frac - frac
    return floor <= lo << up and hi << up <= kind.hi


def _steps_repeat(node: n.Table, channel: int, lo: int, hi: int) -> bool:
    """Whether a table gives each of `lo` to `hi` back; such a table has a break at each, so few are looked at."""
    if hi - lo > node.breaks.shape[1]:
        return False
    first, _ = reachable_levels(node, channel, lo, hi)
    codes = np.arange(lo, hi + 1)
    steps = np.searchsorted(of_channel(node.breaks, channel), codes, side="right")
    return bool(first == steps[0] and (of_channel(node.levels, channel)[steps] == codes).all())


# ---- moving nodes into weights


def sink_moves(model: QModel) -> Result:
    """Put nodes that move codes behind nodes that treat all elements alike.

    So a transpose before an activation ends in front of the Dense that can take it up, and what is
    upsampled is computed once.
    """
    count = 0
    while (swapped := _sink_one(model)) is not None:
        model, count = swapped, count + 1
    return model, Report("sink_moves", {"swaps": count})


def _sink_one(model: QModel) -> QModel | None:
    for node in model.nodes:
        mover = model.maker(node.inputs[0]) if node.inputs else None
        if not isinstance(mover, n.Transpose | n.Flatten | n.Reshape | n.Upsample) or not _uniform(node):
            continue
        if len(model.readers(mover.output)) > 1 or mover.output == model.output:
            continue
        before, after = model.tensors[mover.inputs[0]], model.tensors[node.output]
        if isinstance(after.scale, tuple) or isinstance(after.offset, tuple):
            continue
        name = free_name(f"{node.output}_early", model.tensors)
        early = replace(node, inputs=mover.inputs, output=name)
        late = replace(mover, inputs=(name,), output=node.output)
        nodes = [other for other in model.nodes if other is not mover]
        at = nodes.index(node)
        nodes[at : at + 1] = [early, late]
        tensors = {**model.tensors, name: replace(after, name=name, shape=before.shape)}
        return rebuilt(model, nodes, tensors)
    return None


def _uniform(node: Node) -> bool:
    """Whether a node does the same to every element, whatever its channel."""
    if isinstance(node, n.Relu | n.Clip):
        return True
    if isinstance(node, n.Cast):
        return len(node.types) == 1
    if isinstance(node, n.LeakyRelu):
        return len(node.slope) == 1
    if isinstance(node, n.Affine):
        return len(node.weight) == len(node.bias) == 1
    return isinstance(node, n.Table) and len(node.breaks) == 1


def merge_moves(model: QModel) -> Result:
    """Make one Reshape (or Flatten) of nodes in a row that together leave the codes in their order.

    So a transpose of axes of length one, or a flatten behind a reshape, is no movement at all.
    """
    count = 0
    for node in model.nodes:
        readers = model.readers(node.output)
        if not isinstance(node, _ORDERED) or (len(readers) == 1 and isinstance(readers[0], _ORDERED)):
            continue
        chain = _moves_before(model, node, _ORDERED)
        if len(chain) == 1 and not isinstance(node, n.Transpose):
            continue
        source = model.tensors[chain[0].inputs[0]]
        places = _places(source, chain).reshape(-1)
        if (places != np.arange(places.size)).any():
            continue
        shape = model.tensors[node.output].shape
        merged: Node = n.Reshape(node.name, (source.name,), node.output, shape)
        if len(shape) == 1:
            merged = n.Flatten(node.name, (source.name,), node.output)
        gone = {mover.name for mover in chain[:-1]}
        nodes = [merged if m.name == node.name else m for m in model.nodes if m.name not in gone]
        model = rebuilt(model, nodes)
        count += len(chain)
    return model, Report("merge_moves", {"nodes": count})


def fold_moves(model: QModel) -> Result:
    """Take nodes that move codes up into the weights of the Dense that reads them as a vector.

    Before the Dense at most one Flatten is left.
    """
    count = 0
    for node in model.nodes:
        if isinstance(node, n.Dense) and len(model.tensors[node.inputs[0]].shape) == 1:
            chain = _moves_before(model, node, MOVING_NODES)
            if chain and not (len(chain) == 1 and isinstance(chain[0], n.Flatten)):
                model = _folded(model, node, chain)
                count += len(chain)
    return model, Report("fold_moves", {"nodes": count})


def _moves_before(model: QModel, node: Node, kinds: tuple[type[Node], ...]) -> list[Node]:
    """The nodes of `kinds` in a row up to `node` (itself if it is one) that nobody else reads, first one first."""
    chain: list[Node] = [node] if isinstance(node, kinds) else []
    name = node.inputs[0]
    while (
        isinstance(mover := model.maker(name), kinds)
        and len(model.readers(name)) == 1
        and name != model.output
    ):
        chain.insert(0, mover)
        name = mover.inputs[0]
    return chain


def _places(source: Tensor, chain: list[Node]) -> Codes:
    """For every element after `chain`, the index (C order) in `source` that it comes from."""
    places = np.arange(int(np.prod(source.shape)), dtype=np.int64).reshape(1, *source.shape)
    for node in chain:
        places = moved(node, places)
    return np.asarray(places[0])


def _folded(model: QModel, node: n.Dense, chain: list[Node]) -> QModel:
    source = model.tensors[chain[0].inputs[0]]
    weight = np.zeros((int(np.prod(source.shape)), node.weight.shape[1]), dtype=np.int64)
    np.add.at(weight, _places(source, chain), node.weight)  # an element that comes twice adds up its weights
    kind = node.weight_type
    low, high = int(weight.min()), int(weight.max())
    if low < kind.lo or high > kind.hi:
        kind = FixedPoint.holding(low, high, kind.frac)
    gone = {mover.name for mover in chain}
    nodes: list[Node] = []
    tensors = dict(model.tensors)
    for other in model.nodes:
        if other.name in gone:
            continue
        if other is not node:
            nodes.append(other)
            continue
        name = source.name
        if len(source.shape) > 1:
            name = free_name(f"{node.name}_flat", [*model.tensors, *(m.name for m in model.nodes)])
            nodes.append(n.Flatten(name, (source.name,), name))
            flat = Tensor(name, (len(weight),), source.type)
            tensors[name] = flat if isinstance(source.scale, tuple) else replace(flat, scale=source.scale)
        nodes.append(replace(node, inputs=(name,), weight=weight, weight_type=kind))
    return rebuilt(model, nodes, tensors)
