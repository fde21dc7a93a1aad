"""Activation and quantizer as one hardware primitive (``lib/dwell_cast.v``)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from dwell.errors import InternalError
from dwell.hls.qmodel.types import FixedPoint, Overflow, Rounding

Codes: TypeAlias = npt.NDArray[np.int64]


class RoundMode(IntEnum):
    """Parameter ROUND of ``dwell_cast``."""

    TRN = 0
    RND = 1
    RND_CONV = 2
    TRN_ZERO = 3
    RND_ZERO = 4
    RND_INF = 5
    RND_MIN_INF = 6
    EVEN_AFTER_HALF = 7


class OverflowMode(IntEnum):
    """Parameter OVERFLOW of ``dwell_cast``."""

    WRAP = 0
    SAT = 1
    SAT_SYM = 2
    SAT_ZERO = 3


@dataclass(frozen=True)
class Requantize:
    """``max(0, a)`` where `relu`, then `drop` bits rounded away or `up` places left, then into `bits`."""

    relu: bool
    drop: int
    up: int
    rounding: RoundMode
    overflow: OverflowMode
    bits: int
    signed: bool

    @property
    def lo(self) -> int:
        """Lowest code of the result's type."""
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def hi(self) -> int:
        """Highest code of the result's type."""
        return (1 << (self.bits - int(self.signed))) - 1

    @property
    def does_nothing(self) -> bool:
        """Whether it is a wire, bits and binary point apart."""
        return not (self.relu or self.drop or self.up) and self.overflow is OverflowMode.WRAP

    def rounded(self, codes: Codes) -> Codes:
        """Codes after rounding, before overflow; a sign, a half and a rest, as the hardware has them."""
        if self.drop == 0:
            return codes << self.up
        floor = codes >> self.drop
        if self.rounding is RoundMode.TRN:
            return floor
        rest = codes & ((1 << self.drop) - 1)
        if self.rounding is RoundMode.EVEN_AFTER_HALF:
            return np.where(rest == 0, floor & ~np.int64(1), floor)
        half = (rest >> (self.drop - 1)) == 1
        more = (rest & ((1 << (self.drop - 1)) - 1)) != 0
        minus = codes < 0
        up = {
            RoundMode.RND: half,
            RoundMode.RND_CONV: half & (more | ((floor & 1) == 1)),
            RoundMode.TRN_ZERO: minus & (half | more),
            RoundMode.RND_ZERO: half & (more | minus),
            RoundMode.RND_INF: half & (more | ~minus),
            RoundMode.RND_MIN_INF: half & more,
        }[self.rounding]
        return np.asarray(floor + up, dtype=np.int64)

    def apply(self, codes: Codes) -> Codes:
        """Codes of the result."""
        value = self.rounded(codes)
        fits = (value >= self.lo) & (value <= self.hi)
        mask = np.int64((1 << self.bits) - 1)
        wrapped = value & mask
        if self.signed:
            wrapped = np.where(wrapped > self.hi, wrapped - (mask + 1), wrapped)
        if self.overflow is OverflowMode.WRAP:
            out = wrapped
        elif self.overflow is OverflowMode.SAT_ZERO:
            out = np.where(fits, value, 0)
        else:
            lowest = -self.hi if self.signed and self.overflow is OverflowMode.SAT_SYM else self.lo
            out = np.clip(value, lowest, self.hi)
        return np.where(codes < 0, np.int64(0), out) if self.relu else np.asarray(out, dtype=np.int64)

    def bounds(self, lo: int, hi: int) -> tuple[int, int]:
        """Lowest and highest result for codes from `lo` to `hi`."""
        if self.relu:
            lo, hi = max(lo, 0), max(hi, 0)
        least, most = (int(self.rounded(np.array([v], dtype=np.int64))[0]) for v in (lo, hi))
        lowest = -self.hi if self.signed and self.overflow is OverflowMode.SAT_SYM else self.lo
        if least >= lowest and most <= self.hi:
            return least, most
        if self.overflow in (OverflowMode.SAT, OverflowMode.SAT_SYM):
            return min(max(least, lowest), self.hi), min(max(most, lowest), self.hi)
        return self.lo, self.hi


@dataclass(frozen=True)
class CastPlan:
    """How to make one cast: add `offset` (a code of the operand) first, then apply `rule`."""

    offset: int
    rule: Requantize


#: Roundings that a constant added before the cut does, so that no incrementer is needed: halves of a
#: step to add, less `minus` codes, then the mode for the cut itself.
_BY_OFFSET: dict[Rounding, tuple[int, RoundMode]] = {
    Rounding.RND: (0, RoundMode.TRN),
    Rounding.RND_MIN_INF: (1, RoundMode.TRN),
    Rounding.RND_CONV: (0, RoundMode.EVEN_AFTER_HALF),
}


def plan_cast(
    lo: int,
    hi: int,
    frac: int,
    kind: FixedPoint,
    *,
    relu: bool,
    rounding: Rounding,
    overflow: Overflow,
    free_offset: bool,
) -> CastPlan:
    """The cheapest exact cast of codes from `lo` to `hi` with `frac` fraction bits to `kind`.

    `free_offset`: the operand is a sum with a constant in it, to which another constant can be added.
    Overflow logic is left out where the interval shows that nothing overflows.
    """
    if kind.width < 1:
        raise InternalError("a channel of width 0 needs no cast")
    drop, up = max(frac - kind.frac, 0), max(kind.frac - frac, 0)
    if relu and lo >= 0:
        relu = False
    if relu or lo >= 0:
        # A number that is not negative: half away from zero is half up, and so on.
        rounding = {
            Rounding.TRN_ZERO: Rounding.TRN,
            Rounding.RND_INF: Rounding.RND,
            Rounding.RND_ZERO: Rounding.RND_MIN_INF,
        }.get(rounding, rounding)
    offset, mode = 0, RoundMode.TRN
    if drop and free_offset and rounding in _BY_OFFSET:
        less, mode = _BY_OFFSET[rounding]
        offset = (1 << (drop - 1)) - less
    elif drop:
        mode = RoundMode[rounding.value]
    rule = Requantize(relu, drop, up, mode, OverflowMode[overflow.value], kind.width, kind.signed)
    return CastPlan(offset, _trimmed(rule, lo + offset, hi + offset))


def _trimmed(rule: Requantize, lo: int, hi: int) -> Requantize:
    """The same cast with fewer bits or less logic, as far as the interval allows."""
    wide = replace(rule, overflow=OverflowMode.WRAP, bits=60, signed=True)
    least, most = wide.bounds(lo, hi)
    symmetric = rule.signed and rule.overflow is OverflowMode.SAT_SYM
    if least >= (-rule.hi if symmetric else rule.lo) and most <= rule.hi:
        bits = max(max(most, 0).bit_length(), (-least - 1).bit_length() if least < 0 else 0)
        return replace(rule, overflow=OverflowMode.WRAP, bits=max(bits + int(least < 0), 1), signed=least < 0)
    if least >= 0 and rule.signed and rule.bits > 1 and rule.overflow is not OverflowMode.WRAP:
        mode = OverflowMode.SAT if symmetric else rule.overflow
        return replace(rule, overflow=mode, bits=rule.bits - 1, signed=False)
    return rule
