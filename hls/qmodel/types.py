"""What the values of an integer graph are: codes, fixed-point types and tensors.

Codes are ``int64``; a code stands for ``code * 2**-frac * scale + offset``. Arrays are channels-last
and have no batch axis. Everything here is frozen.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from dwell.errors import ConfigError

Codes: TypeAlias = npt.NDArray[np.int64]

#: Widest type the interpreter computes without overflow of ``int64`` in a cast.
MAX_WIDTH = 62


class Rounding(StrEnum):
    """How a cast drops fraction bits; names and meaning of Vitis HLS' ``ap_q_mode``."""

    TRN = "TRN"  # towards minus infinity
    TRN_ZERO = "TRN_ZERO"  # towards zero
    RND = "RND"  # nearest, half towards plus infinity
    RND_ZERO = "RND_ZERO"  # nearest, half towards zero
    RND_INF = "RND_INF"  # nearest, half away from zero
    RND_MIN_INF = "RND_MIN_INF"  # nearest, half towards minus infinity
    RND_CONV = "RND_CONV"  # nearest, half to even


class Overflow(StrEnum):
    """What a cast does with a code that does not fit; names of Vitis HLS' ``ap_o_mode``."""

    WRAP = "WRAP"  # keep the low bits
    SAT = "SAT"  # nearest representable code
    SAT_SYM = "SAT_SYM"  # as SAT, and the most negative code becomes its neighbour
    SAT_ZERO = "SAT_ZERO"  # zero


@dataclass(frozen=True)
class FixedPoint:
    """An integer of `width` bits standing for ``code * 2**-frac``. Width 0 holds only zero."""

    signed: bool
    width: int
    frac: int

    @property
    def lo(self) -> int:
        """Lowest code."""
        return -(1 << (self.width - 1)) if self.signed and self.width > 0 else 0

    @property
    def hi(self) -> int:
        """Highest code."""
        if self.width == 0:
            return 0
        return (1 << (self.width - int(self.signed))) - 1

    @property
    def step(self) -> float:
        """Value of one code."""
        return float(2.0**-self.frac)

    def __str__(self) -> str:
        return f"{'' if self.signed else 'u'}fixed<{self.width},{self.width - self.frac}>"

    @classmethod
    def parse(cls, text: str) -> FixedPoint:
        """Read ``fixed<16,6>`` or ``ufixed<8,0>``: total bits, then integer bits (sign included).

        Raises `ConfigError` on anything else, and on a width outside 1 to 62.
        """
        hint = "write fixed<W,I> or ufixed<W,I>: W bits in all, I of them before the binary point"
        match = re.fullmatch(r"\s*(u?)fixed\s*<\s*(\d{1,4})\s*,\s*([+-]?\d{1,4})\s*>\s*", text)
        if match is None:
            raise ConfigError(f"{text!r} is not a fixed-point type", hint=hint)
        width, integer = int(match[2]), int(match[3])
        if not 1 <= width <= MAX_WIDTH:
            raise ConfigError(f"{text!r}: width {width} is outside 1 to {MAX_WIDTH}", hint=hint)
        if abs(width - integer) > MAX_WIDTH:
            raise ConfigError(
                f"{text!r}: {width - integer} fraction bits are outside ±{MAX_WIDTH}", hint=hint
            )
        return cls(match[1] == "", width, width - integer)

    @classmethod
    def holding(cls, lo: int, hi: int, frac: int) -> FixedPoint:
        """The narrowest type of `frac` fraction bits whose codes include `lo` and `hi` (at least 1 bit)."""
        if lo < 0:
            return cls(True, max(max(hi, 0).bit_length(), (-lo - 1).bit_length()) + 1, frac)
        return cls(False, max(hi.bit_length(), 1), frac)


@dataclass(frozen=True)
class Tensor:
    """A value in the graph: a code stands for ``code * 2**-type.frac * scale + offset``.

    `scale` and `offset` are one number or one per channel (last axis); they matter only at the two ends,
    never to a code.
    """

    name: str
    shape: tuple[int, ...]
    type: FixedPoint
    scale: float | tuple[float, ...] = 1.0
    offset: float | tuple[float, ...] = 0.0


def frozen_codes(array: npt.ArrayLike) -> Codes:
    """A read-only, C-ordered int64 copy of `array`. Raises `ConfigError` if it does not hold integers."""
    given = np.asarray(array)
    if given.dtype.kind not in "iu":
        raise ConfigError(f"weights and biases of a QModel are integers, not {given.dtype}")
    codes = np.array(given, dtype=np.int64, order="C", copy=True)
    codes.setflags(write=False)
    return codes
