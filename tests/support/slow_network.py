"""A network computed element by element in exact fractions, from the definitions of its nodes alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from dwell.hls.qmodel import FixedPoint, Node, Overflow, Pooling, QModel, Rounding, Tensor
from dwell.hls.qmodel import nodes as n
from dwell.hls.qmodel.graph import Recurrent

Index = tuple[int, ...]
Grid = dict[Index, Fraction]


def slow_trace(model: QModel, frame: np.ndarray) -> dict[str, Grid]:
    """Every tensor of one frame of input codes; an element is ``code * 2**-frac``."""
    entry = model.tensors[model.input]
    found: dict[str, Grid] = {
        model.input: {i: Fraction(int(frame[i])) / power(entry.type.frac) for i in np.ndindex(frame.shape)}
    }
    for node in model.nodes:
        if not isinstance(node, n.Input):
            sources = [found[name] for name in node.inputs]
            kinds = [model.tensors[name] for name in node.inputs]
            found[node.output] = _node(node, sources, kinds, model.tensors[node.output])
    return found


def slow_codes(grid: Grid, tensor: Tensor) -> np.ndarray:
    """The codes of a grid, as an array."""
    out = np.zeros([max(i[a] for i in grid) + 1 for a in range(len(next(iter(grid))))], dtype=np.int64)
    assert out.size == len(grid)
    for index, value in grid.items():
        code = value * power(tensor.type.frac)
        assert code.denominator == 1, (tensor.name, index, value)
        out[index] = int(code)
    return out


def power(exponent: int) -> Fraction:
    return Fraction(2) ** exponent


def rounded(value: Fraction, mode: Rounding) -> int:
    """The rounding modes written out from their definitions."""
    low = math.floor(value)
    if value == low or mode is Rounding.TRN:
        return low
    if mode is Rounding.TRN_ZERO:
        return math.trunc(value)
    middle = low + Fraction(1, 2)
    if value != middle:
        return low if value < middle else low + 1
    return {
        Rounding.RND: low + 1,
        Rounding.RND_MIN_INF: low,
        Rounding.RND_ZERO: low if value > 0 else low + 1,
        Rounding.RND_INF: low + 1 if value > 0 else low,
        Rounding.RND_CONV: low if low % 2 == 0 else low + 1,
    }[mode]


def fitted(code: int, kind: FixedPoint, mode: Overflow) -> int:
    """The overflow modes written out from their definitions."""
    if kind.width == 0:
        return 0
    if mode is Overflow.WRAP:
        code %= 2**kind.width
        return code - 2**kind.width if code > kind.hi else code
    if mode is Overflow.SAT_ZERO:
        return code if kind.lo <= code <= kind.hi else 0
    low = -kind.hi if mode is Overflow.SAT_SYM and kind.signed else kind.lo
    return min(max(code, low), kind.hi)


def _node(node: Node, sources: Sequence[Grid], kinds: Sequence[Tensor], out: Tensor) -> Grid:
    first, frac = sources[0], kinds[0].type.frac
    if isinstance(node, n.Conv2D):
        return _conv(node, first, _lengths(first))
    if isinstance(node, n.Dense):
        return _dense(node, first, _lengths(first))
    if isinstance(node, n.Pool2D):
        return _pool(node, first, _lengths(first))
    if isinstance(node, n.Add):
        return {i: v + sources[1][i] for i, v in first.items()}
    if isinstance(node, n.Multiply):
        return {i: v * sources[1][i] for i, v in first.items()}
    if isinstance(node, n.Concat):
        return _concat(sources)
    if isinstance(node, n.TopK | n.Softmax):
        return _rows(node, first, frac, out)
    if isinstance(node, Recurrent):
        return _steps(node, first)
    if isinstance(node, n.Transpose | n.Slice | n.Upsample | n.Flatten | n.Reshape):
        return _moved(node, first, out)
    return {i: _element(node, v, i[-1], frac, out) for i, v in first.items()}


def _steps(node: Recurrent, grid: Grid) -> Grid:
    """The body for a step after the other; its state's codes go round as they are."""
    body, found = node.body, Grid()
    entry, made = body.tensors[body.input], body.tensors[body.output]
    steps, features = _lengths(grid)
    state = [int(code) for code in node.initial]
    for step in range(steps):
        given = [int(grid[step, c] * power(entry.type.frac)) for c in range(features)]
        done = slow_codes(slow_trace(body, np.array([*given, *state]))[body.output], made)
        size = len(done) - len(state)
        state = [int(code) for code in done[size:]]
        for c in range(size):
            found[(step, c) if node.sequence else (c,)] = Fraction(int(done[c])) / power(made.type.frac)
    return found


def _lengths(grid: Grid) -> Index:
    return tuple(max(i[a] for i in grid) + 1 for a in range(len(next(iter(grid)))))


def _own(rows: np.ndarray, channel: int) -> np.ndarray:
    return rows[channel] if len(rows) > 1 else rows[0]


def _element(node: Node, value: Fraction, channel: int, frac: int, out: Tensor) -> Fraction:
    if isinstance(node, n.Relu):
        return max(value, Fraction(0))
    if isinstance(node, n.LeakyRelu):
        slope = int(_own(node.slope, channel)) / power(node.slope_frac)
        return value if value >= 0 else value * slope
    if isinstance(node, n.Clip):
        return min(max(value, node.lo / power(frac)), node.hi / power(frac))
    if isinstance(node, n.Affine):
        factor = int(_own(node.weight, channel)) / power(node.weight_type.frac)
        return value * factor + int(_own(node.bias, channel)) / power(node.bias_frac)
    if isinstance(node, n.Table):
        passed = sum(int(b) / power(frac) <= value for b in _own(node.breaks, channel))
        return int(_own(node.levels, channel)[passed]) / power(out.type.frac)
    assert isinstance(node, n.Cast)
    kind = node.types[channel if len(node.types) > 1 else 0]
    return fitted(rounded(value * power(kind.frac), node.rounding), kind, node.overflow) / power(kind.frac)


def _conv(node: n.Conv2D, grid: Grid, shape: Index) -> Grid:
    kh, kw, cin, cout = node.weight.shape
    (top, bottom, left, right), (sy, sx), (dy, dx) = node.padding, node.stride, node.dilation
    found: Grid = {}
    for k in range(cout):
        group = k // (cout // node.groups)
        taps = {
            (i * dy - top, j * dx - left, group * cin + c): int(node.weight[i, j, c, k])
            for i, j, c in np.ndindex(kh, kw, cin)
        }
        for y in range(0, shape[0] + top + bottom - (kh - 1) * dy, sy):
            for x in range(0, shape[1] + left + right - (kw - 1) * dx, sx):
                total = sum(
                    (grid.get((y + i, x + j, c), Fraction(0)) * w for (i, j, c), w in taps.items()),
                    Fraction(0),
                )
                total /= power(node.weight_type.frac)
                found[y // sy, x // sx, k] = total + int(node.bias[k]) / power(node.bias_frac)
    return found


def _dense(node: n.Dense, grid: Grid, shape: Index) -> Grid:
    found: Grid = {}
    for index in np.ndindex(*shape[:-1], node.weight.shape[1]):
        *row, k = index
        terms = [grid[(*row, c)] * int(node.weight[c, k]) for c in range(shape[-1])]
        total = sum(terms, Fraction(0)) / power(node.weight_type.frac)
        found[index] = total + int(node.bias[k]) / power(node.bias_frac)
    return found


def _pool(node: n.Pool2D, grid: Grid, shape: Index) -> Grid:
    (top, bottom, left, right), (sy, sx) = node.padding, node.stride
    found: Grid = {}
    for y in range(0, shape[0] + top + bottom - node.size[0] + 1, sy):
        for x in range(0, shape[1] + left + right - node.size[1] + 1, sx):
            for c in range(shape[2]):
                at = [(y + i - top, x + j - left, c) for i, j in np.ndindex(*node.size)]
                seen = [grid[i] for i in at if i in grid]
                value = max(seen) if node.pooling is Pooling.MAX else sum(seen, Fraction(0))
                found[y // sy, x // sx, c] = value / power(node.shift)
    return found


def _concat(sources: Sequence[Grid]) -> Grid:
    found: Grid = {}
    start = 0
    for grid in sources:
        found |= {(*i[:-1], start + i[-1]): v for i, v in grid.items()}
        start += _lengths(grid)[-1]
    return found


def _rows(node: n.TopK | n.Softmax, grid: Grid, frac: int, out: Tensor) -> Grid:
    *outer, size = _lengths(grid)
    found: Grid = {}
    for row in np.ndindex(*outer):
        values = [grid[(*row, c)] for c in range(size)]
        if isinstance(node, n.TopK):
            order = sorted(range(size), key=lambda c: (-values[c], c))
            found |= {(*row, j): Fraction(order[j]) for j in range(node.k)}
            continue
        steps = [int((max(values) - v) * power(frac)) for v in values]
        parts = [int(node.exponentials[min(s, len(node.exponentials) - 1)]) for s in steps]
        for c, part in enumerate(parts):
            code = min(math.floor(part * power(node.frac) / sum(parts)), out.type.hi)
            found[(*row, c)] = code / power(node.frac)
    return found


def _moved(node: n.Transpose | n.Slice | n.Upsample | n.Flatten | n.Reshape, grid: Grid, out: Tensor) -> Grid:
    if isinstance(node, n.Transpose):
        return {tuple(i[a] for a in node.axes): v for i, v in grid.items()}
    if isinstance(node, n.Slice):
        cut = {i: v for i, v in grid.items() if node.start <= i[node.axis] < node.stop}
        return {(*i[: node.axis], i[node.axis] - node.start, *i[node.axis + 1 :]): v for i, v in cut.items()}
    if isinstance(node, n.Upsample):
        (fy, fx), (rows, columns, channels) = node.factor, _lengths(grid)
        return {
            (y, x, c): grid[y // fy, x // fx, c] for y, x, c in np.ndindex(rows * fy, columns * fx, channels)
        }
    values = [grid[i] for i in sorted(grid)]  # C order
    return dict(zip(np.ndindex(*out.shape), values, strict=True))
