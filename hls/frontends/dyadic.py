"""Floats that are integers times a power of two, taken apart without loss."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dwell.hls.qmodel import Codes


def power_of_two(scale: npt.ArrayLike) -> npt.NDArray[np.int64] | None:
    """log2 of every element where all are powers of two, else None."""
    values = np.asarray(scale, dtype=np.float64)
    mantissa, exponent = np.frexp(values)
    if not (np.isfinite(values).all() and (mantissa == 0.5).all()):
        return None
    return np.asarray(exponent - 1, dtype=np.int64)


def exact_codes(values: npt.ArrayLike, frac: int) -> Codes | None:
    """``values * 2**frac`` as integers, or None where that is not exact or leaves 62 bits."""
    scaled = np.ldexp(np.asarray(values, dtype=np.float64), frac)
    if (
        not np.isfinite(scaled).all()
        or (np.abs(scaled) >= 2.0**62).any()
        or (scaled != np.rint(scaled)).any()
    ):
        return None
    return scaled.astype(np.int64)


def least_frac(values: npt.ArrayLike, limit: int = 62) -> int | None:
    """The fewest fraction bits (0 or more) that hold all `values` exactly, or None above `limit`."""
    array = np.asarray(values, dtype=np.float64)
    for frac in range(limit + 1):
        scaled = np.ldexp(array, frac)
        if (scaled == np.rint(scaled)).all():
            return frac
    return None
