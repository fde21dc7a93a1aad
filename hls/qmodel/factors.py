"""Passes over factors: those that a layer's weights can take up, and those that do the work of a table."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from dwell.hls.qmodel import nodes as n
from dwell.hls.qmodel.graph import Node, QModel
from dwell.hls.qmodel.narrow import trimmed_row
from dwell.hls.qmodel.ranges import intervals_of, node_interval
from dwell.hls.qmodel.rewrite import Report, Result, free_name, rebuilt
from dwell.hls.qmodel.types import MAX_WIDTH, Codes, FixedPoint, Overflow, Rounding, Tensor

#: Bits that a factor standing in for a table may drop again: more are no cheaper than the table.
_MOST_SHIFT = 24

#: Bits beyond the fewest that are tried for a factor of fewer digits.
_MORE_SHIFT = 3

#: Steps of a table that a line is sought for.
_MOST_STEPS = 1024


def signed_digits(codes: Codes) -> Codes:
    """How many digits other than zero each code has in canonical signed-digit form: what a product costs in adders."""
    magnitude = np.abs(codes).astype(np.int64)
    triple = magnitude * 3
    return np.bitwise_count((triple ^ magnitude).astype(np.uint64)).astype(np.int64)


# ---- factors into weights


def fold_affine(model: QModel) -> Result:
    """Take an `Affine` up into the convolution or dense layer before it, where that costs no more digits.

    Offsets alone, signs and powers of two always go; a factor that would make many weights longer stays.
    """
    count = 0
    while (folded := _fold_one(model)) is not None:
        model, count = folded, count + 1
    return model, Report("fold_affine", {"nodes": count})


def _fold_one(model: QModel) -> QModel | None:
    for node in model.nodes:
        layer = model.maker(node.inputs[0]) if isinstance(node, n.Affine) else None
        if not isinstance(node, n.Affine) or not isinstance(layer, n.Conv2D | n.Dense):
            continue
        if len(model.readers(layer.output)) > 1 or layer.output == model.output:
            continue
        joined = _scaled_layer(model, layer, node)
        if joined is None:
            continue
        nodes = [joined if other is layer else other for other in model.nodes if other is not node]
        return rebuilt(model, nodes)
    return None


def _scaled_layer(model: QModel, layer: n.Conv2D | n.Dense, node: n.Affine) -> Node | None:
    """`layer` with the factors and offsets of `node`, or None where that costs more digits or bits than there are."""
    cout = layer.weight.shape[-1]
    factor = np.broadcast_to(node.weight, (cout,))
    bits = layer.weight_type.width + node.weight_type.width
    if bits > MAX_WIDTH:
        return None
    weight = layer.weight * factor
    # Each channel's own factor is one product; each weight is one as well.
    before = int(signed_digits(layer.weight).sum()) + int(np.maximum(signed_digits(factor) - 1, 0).sum())
    if int(signed_digits(weight).sum()) > before:
        return None
    frac = layer.weight_type.frac + node.weight_type.frac
    out_frac = model.tensors[node.output].type.frac
    up = out_frac - node.weight_type.frac - layer.bias_frac
    own = layer.bias.astype(object) * factor.astype(object) * (1 << up)
    bias = own + node.bias.astype(object) * (1 << (out_frac - node.bias_frac))
    if abs(frac) > MAX_WIDTH or max(abs(int(v)) for v in bias) >= 1 << MAX_WIDTH:
        return None
    kind = FixedPoint.holding(int(weight.min()), int(weight.max()), frac)
    return replace(
        layer,
        output=node.output,
        weight=weight,
        weight_type=kind,
        bias=bias.astype(np.int64),
        bias_frac=out_frac,
    )


# ---- factors for tables


@dataclass(frozen=True)
class _Line:
    """``floor((factor * x + offset) / 2**shift)``, which runs through all steps of one row of a table."""

    factor: int
    offset: int


@dataclass(frozen=True)
class _Row:
    """One row of a table as bounds on a line: at `x` at least `least`, at `y` less than `limit` (both in levels)."""

    x: Codes
    least: Codes
    y: Codes
    limit: Codes
    turned: bool  # the row falls: all this is for -x


def tables_to_casts(model: QModel, min_steps: int = 32) -> Result:
    """Replace tables of at least `min_steps` even steps by a product, a cut and a saturation.

    Where a float scale made the steps, a factor of few digits passes through all of them exactly. Whether one
    exists is found for each table by its inequalities; others stay. The steps' levels have to rise, or fall.
    As logic the two cost the same at 31 steps, and the table half as much again at 63.
    """
    count = 0
    nodes: list[Node] = []
    tensors = dict(model.tensors)
    for node in model.nodes:
        made = _as_cast(model, node, min_steps) if isinstance(node, n.Table) else None
        if made is None:
            nodes.append(node)
            continue
        count += 1
        for part, tensor in made:
            nodes.append(part)
            tensors[tensor.name] = tensor
    report = Report("tables_to_casts", {"tables": count})
    return (rebuilt(model, nodes, tensors) if report else model), report


def _as_cast(model: QModel, node: n.Table, min_steps: int) -> list[tuple[Node, Tensor]] | None:
    interval = intervals_of(model)[node.inputs[0]]
    spans = list(zip(interval.lo, interval.hi, strict=True))
    if len(node.breaks) == 1:
        spans = [(interval.least, interval.greatest)]
    lean = [trimmed_row(node, c, lo, hi) for c, (lo, hi) in enumerate(spans)]
    if not min_steps <= max(len(breaks) for breaks, _ in lean) <= _MOST_STEPS:
        return None
    bottom = min(int(levels.min()) for _, levels in lean)
    top = max(int(levels.max()) for _, levels in lean)
    rows = [_bounds(*row, *span, bottom, top) for row, span in zip(lean, spans, strict=True)]
    if any(row is None for row in rows):
        return None
    found = _lines([row for row in rows if row is not None])
    return None if found is None else _parts(model, node, *found, bottom, top)


def _bounds(breaks: Codes, levels: Codes, lo: int, hi: int, bottom: int, top: int) -> _Row | None:
    """What a line has to keep to: every step, and the ends where the row's own levels are not the outermost."""
    rise = np.diff(levels)
    turned = bool(len(rise) and rise[0] < 0)
    if turned:
        breaks, levels, lo, hi = 1 - breaks[::-1], levels[::-1], -hi, -lo
        rise = np.diff(levels)
    if (rise <= 0).any() or rise.sum() > _MOST_STEPS:
        return None
    at = np.repeat(breaks, rise)
    level = np.arange(levels[0] + 1, levels[-1] + 1)
    x, least, y, limit = at, level, at - 1, level
    if levels[0] > bottom or len(breaks) == 0:
        x, least = np.append(x, lo), np.append(least, levels[0])
    if levels[-1] < top or len(breaks) == 0:
        y, limit = np.append(y, hi), np.append(limit, levels[-1] + 1)
    return _Row(x, least, y, limit, turned)


def _lines(rows: list[_Row]) -> tuple[int, list[_Line]] | None:
    """The shift and a line for each row: as few digits as there are, then as few bits dropped."""
    best: tuple[int, int, list[_Line]] | None = None
    for shift in range(_MOST_SHIFT + 1):
        factors = [_factor(row, shift) for row in rows]
        if any(factor is None for factor in factors):
            continue
        known = [factor for factor in factors if factor is not None]
        digits = int(signed_digits(np.array(known)).sum())
        if best is None or digits < best[0]:
            lines = [_line(row, factor, shift) for row, factor in zip(rows, known, strict=True)]
            best = digits, shift, lines
        if shift >= best[1] + _MORE_SHIFT:
            break
    return None if best is None else best[1:]


def _factor(row: _Row, shift: int) -> int | None:
    """The factor of fewest digits for which an offset exists, if there is one.

    An offset exists where every lower bound ``least * 2**shift - m * x`` is at most every upper bound
    ``limit * 2**shift - 1 - m * y``: one inequality in m for each pair.
    """
    run = row.y[None, :] - row.x[:, None]
    rise = (row.limit[None, :] - row.least[:, None]) << shift
    if ((run == 0) & (rise < 1)).any():
        return None
    ahead, behind = run > 0, run < 0
    most = int(((rise[ahead] - 1) // run[ahead]).min()) if ahead.any() else None
    least = int((-((rise[behind] - 1) // -run[behind])).max()) if behind.any() else 0
    if most is None:
        most = max(least, 0)
    return None if least > most else _plainest(least, most)


def _plainest(least: int, most: int) -> int:
    """The number from `least` to `most` of fewest digits."""
    if least <= 0 <= most:
        return 0
    zeros = max(0, (most - least).bit_length() - 8)  # numbers with low zeros are the plainer ones
    step = 1 << zeros
    candidates = np.arange(-(-least // step) * step, most + 1, step, dtype=np.int64)
    return int(candidates[np.argmin(signed_digits(candidates))])


def _line(row: _Row, factor: int, shift: int) -> _Line:
    offset = int(((row.least << shift) - factor * row.x).max())
    return _Line(-factor if row.turned else factor, offset)


def _parts(
    model: QModel, node: n.Table, shift: int, lines: list[_Line], bottom: int, top: int
) -> list[tuple[Node, Tensor]] | None:
    """The product, the cut, and where no type ends at the outermost levels a clip."""
    source, out = model.tensors[node.inputs[0]], model.tensors[node.output]
    frac = shift + out.type.frac
    weight_frac = frac - source.type.frac
    if max(abs(frac), abs(weight_frac)) > MAX_WIDTH:
        return None
    factors = np.array([line.factor for line in lines], dtype=np.int64)
    offsets = np.array([line.offset for line in lines], dtype=np.int64)
    kind = FixedPoint.holding(int(factors.min()), int(factors.max()), weight_frac)
    name = free_name(f"{node.name}_factor", [*model.tensors, *(m.name for m in model.nodes)])
    product = n.Affine(name, node.inputs, name, factors, kind, offsets, frac)
    place = Tensor(name, source.shape, FixedPoint(True, 1, frac), out.scale, out.offset)
    span = node_interval(product, {**model.tensors, name: place}, intervals_of(model))
    wide = FixedPoint.holding(span.least, span.greatest, frac)
    if wide.width > MAX_WIDTH:
        return None
    made: list[tuple[Node, Tensor]] = [(product, replace(place, type=wide))]
    cut = FixedPoint.holding(bottom, top, out.type.frac)
    if cut.hi == top and bottom in (cut.lo, -cut.hi):
        overflow = Overflow.SAT if bottom == cut.lo else Overflow.SAT_SYM
        made.append((n.Cast(node.name, (name,), node.output, (cut,), Rounding.TRN, overflow), out))
        return made
    loose = FixedPoint.holding(span.least >> shift, span.greatest >> shift, out.type.frac)
    between = free_name(f"{node.name}_cut", [name, *model.tensors, *(m.name for m in model.nodes)])
    made.append(
        (
            n.Cast(between, (name,), between, (loose,), Rounding.TRN, Overflow.SAT),
            replace(out, name=between, type=loose),
        )
    )
    made.append((n.Clip(node.name, (between,), node.output, bottom, top), out))
    return made
