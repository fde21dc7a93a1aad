"""Which codes can occur: interval propagation, a channel at a time, in Python integers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dwell.hls.qmodel.nodes import Cast, Conv2D, Dense, Flatten, Input, Node, Relu
from dwell.hls.qmodel.types import FixedPoint, Overflow, Rounding, Tensor


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


def accumulator_frac(node: Conv2D | Dense, in_frac: int) -> int:
    """Fraction bits of the exact accumulator of `node`."""
    return max(in_frac + node.weight_type.frac, node.bias_frac)


def node_interval(node: Node, tensors: Mapping[str, Tensor], known: Mapping[str, Interval]) -> Interval:
    """The interval of the output of `node`, from those of its inputs."""
    out = tensors[node.output]
    channels = out.shape[-1]
    if isinstance(node, Input):
        low = -out.type.hi if node.overflow is Overflow.SAT_SYM and out.type.signed else out.type.lo
        return Interval((low,) * channels, (out.type.hi,) * channels)
    before = known[node.inputs[0]]
    in_type = tensors[node.inputs[0]].type
    if isinstance(node, Conv2D | Dense):
        return _linear(node, in_type.frac, before)
    if isinstance(node, Relu):
        return Interval(tuple(max(0, v) for v in before.lo), tuple(max(0, v) for v in before.hi))
    if isinstance(node, Cast):
        return _cast(node, in_type.frac, before)
    if isinstance(node, Flatten) and tensors[node.inputs[0]].shape:
        times = channels // len(before.lo)
        return Interval(before.lo * times, before.hi * times)
    return Interval((before.least,) * channels, (before.greatest,) * channels)


def _linear(node: Conv2D | Dense, in_frac: int, before: Interval) -> Interval:
    frac = accumulator_frac(node, in_frac)
    lo, hi = np.array(before.lo, dtype=object), np.array(before.hi, dtype=object)
    if isinstance(node, Conv2D) and any(node.padding):
        lo, hi = np.minimum(lo, 0), np.maximum(hi, 0)
    flat = node.weight.reshape(-1, len(before.lo), node.weight.shape[-1])
    plus = np.maximum(flat, 0).astype(object).sum(axis=0)
    minus = np.minimum(flat, 0).astype(object).sum(axis=0)
    up = 1 << (frac - in_frac - node.weight_type.frac)
    bias = [int(b) << (frac - node.bias_frac) for b in node.bias]
    least = (lo @ plus + hi @ minus) * up
    most = (hi @ plus + lo @ minus) * up
    return Interval(
        tuple(int(v) + b for v, b in zip(least, bias, strict=True)),
        tuple(int(v) + b for v, b in zip(most, bias, strict=True)),
    )


def _cast(node: Cast, in_frac: int, before: Interval) -> Interval:
    types = node.types * len(before.lo) if len(node.types) == 1 else node.types
    pairs = [
        _cast_channel(lo, hi, in_frac, kind, node.frac, node.rounding, node.overflow)
        for lo, hi, kind in zip(before.lo, before.hi, types, strict=True)
    ]
    return Interval(tuple(p[0] for p in pairs), tuple(p[1] for p in pairs))


def _cast_channel(
    lo: int, hi: int, in_frac: int, kind: FixedPoint, out_frac: int, rounding: Rounding, overflow: Overflow
) -> tuple[int, int]:
    if kind.width == 0:
        return 0, 0
    low, high = (round_int(v, in_frac - kind.frac, rounding) for v in (lo, hi))
    floor = -kind.hi if overflow is Overflow.SAT_SYM and kind.signed else kind.lo
    if low < floor or high > kind.hi:
        if overflow in (Overflow.SAT, Overflow.SAT_SYM):
            low, high = (min(max(v, floor), kind.hi) for v in (low, high))
        else:
            low, high = kind.lo, kind.hi
    return low << (out_frac - kind.frac), high << (out_frac - kind.frac)


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


def propagate(nodes: Sequence[Node], tensors: Mapping[str, Tensor]) -> dict[str, Interval]:
    """The interval of every tensor of a valid graph."""
    known: dict[str, Interval] = {}
    for node in nodes:
        known[node.output] = node_interval(node, tensors, known)
    return known
