"""Power-of-two scales: the one that loses least, found by trying them all."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_FRACS = range(-8, 17)


def best_frac(values: NDArray[np.floating[Any]], low: int, high: int) -> int:
    """The number of fraction bits with the least squared error for codes from `low` to `high`.

    Too few bits round, too many clip; both are counted. All zeros give the finest.
    """
    flat = values.astype(np.float64).ravel()
    errors = []
    for frac in _FRACS:
        codes = np.clip(np.rint(np.ldexp(flat, frac)), low, high)
        errors.append(float(np.mean((np.ldexp(codes, -frac) - flat) ** 2)))
    # The coarser of equals: fewer bits of range are spent on nothing.
    return _FRACS[int(np.argmin(errors))]


def weight_frac(values: NDArray[np.floating[Any]], bits: int) -> int:
    """`best_frac` of signed codes of `bits` bits without the lowest, so that they are symmetric."""
    high = 2 ** (bits - 1) - 1
    return best_frac(values, -high, high)


def activation_frac(values: NDArray[np.floating[Any]], bits: int) -> int:
    """`best_frac` of unsigned codes of `bits` bits."""
    return best_frac(values, 0, 2**bits - 1)
