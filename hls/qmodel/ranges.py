"""Which codes can occur: interval propagation, a channel at a time, in Python integers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from dwell.hls.qmodel.graph import Node, QModel, Recurrent, once_per_graph
from dwell.hls.qmodel.nodes import (
    Add,
    Affine,
    Cast,
    Clip,
    Concat,
    Conv2D,
    Dense,
    Flatten,
    Input,
    LeakyRelu,
    Multiply,
    Pool2D,
    Pooling,
    Relu,
    Reshape,
    Slice,
    Softmax,
    Table,
    TopK,
    Transpose,
)
from dwell.hls.qmodel.shapes import accumulator_frac
from dwell.hls.qmodel.types import Codes, FixedPoint, Overflow, Rounding, Tensor

__all__ = ["Interval", "accumulator_frac", "node_interval", "propagate", "reachable_levels", "round_int"]


@dataclass(frozen=True)
class Interval:
    """Lowest and highest code of each channel (last axis), bounds included."""

    lo: tuple[int, ...]
    hi: tuple[int, ...]

    @property
    def least(self) -> int:
        return min(self.lo)

    @property
    def greatest(self) -> int:
        return max(self.hi)


Pair = tuple[int, int]

#: Times that the states of a recurrence are narrowed; each is sound, so this is no more than an end to it.
_MOST_ROUNDS = 8


def node_interval(node: Node, tensors: Mapping[str, Tensor], known: Mapping[str, Interval]) -> Interval:
    """The interval of the output of `node`, from those of its inputs."""
    out = tensors[node.output]
    if isinstance(node, Input):
        channels = out.shape[-1]
        low = -out.type.hi if node.overflow is Overflow.SAT_SYM and out.type.signed else out.type.lo
        return Interval((low,) * channels, (out.type.hi,) * channels)
    before = known[node.inputs[0]]
    if isinstance(node, Recurrent):
        return _recurrent(node, tensors[node.inputs[0]].type.frac, before)
    if isinstance(node, Add | Multiply | Concat):
        return _joined(node, [tensors[n].type.frac for n in node.inputs], [known[n] for n in node.inputs])
    if isinstance(node, Conv2D | Dense):
        return _linear(node, tensors[node.inputs[0]].type.frac, before)
    if isinstance(node, Affine | Relu | LeakyRelu | Clip | Cast | Table | Pool2D):
        each = _channel_rule(node, tensors[node.inputs[0]].type.frac)
        pairs = [each(c, lo, hi) for c, (lo, hi) in enumerate(zip(before.lo, before.hi, strict=True))]
        return Interval(tuple(p[0] for p in pairs), tuple(p[1] for p in pairs))
    return _rearranged(node, tensors[node.inputs[0]].shape, out, before)


def _rearranged(node: Node, shape: tuple[int, ...], out: Tensor, before: Interval) -> Interval:
    """Nodes whose channels are not those of their input."""
    channels = out.shape[-1]
    if isinstance(node, TopK):
        return Interval((0,) * channels, (shape[-1] - 1,) * channels)
    if isinstance(node, Softmax):
        return Interval((0,) * channels, (min(1 << node.frac, out.type.hi),) * channels)
    if isinstance(node, Slice):
        cut = slice(node.start, node.stop) if node.axis == len(shape) - 1 else slice(None)
        return Interval(before.lo[cut], before.hi[cut])
    if isinstance(node, Flatten | Reshape):
        return _reshaped(before, channels)
    if isinstance(node, Transpose) and node.axes[-1] != len(shape) - 1:
        return Interval((before.least,) * channels, (before.greatest,) * channels)
    return before  # Upsample, and a transpose that leaves the channels where they are


def _reshaped(before: Interval, channels: int) -> Interval:
    """New channel c takes elements c, c + channels, …; element p comes from old channel p modulo their number."""
    old = len(before.lo)
    common = math.gcd(old, channels)
    lo = [min(before.lo[c::common]) for c in range(common)]
    hi = [max(before.hi[c::common]) for c in range(common)]
    times = channels // common
    return Interval(tuple(lo) * times, tuple(hi) * times)


# ---- linear nodes


def _linear(node: Conv2D | Dense, in_frac: int, before: Interval) -> Interval:
    frac = accumulator_frac(node, in_frac)
    lows, highs = before.lo, before.hi
    if isinstance(node, Conv2D) and any(node.padding):
        lows, highs = tuple(min(v, 0) for v in lows), tuple(max(v, 0) for v in highs)
    cin, cout = node.weight.shape[-2:]
    groups = node.groups if isinstance(node, Conv2D) else 1
    flat: npt.NDArray[Any] = node.weight.reshape(-1, cin, cout)
    if max(-int(flat.min()), int(flat.max())) * len(flat) >= 1 << 62:
        flat = flat.astype(object)
    plus, minus = np.maximum(flat, 0).sum(axis=0), np.minimum(flat, 0).sum(axis=0)
    up = 1 << (frac - in_frac - node.weight_type.frac)
    least: list[int] = []
    most: list[int] = []
    each = cout // groups
    for group in range(groups):
        inner, outer = slice(group * cin, (group + 1) * cin), slice(group * each, (group + 1) * each)
        lo, hi = np.array(lows[inner], dtype=object), np.array(highs[inner], dtype=object)
        up_w, down_w = plus[:, outer], minus[:, outer]
        if max(map(abs, (*lo, *hi))) * int((up_w - down_w).astype(object).sum(axis=0).max()) >= 1 << 62:
            up_w, down_w = up_w.astype(object), down_w.astype(object)
        else:
            lo, hi = lo.astype(np.int64), hi.astype(np.int64)
        least += [int(v) * up for v in lo @ up_w + hi @ down_w]
        most += [int(v) * up for v in hi @ up_w + lo @ down_w]
    bias = [int(b) << (frac - node.bias_frac) for b in node.bias]
    return Interval(
        tuple(v + b for v, b in zip(least, bias, strict=True)),
        tuple(v + b for v, b in zip(most, bias, strict=True)),
    )


# ---- nodes that take each channel by itself


def _channel_rule(
    node: Affine | Relu | LeakyRelu | Clip | Cast | Table | Pool2D, in_frac: int
) -> Callable[[int, int, int], Pair]:
    """(channel, lowest, highest) of the input to (lowest, highest) of the output."""
    if isinstance(node, Affine):
        return lambda c, lo, hi: _affine(node, in_frac, c, lo, hi)
    if isinstance(node, Relu):
        return lambda c, lo, hi: (max(lo, 0), max(hi, 0))
    if isinstance(node, LeakyRelu):
        return lambda c, lo, hi: _leaky(node, c, lo, hi)
    if isinstance(node, Clip):
        return lambda c, lo, hi: (min(max(lo, node.lo), node.hi), min(max(hi, node.lo), node.hi))
    if isinstance(node, Table):
        return lambda c, lo, hi: _table(node, c, lo, hi)
    if isinstance(node, Pool2D):
        return lambda c, lo, hi: _pooled(node, lo, hi)
    return lambda c, lo, hi: _cast_channel(lo, hi, in_frac, node, c)


def _affine(node: Affine, in_frac: int, channel: int, lo: int, hi: int) -> Pair:
    frac = accumulator_frac(node, in_frac)
    weight = int(of_channel(node.weight, channel)) << (frac - in_frac - node.weight_type.frac)
    bias = int(of_channel(node.bias, channel)) << (frac - node.bias_frac)
    ends = (lo * weight + bias, hi * weight + bias)
    return min(ends), max(ends)


def _leaky(node: LeakyRelu, channel: int, lo: int, hi: int) -> Pair:
    slope = int(of_channel(node.slope, channel))
    ends = [v << node.slope_frac for v in (max(lo, 0), hi) if v >= 0 and hi >= 0]
    ends += [v * slope for v in (lo, min(hi, -1)) if v < 0 and lo < 0]
    return min(ends), max(ends)


def _table(node: Table, channel: int, lo: int, hi: int) -> Pair:
    first, reached = reachable_levels(node, channel, lo, hi)
    levels = of_channel(node.levels, channel)[first : first + len(reached)][reached]
    return int(levels.min()), int(levels.max())


def reachable_levels(node: Table, channel: int, lo: int, hi: int) -> tuple[int, npt.NDArray[np.bool_]]:
    """The first level that an input from `lo` to `hi` reaches, and which of those from there on are reached."""
    breaks = of_channel(node.breaks, channel)
    first, last = (int(np.searchsorted(breaks, v, side="right")) for v in (lo, hi))
    reached = np.ones(last - first + 1, dtype=np.bool_)
    if last - first > 1:  # a level between two equal breaks is never taken
        inner = breaks[first:last]
        reached[1:-1] = inner[:-1] < inner[1:]
    return first, reached


def _pooled(node: Pool2D, lo: int, hi: int) -> Pair:
    if node.pooling is Pooling.MAX:
        return lo, hi
    if any(node.padding):
        lo, hi = min(lo, 0), max(hi, 0)
    pixels = node.size[0] * node.size[1]
    return lo * pixels, hi * pixels


def of_channel(rows: Codes, channel: int) -> Codes:
    """The entry of `channel` of an array that has one entry for all channels or one for each."""
    return np.asarray(rows[channel if len(rows) > 1 else 0], dtype=np.int64)


def _cast_channel(lo: int, hi: int, in_frac: int, node: Cast, channel: int) -> Pair:
    kind: FixedPoint = node.types[channel if len(node.types) > 1 else 0]
    if kind.width == 0:
        return 0, 0
    low, high = (round_int(v, in_frac - kind.frac, node.rounding) for v in (lo, hi))
    floor = -kind.hi if node.overflow is Overflow.SAT_SYM and kind.signed else kind.lo
    if low < floor or high > kind.hi:
        if node.overflow in (Overflow.SAT, Overflow.SAT_SYM):
            low, high = (min(max(v, floor), kind.hi) for v in (low, high))
        else:
            low, high = kind.lo, kind.hi
    return low << (node.frac - kind.frac), high << (node.frac - kind.frac)


def round_int(value: int, shift: int, rounding: Rounding) -> int:
    """``value * 2**-shift`` rounded; Python integers, so of any size."""
    if shift <= 0:
        return value << -shift
    floor, rest, half = value >> shift, value & ((1 << shift) - 1), 1 << (shift - 1)
    if rest == 0 or rounding is Rounding.TRN:
        return floor
    if rounding is Rounding.TRN_ZERO:
        return floor + int(value < 0)
    if rest != half:
        return floor + int(rest > half)
    tie_goes_up = {
        Rounding.RND: True,
        Rounding.RND_MIN_INF: False,
        Rounding.RND_ZERO: value < 0,
        Rounding.RND_INF: value > 0,
        Rounding.RND_CONV: floor % 2 == 1,
    }
    return floor + int(tie_goes_up[rounding])


# ---- nodes that join tensors


def _joined(node: Add | Multiply | Concat, fracs: Sequence[int], parts: Sequence[Interval]) -> Interval:
    if isinstance(node, Multiply):
        first, second = parts
        corners = [
            (a * c, a * d, b * c, b * d)
            for a, b, c, d in zip(first.lo, first.hi, second.lo, second.hi, strict=True)
        ]
        return Interval(tuple(min(v) for v in corners), tuple(max(v) for v in corners))
    lows = [[v << (max(fracs) - f) for v in part.lo] for f, part in zip(fracs, parts, strict=True)]
    highs = [[v << (max(fracs) - f) for v in part.hi] for f, part in zip(fracs, parts, strict=True)]
    if isinstance(node, Concat):
        return Interval(tuple(v for row in lows for v in row), tuple(v for row in highs for v in row))
    return Interval(
        tuple(sum(v) for v in zip(*lows, strict=True)), tuple(sum(v) for v in zip(*highs, strict=True))
    )


@once_per_graph
def intervals_of(model: QModel) -> Mapping[str, Interval]:
    """The lowest and highest code each tensor can hold, by interval arithmetic over the weights of a valid graph."""
    return MappingProxyType(propagate(model.nodes, model.tensors))


def value_range(model: QModel, tensor: str) -> tuple[Codes, Codes]:
    """Lowest and highest code per channel (C,) that `tensor` can hold."""
    interval = intervals_of(model)[tensor]
    return np.array(interval.lo, dtype=np.int64), np.array(interval.hi, dtype=np.int64)


def propagate(
    nodes: Sequence[Node], tensors: Mapping[str, Tensor], entry: Interval | None = None
) -> dict[str, Interval]:
    """The interval of every tensor of a valid graph; `entry` is that of its input, by default all of its type."""
    known: dict[str, Interval] = {}
    for node in nodes:
        own = entry if isinstance(node, Input) else None
        known[node.output] = own or node_interval(node, tensors, known)
    return known


# ---- a body, step by step


def _recurrent(node: Recurrent, in_frac: int, before: Interval) -> Interval:
    """The results of any step: those of the body for every state that a step can find."""
    return steps_interval(node, in_frac, before)[0]


def steps_interval(node: Recurrent, in_frac: int, before: Interval) -> tuple[Interval, Interval]:
    """Intervals of the results and of the state.

    By induction over the steps: the first state lies in the declared type, and the body maps every state of that
    type into it. Where it maps a set of states that holds the first one into a smaller one, no step leaves the
    smaller one and the first; taken again and again that is a falling sequence of such sets.
    """
    body = node.body
    kind, size, up = body.tensors[body.input].type, len(node.initial), node.frac - in_frac
    fed = (tuple(v << up for v in before.lo), tuple(v << up for v in before.hi))
    first = tuple(int(v) for v in node.initial)
    state = Interval((kind.lo,) * size, (kind.hi,) * size)
    for _ in range(_MOST_ROUNDS):
        entry = Interval(fed[0] + state.lo, fed[1] + state.hi)
        done = propagate(body.order(), body.tensors, entry)[body.output]
        lows, highs = done.lo[node.results :], done.hi[node.results :]
        found = Interval(
            tuple(map(max, state.lo, map(min, first, lows))),
            tuple(map(min, state.hi, map(max, first, highs))),
        )
        if found == state:
            break
        state = found
    return Interval(done.lo[: node.results], done.hi[: node.results]), state
