"""Values between two nodes of the graph: signals whose last constant and clipping wait for the quantizer.

A sum of products has a bias, often an activation, and then a cast whose rounding is a constant to add as
well. So the bias is not added at once: the cast adds both in one adder, and clips on the way.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from dwell.errors import InternalError
from dwell.hls.qmodel.types import FixedPoint, Overflow, Rounding
from dwell.hls.rtl.circuit.builder import CircuitBuilder, Range, Signal
from dwell.hls.rtl.circuit.casts import plan_cast


@dataclass(frozen=True)
class Value:
    """``signal + constant * 2**-frac``, then clipped at zero where `relu`.

    `summed`: it comes out of adders, to which another constant can be added at no cost in logic levels.
    """

    signal: Signal
    constant: int = 0
    frac: int = 0
    relu: bool = False
    summed: bool = False

    @property
    def point(self) -> int:
        """Fraction bits of the sum."""
        return max(self.signal.range.frac, self.frac) if self.constant else self.signal.range.frac

    @property
    def range(self) -> Range:
        """What it can be, before clipping."""
        up, added = self.point - self.signal.range.frac, self.added
        return Range((self.signal.range.lo << up) + added, (self.signal.range.hi << up) + added, self.point)

    @property
    def added(self) -> int:
        """The constant as a code of `point` fraction bits."""
        return self.constant << (self.point - self.frac) if self.constant else 0


def summed(signal: Signal, constant: int, frac: int) -> Value:
    """A sum with a constant still to add; factors of two of the constant go into its binary point."""
    if signal.range.lo == signal.range.hi == 0:  # zero has any binary point: the constant's, not a finer one
        signal = Signal(signal.node, Range(0, 0, min(frac, signal.range.frac)))
    while constant and constant % 2 == 0 and frac > signal.range.frac:
        constant, frac = constant // 2, frac - 1
    return Value(signal, constant, frac, summed=True)


def clipped(value: Value) -> Value:
    """max(0, value)."""
    return replace(value, relu=True)


def settled(builder: CircuitBuilder, value: Value) -> Signal:
    """The value as a signal."""
    signal = builder.add_constant(value.signal, value.constant, value.frac)
    return builder.relu(signal) if value.relu else signal


def fitted(builder: CircuitBuilder, signal: Signal, frac: int) -> Signal:
    """The signal with at most `frac` fraction bits: only a constant can have more, which are zeros."""
    down = signal.range.frac - frac
    if down <= 0:
        return signal
    code = signal.range.lo
    if not signal.range.constant or code & ((1 << down) - 1):
        raise InternalError(f"a value of {signal.range.frac} fraction bits for a tensor of {frac}")
    return builder.constant(code >> down, frac)


def plus(builder: CircuitBuilder, a: Value, b: Value) -> Value:
    """The sum of two values, its constants still to add."""
    if a.relu or b.relu:
        return Value(builder.add(settled(builder, a), settled(builder, b)), summed=True)
    total = builder.add(a.signal, b.signal)
    frac = max(a.frac if a.constant else 0, b.frac if b.constant else 0)
    constants = sum(v.constant << (frac - v.frac) for v in (a, b) if v.constant)
    return summed(total, constants, frac)


def quantized(
    builder: CircuitBuilder, value: Value, kind: FixedPoint, rounding: Rounding, overflow: Overflow
) -> Signal:
    """The value cast to `kind`."""
    if kind.width == 0:
        return builder.constant(0, kind.frac)
    span = value.range
    plan = plan_cast(
        span.lo,
        span.hi,
        span.frac,
        kind,
        relu=value.relu,
        rounding=rounding,
        overflow=overflow,
        free_offset=value.summed or value.constant != 0,
    )
    total = builder.add_constant(value.signal, value.added + plan.offset, span.frac)
    if total.range.frac != span.frac:
        total = builder.aligned(total, span.frac)
    return builder.cast(total, plan.rule, kind.frac)
