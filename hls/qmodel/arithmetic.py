"""Exact rounding, overflow and casts on int64 codes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dwell.hls.qmodel.types import Codes, FixedPoint, Overflow, Rounding

Floats = npt.NDArray[np.float64]
Shift = Codes | int


def shift_round(codes: Codes, shift: Shift, rounding: Rounding) -> Codes:
    """``codes * 2**-shift`` rounded to integers; a negative `shift` multiplies exactly.

    `shift` broadcasts against `codes` and is within ±62; ``|codes| <= 2**61``, and the caller has
    made sure that a left shift does not leave int64 (`dwell.hls.qmodel.validate`).
    """
    shifts = np.asarray(shift, dtype=np.int64)
    if not shifts.any():
        return codes
    down = np.maximum(shifts, 0)
    up = np.maximum(-shifts, 0)
    floor = codes >> down
    if down.any() and rounding is not Rounding.TRN:
        rest = codes - (floor << down)  # 0 <= rest < 2**down
        half = np.where(down > 0, np.int64(1) << np.maximum(down - 1, 0), np.int64(1))
        floor = floor + _carry(codes, floor, rest, half, rounding)
    return np.asarray(floor << up if up.any() else floor, dtype=np.int64)


def _carry(codes: Codes, floor: Codes, rest: Codes, half: Codes, rounding: Rounding) -> npt.NDArray[np.bool_]:
    """True where the rounded value lies one above the floor."""
    if rounding is Rounding.RND:
        up = rest >= half
    elif rounding is Rounding.RND_MIN_INF:
        up = rest > half
    elif rounding is Rounding.TRN_ZERO:
        up = (codes < 0) & (rest > 0)
    elif rounding is Rounding.RND_CONV:
        up = (rest > half) | ((rest == half) & ((floor & 1) == 1))
    elif rounding is Rounding.RND_ZERO:
        up = (rest > half) | ((rest == half) & (codes < 0))
    elif rounding is Rounding.RND_INF:
        up = (rest > half) | ((rest == half) & (codes > 0))
    else:
        raise ValueError(rounding)
    return np.asarray(up, dtype=np.bool_)


def apply_overflow(codes: Codes, lo: Shift, hi: Shift, overflow: Overflow) -> Codes:
    """Bring `codes` into lo..hi, which are the bounds of a fixed-point type (or of one per channel)."""
    low = np.asarray(lo, dtype=np.int64)
    high = np.asarray(hi, dtype=np.int64)
    if overflow is Overflow.SAT:
        out = np.clip(codes, low, high)
    elif overflow is Overflow.SAT_SYM:
        out = np.clip(codes, np.where(low < 0, -high, low), high)
    elif overflow is Overflow.SAT_ZERO:
        out = np.where((codes < low) | (codes > high), np.int64(0), codes)
    elif overflow is Overflow.WRAP:
        out = ((codes - low) & (high - low)) + low  # high - low is 2**width - 1
    else:
        raise ValueError(overflow)
    return np.asarray(out, dtype=np.int64)


def cast_codes(
    codes: Codes,
    frac: int,
    types: Sequence[FixedPoint],
    out_frac: int,
    rounding: Rounding,
    overflow: Overflow,
) -> Codes:
    """Codes with `frac` fraction bits as codes of `types` (one, or one per channel) with `out_frac`."""
    live = [t.width > 0 for t in types]
    # An absent channel (width 0) is clipped to zero whatever its declared fraction is.
    fracs = [t.frac if on else out_frac for t, on in zip(types, live, strict=True)]
    if len(types) == 1:
        kind = types[0]
        done = apply_overflow(shift_round(codes, frac - fracs[0], rounding), kind.lo, kind.hi, overflow)
        return done << (out_frac - fracs[0]) if out_frac != fracs[0] else done
    per = np.array(fracs, dtype=np.int64)
    low = np.array([t.lo for t in types], dtype=np.int64)
    high = np.array([t.hi for t in types], dtype=np.int64)
    done = apply_overflow(shift_round(codes, frac - per, rounding), low, high, overflow)
    return np.asarray(done << (out_frac - per), dtype=np.int64)


_TINY = float(np.finfo(np.float64).tiny)


def float_to_codes(values: npt.ArrayLike, kind: FixedPoint, rounding: Rounding, overflow: Overflow) -> Codes:
    """Finite floats as codes of `kind`, computed without any intermediate rounding."""
    floats: Floats = np.asarray(values, dtype=np.float64)
    with np.errstate(over="ignore", under="ignore"):
        scaled: Floats = np.ldexp(floats, kind.frac)
    # What ldexp drove to zero still has a sign, and a floor below it.
    scaled = np.where((scaled == 0.0) & (floats != 0.0), np.copysign(_TINY, floats), scaled)
    floor = np.floor(scaled)
    if rounding is not Rounding.TRN:
        floor = floor + _carry_float(scaled, floor, rounding)
    if overflow is Overflow.WRAP:
        # A magnitude that ldexp drove to infinity is a multiple of any span: it wraps to zero.
        wrapped = np.fmod(np.where(np.isfinite(floor), floor, 0.0), float(2.0**kind.width))
        return apply_overflow(wrapped.astype(np.int64), kind.lo, kind.hi, overflow)
    limit = float(2.0**62)  # beyond every type, within int64
    return apply_overflow(np.clip(floor, -limit, limit).astype(np.int64), kind.lo, kind.hi, overflow)


def _carry_float(scaled: Floats, floor: Floats, rounding: Rounding) -> npt.NDArray[np.bool_]:
    """True where the rounded value lies one above the floor.

    A number with a fraction is below 2**52 in magnitude, so its floor plus a half is exact.
    """
    broken = scaled != floor
    middle = floor + 0.5
    above, tie = scaled > middle, scaled == middle
    if rounding is Rounding.RND:
        up = above | tie
    elif rounding is Rounding.RND_MIN_INF:
        up = above
    elif rounding is Rounding.TRN_ZERO:
        up = scaled < 0
    elif rounding is Rounding.RND_CONV:
        up = above | (tie & (np.fmod(floor, 2.0) != 0.0))
    elif rounding is Rounding.RND_ZERO:
        up = above | (tie & (scaled < 0))
    elif rounding is Rounding.RND_INF:
        up = above | (tie & (scaled > 0))
    else:
        raise ValueError(rounding)
    return np.asarray(broken & up, dtype=np.bool_)
