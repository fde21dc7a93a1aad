"""Passes that take away what no code can reach: bits of types, steps of tables."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dwell.hls.qmodel import nodes as n
from dwell.hls.qmodel.graph import Node, QModel
from dwell.hls.qmodel.layout import SAME_TYPE_NODES
from dwell.hls.qmodel.ranges import intervals_of, of_channel, reachable_levels, round_int
from dwell.hls.qmodel.rewrite import Report, Result, rebuilt
from dwell.hls.qmodel.types import Codes, FixedPoint, Overflow, Tensor


def narrow_types(model: QModel) -> Result:
    """Give each tensor (but the input), weight and cast the narrowest type that changes no code that can occur.

    A cast of one type stays one of one type. The output keeps its type.
    """
    counts = {"bits of tensors": 0, "bits of casts": 0, "bits of weights": 0}
    nodes: list[Node] = []
    tensors = dict(model.tensors)
    kept = _types_of_output(model)
    for node in model.nodes:
        if isinstance(node, n.Cast):
            interval = intervals_of(model)[node.inputs[0]]
            lean = _narrow_cast(node, model.tensors[node.inputs[0]].type.frac, interval.lo, interval.hi)
            channels = len(interval.lo)
            saved = _bits(node.types, channels) - _bits(lean.types, channels)
            if saved > 0:
                counts["bits of casts"] += saved
                node = lean
        elif isinstance(node, n.Conv2D | n.Dense | n.Affine):
            old = node.weight_type
            kind = FixedPoint.holding(int(node.weight.min()), int(node.weight.max()), old.frac)
            if kind.width < old.width:
                counts["bits of weights"] += (old.width - kind.width) * node.weight.size
                node = replace(node, weight_type=kind)
        nodes.append(node)
        if node.output not in kept:
            tensors[node.output] = _narrow_tensor(model, node, tensors)
        counts["bits of tensors"] += (
            model.tensors[node.output].type.width - tensors[node.output].type.width
        ) * int(np.prod(tensors[node.output].shape))
    report = Report("narrow_types", counts)
    return (rebuilt(model, nodes, tensors) if report else model), report


def _types_of_output(model: QModel) -> set[str]:
    """The output, and tensors before it that have its type because their codes are only moved there."""
    name = model.output
    names = {name}
    while isinstance(mover := model.maker(name), SAME_TYPE_NODES):
        name = mover.inputs[0]
        names.add(name)
    return names


def _narrow_tensor(model: QModel, node: Node, tensors: dict[str, Tensor]) -> Tensor:
    """The tensor that `node` makes; `tensors` holds those before it as they are by now."""
    tensor = model.tensors[node.output]
    if isinstance(node, n.Input | n.Softmax):
        return tensor
    if isinstance(node, SAME_TYPE_NODES):
        return replace(tensor, type=tensors[node.inputs[0]].type)
    interval = intervals_of(model)[node.output]
    kind = FixedPoint.holding(interval.least, interval.greatest, tensor.type.frac)
    return replace(tensor, type=kind) if kind.width < tensor.type.width else tensor


def _bits(types: tuple[FixedPoint, ...], channels: int) -> int:
    return sum(kind.width for kind in types) * (channels if len(types) == 1 else 1)


def _narrow_cast(node: n.Cast, in_frac: int, lows: tuple[int, ...], highs: tuple[int, ...]) -> n.Cast:
    if len(node.types) == 1:  # stays one type: hardware that takes the channels in turn casts them all alike
        lows, highs = (min(lows),), (max(highs),)
    lean = [
        _narrow_type(
            kind,
            round_int(low, in_frac - kind.frac, node.rounding),
            round_int(high, in_frac - kind.frac, node.rounding),
            node.overflow,
        )
        for kind, low, high in zip(node.types, lows, highs, strict=True)
    ]
    if not any(kind.frac == node.frac and kind.width > 0 for kind in lean):
        finest = max(range(len(lean)), key=lambda c: (node.types[c].width > 0, node.types[c].frac))
        lean[finest] = node.types[finest]  # all zero: something has to say which fraction
    changed = replace(node, types=(lean[0],) if len(set(lean)) == 1 else tuple(lean))
    return changed if changed.frac == node.frac else node


def _narrow_type(kind: FixedPoint, low: int, high: int, overflow: Overflow) -> FixedPoint:
    """The narrowest type that makes the same of codes `low` to `high`, which have been rounded."""
    if kind.width == 0:
        return kind
    floor = -kind.hi if overflow is Overflow.SAT_SYM and kind.signed else kind.lo
    fits_below, fits_above = floor <= low, high <= kind.hi
    if fits_below and fits_above:
        if low == high == 0:
            return FixedPoint(False, 0, kind.frac)
        if overflow is Overflow.SAT_SYM and low < 0:
            low, high = min(low, -high), max(high, -low)
        found = FixedPoint.holding(low, high, kind.frac)
    elif overflow is Overflow.WRAP or not fits_above:
        # A bound that is overstepped has to stay; with no code below zero a sign is not needed.
        plain = overflow is not Overflow.WRAP and kind.signed and low >= 0 and kind.width > 1
        found = FixedPoint(False, kind.width - 1, kind.frac) if plain else kind
    else:  # too low only: the lower bound stays
        found = kind if kind.signed else FixedPoint.holding(0, max(high, 0), kind.frac)
    return found if found.width < kind.width else kind


def trim_tables(model: QModel) -> Result:
    """Leave out steps of tables that no code reaches or that change nothing."""
    steps = rows = 0
    nodes: list[Node] = []
    for node in model.nodes:
        if isinstance(node, n.Table):
            lean = _trimmed(model, node)
            rows += len(node.breaks) - len(lean.breaks)
            steps += node.breaks.size - lean.breaks.size
            node = lean
        nodes.append(node)
    report = Report("trim_tables", {"steps": steps, "rows": rows})
    return (rebuilt(model, nodes) if report else model), report


def _trimmed(model: QModel, node: n.Table) -> n.Table:
    interval = intervals_of(model)[node.inputs[0]]
    same = bool((node.breaks == node.breaks[0]).all() and (node.levels == node.levels[0]).all())
    every = list(zip(interval.lo, interval.hi, strict=True))
    spans = [(interval.least, interval.greatest)] if same else every
    found = [trimmed_row(node, c, lo, hi) for c, (lo, hi) in enumerate(spans)]
    longest = max(len(breaks) for breaks, _ in found)
    beyond = interval.greatest + 1  # a break that no code reaches
    breaks = [np.pad(b, (0, longest - len(b)), constant_values=beyond) for b, _ in found]
    levels = [np.pad(v, (0, longest + 1 - len(v)), mode="edge") for _, v in found]
    lean = replace(node, breaks=np.array(breaks).reshape(len(found), longest), levels=np.array(levels))
    return lean if lean.breaks.size < node.breaks.size or len(found) < len(node.breaks) else node


def trimmed_row(node: n.Table, channel: int, lo: int, hi: int) -> tuple[Codes, Codes]:
    """Breaks and levels of one row for codes from `lo` to `hi`."""
    first, reached = reachable_levels(node, channel, lo, hi)
    index = first + np.flatnonzero(reached)
    levels = of_channel(node.levels, channel)[index]
    changes = np.flatnonzero(levels[1:] != levels[:-1]) + 1
    # Level i is taken from break i - 1 on, and between equal breaks the last one counts.
    breaks = of_channel(node.breaks, channel)[index[changes] - 1]
    return breaks, levels[np.concatenate([[0], changes])]
