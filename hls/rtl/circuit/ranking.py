"""Which is largest: maxima, argmax and top k, and the softmax that is built on one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dwell.hls.qmodel import Softmax
from dwell.hls.rtl.circuit.builder import CircuitBuilder, Range, Signal
from dwell.hls.rtl.circuit.sums import total
from dwell.hls.rtl.circuit.tables import steps


@dataclass(frozen=True)
class _Entry:
    value: Signal
    index: Signal


def maximum(builder: CircuitBuilder, signals: Sequence[Signal]) -> Signal:
    """The largest of `signals` (at least one)."""
    level = list(signals)
    while len(level) > 1:
        pairs = [builder.larger(a, b) for a, b in zip(level[::2], level[1::2], strict=False)]
        level = pairs + level[len(pairs) * 2 :]
    return level[0]


def top(builder: CircuitBuilder, signals: Sequence[Signal], count: int) -> list[Signal]:
    """Indices of the `count` largest, largest first; of equal ones the lower index first.

    One is a tournament. More are as many passes of a stable bubble sort, each in step behind the one
    before.
    """
    entries = [_Entry(s, builder.constant(i, 0)) for i, s in enumerate(signals)]
    if count == 1:
        return [_winner(builder, entries).index]
    for place in range(min(count, len(entries) - 1)):
        for at in range(len(entries) - 1, place, -1):
            left, right = entries[at - 1], entries[at]
            swap = builder.less(left.value, right.value)
            entries[at - 1] = _choose(builder, swap, right, left)
            entries[at] = _choose(builder, swap, left, right)
    return [entry.index for entry in entries[:count]]


def _winner(builder: CircuitBuilder, entries: Sequence[_Entry]) -> _Entry:
    if len(entries) == 1:
        return entries[0]
    middle = (len(entries) + 1) // 2
    left, right = _winner(builder, entries[:middle]), _winner(builder, entries[middle:])
    return _choose(builder, builder.less(left.value, right.value), right, left)


def _choose(builder: CircuitBuilder, bit: Signal, a: _Entry, b: _Entry) -> _Entry:
    return _Entry(builder.select(bit, a.value, b.value), builder.select(bit, a.index, b.index))


def softmax(
    builder: CircuitBuilder, signals: Sequence[Signal], node: Softmax, in_frac: int, highest: int
) -> list[Signal]:
    """A `Softmax` over `signals`, whose tensor has `in_frac` fraction bits; `highest` code of its output."""
    most = maximum(builder, signals)
    shares = [_exponential(builder, most, s, node, in_frac) for s in signals]
    whole = total(builder, shares)
    # One exponential is the largest, that of distance 0: the sum is no less, and nothing divides by zero.
    least = int(node.exponentials[0])
    whole = Signal(whole.node, Range(max(whole.range.lo, least), whole.range.hi, 0))
    return [_quotient(builder, share, whole, node.frac, highest) for share in shares]


def _exponential(
    builder: CircuitBuilder, most: Signal, signal: Signal, node: Softmax, in_frac: int
) -> Signal:
    frac = max(most.range.frac, signal.range.frac)
    reach = (most.range.hi << (frac - most.range.frac)) - (signal.range.lo << (frac - signal.range.frac))
    # The maximum is no smaller than what is taken from it, which intervals do not tell.
    distance = builder.add(most, signal, subtract=True, known=Range(0, reach, frac))
    up, last = in_frac - distance.range.frac, len(node.exponentials) - 1
    far = min(distance.range.hi, -(-last >> up))
    levels = [int(node.exponentials[min(code << up, last)]) for code in range(far + 1)]
    share = steps(builder, distance, range(1, far + 1), levels, 0)
    return builder.aligned(share, 0) if share.range.frac else share


def _quotient(builder: CircuitBuilder, part: Signal, whole: Signal, frac: int, highest: int) -> Signal:
    """``min(floor(part * 2**frac / whole), highest)`` for ``part <= whole``: a bit of the quotient a step."""
    rest_span = Range(0, max(whole.range.hi - 1, 0))
    short = builder.less(part, whole)
    zero = builder.constant(0, 0)
    rest = builder.select(short, part, zero, _within(part.range, rest_span))
    quotient = _inverse(builder, short)
    for _ in range(frac):
        twice = builder.rescaled(rest, 1)
        short = builder.less(twice, whole)
        less = builder.add(twice, whole, subtract=True)
        rest = builder.select(short, twice, less, rest_span)
        quotient = builder.add(builder.rescaled(quotient, 1), _inverse(builder, short))
    if quotient.range.hi << max(-quotient.range.frac, 0) > highest:
        quotient = builder.smaller(quotient, builder.constant(highest, 0))
    return builder.rescaled(quotient, -frac)


def _within(span: Range, other: Range) -> Range:
    return Range(max(min(span.lo, 0), other.lo), min(span.hi, other.hi))


def _inverse(builder: CircuitBuilder, bit: Signal) -> Signal:
    return builder.constant(1 - bit.range.lo, 0) if bit.range.constant else builder.lookup(bit, (1, 0), 0)
