"""How many codes go into a beat."""

from __future__ import annotations

from dwell.hls.rtl.folded.folding import divisors

#: Bits of an input beat, at most; of an output beat.
MOST_IN_BITS, MOST_OUT_BITS = 64, 512


def input_elements(size: int, width: int, most_bits: int = MOST_IN_BITS) -> int:
    """The largest divisor of `size` such that a beat has at most `most_bits` bits (one code at least)."""
    return max((d for d in divisors(size) if d * width <= most_bits), default=1)


def output_elements(size: int, width: int, lanes: int) -> int:
    """The largest multiple of `lanes` that divides `size` and fits a beat; `lanes` where none does."""
    fitting = [d for d in divisors(size) if d % lanes == 0 and d * width <= MOST_OUT_BITS]
    return max(fitting, default=lanes)
