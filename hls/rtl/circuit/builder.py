"""A combinational circuit of integers: what a kernel computes, one node a hardware primitive.

A value is an integer code in a known interval; its `frac` only says where the binary point lies. Nodes
work on codes, so evaluating a circuit with ``int64`` gives what the Verilog primitives of ``lib/`` give.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dwell.errors import InternalError
from dwell.hls.rtl.circuit.casts import OverflowMode, Requantize, RoundMode
from dwell.hls.rtl.circuit.gates import (
    Cast,
    Codes,
    Constant,
    Less,
    Lookup,
    Negate,
    Node,
    Product,
    Select,
    ShiftAdd,
    ShiftAdd3,
    Tap,
    compute,
    operands,
    renumbered,
)
from dwell.hls.rtl.circuit.passes import Passes

__all__ = [
    "MAX_BITS", "Cast", "Circuit", "CircuitBuilder", "Codes", "Constant", "Less", "Lookup", "Negate", "Node",
    "Product", "Range", "Select", "ShiftAdd", "ShiftAdd3", "Signal", "Tap", "operands",
]  # fmt: skip

#: Widest value of a circuit: codes and their sums stay inside int64.
MAX_BITS = 62


@dataclass(frozen=True)
class Range:
    """Codes from `lo` to `hi`, each standing for ``code * 2**-frac``."""

    lo: int
    hi: int
    frac: int = 0

    @property
    def signed(self) -> bool:
        """Whether a negative code can occur."""
        return self.lo < 0

    @property
    def bits(self) -> int:
        """Bits of the wire that carries it, at least one."""
        if self.signed:
            return max(max(self.hi, 0).bit_length(), (-self.lo - 1).bit_length()) + 1
        return max(self.hi.bit_length(), 1)

    @property
    def constant(self) -> bool:
        """Whether only one code can occur."""
        return self.lo == self.hi

    def __str__(self) -> str:
        return f"{'' if self.signed else 'u'}fixed<{self.bits},{self.bits - self.frac}>"


@dataclass(frozen=True)
class Signal:
    """A value while a circuit is being built: the node that makes it, and its interval and binary point."""

    node: int
    range: Range


@dataclass(frozen=True)
class Circuit:
    """Nodes in an order in which every operand comes first. `ranges[i]` is the interval of node `i`."""

    inputs: tuple[Range, ...]
    nodes: tuple[Node, ...]
    ranges: tuple[Range, ...]
    outputs: tuple[Signal, ...]

    @property
    def adders(self) -> int:
        """Nodes that need a carry chain."""
        return sum(isinstance(node, ShiftAdd | ShiftAdd3 | Negate | Less) for node in self.nodes)

    def depth(self) -> int:
        """Primitives on the longest path."""
        at: list[int] = []
        for node in self.nodes:
            before = max((at[i] for i in operands(node)), default=0)
            at.append(before + int(not isinstance(node, Tap | Constant)))
        return max((at[s.node] for s in self.outputs), default=0)

    def evaluate(self, taps: Codes) -> Codes:
        """Codes of the outputs, (N, outputs), for input codes (N, inputs); raises as `trace` does."""
        values = self.trace(taps)
        out = [np.broadcast_to(values[s.node], taps.shape[0]) for s in self.outputs]
        return np.stack(out, axis=1)

    def trace(self, taps: Codes) -> list[Codes]:
        """Codes of every node, (N,) or (1,), for input codes (N, inputs).

        Every value is checked against its interval, and so against the bits of its wire.
        Raises `InternalError` where one lies outside.
        """
        values: list[Codes] = []
        for number, (node, span) in enumerate(zip(self.nodes, self.ranges, strict=True)):
            value = compute(node, values, taps)
            if value.size and (int(value.min()) < span.lo or int(value.max()) > span.hi):
                raise InternalError(f"node {number} ({node}) leaves its interval {span.lo}..{span.hi}")
            values.append(value)
        return values


class CircuitBuilder:
    """Adds nodes to a circuit; folds what is constant, and makes nothing twice."""

    def __init__(self, inputs: Sequence[Range], passes: Passes | None = None) -> None:
        self.passes = passes or Passes()
        self.solved: dict[Any, Any] = {}  # what `adders.multiply` has found before
        self._inputs = tuple(inputs)
        self._nodes: list[Node] = []
        self._ranges: list[Range] = []
        self._known: dict[Node, int] = {}
        self.taps = [self._tap(i, span) for i, span in enumerate(self._inputs)]

    def _tap(self, index: int, span: Range) -> Signal:
        return self.constant(span.lo, span.frac) if span.constant else self._append(Tap(index), span)

    def _append(self, node: Node, span: Range) -> Signal:
        if span.lo > span.hi or span.bits > MAX_BITS:
            raise InternalError(f"a value from {span.lo} to {span.hi} does not fit {MAX_BITS} bits")
        if node in self._known:  # the same operation on the same operands: the same wire
            number = self._known[node]
            return Signal(number, Range(self._ranges[number].lo, self._ranges[number].hi, span.frac))
        self._known[node] = len(self._nodes)
        self._nodes.append(node)
        self._ranges.append(span)
        return Signal(len(self._nodes) - 1, span)

    @property
    def size(self) -> int:
        """Nodes so far."""
        return len(self._nodes)

    def constant(self, code: int, frac: int) -> Signal:
        """A fixed value."""
        return self._append(Constant(code), Range(code, code, frac))

    def _lean(self, a: Signal, beside: Signal) -> Signal:
        """`a`; a constant without fraction bits that are zeros and that `beside` has not either."""
        code, frac = a.range.lo, a.range.frac
        if not a.range.constant or frac <= beside.range.frac:
            return a
        while frac > beside.range.frac and code % 2 == 0:
            code, frac = code // 2, frac - 1
        return self.constant(code, frac)

    def rescaled(self, signal: Signal, up: int) -> Signal:
        """The same codes, standing for 2**up times as much. Costs nothing."""
        span = signal.range
        return Signal(signal.node, Range(span.lo, span.hi, span.frac - up))

    def add(self, a: Signal, b: Signal, *, subtract: bool = False, known: Range | None = None) -> Signal:
        """``a ± b`` exactly. `known`: a tighter interval than that of `a` and `b`, if there is one."""
        a, b = self._lean(a, b), self._lean(b, a)
        frac = max(a.range.frac, b.range.frac)
        a_up, b_up = frac - a.range.frac, frac - b.range.frac
        least, most = (b.range.hi, b.range.lo) if subtract else (b.range.lo, b.range.hi)
        sign = -1 if subtract else 1
        lo = (a.range.lo << a_up) + sign * (least << b_up)
        hi = (a.range.hi << a_up) + sign * (most << b_up)
        span = _coarser(known, frac) if known else Range(lo, hi, frac)
        drop = frac - span.frac
        if span.constant:
            return self.constant(span.lo, span.frac)
        return self._append(ShiftAdd(a.node, b.node, a_up, b_up, subtract, drop), span)

    def add_constant(self, a: Signal, code: int, frac: int) -> Signal:
        """``a + code * 2**-frac``."""
        if code == 0:
            return a
        while code % 2 == 0:  # bits below the constant need no adder
            code, frac = code // 2, frac - 1
        return self.add(a, self.constant(code, frac))

    def negate(self, a: Signal) -> Signal:
        """``-a``."""
        span = Range(-a.range.hi, -a.range.lo, a.range.frac)
        return self.constant(span.lo, span.frac) if span.constant else self._append(Negate(a.node), span)

    def relu(self, a: Signal) -> Signal:
        """``max(0, a)``."""
        bits = max(a.range.hi.bit_length(), 1)
        rule = Requantize(a.range.signed, 0, 0, RoundMode.TRN, OverflowMode.WRAP, bits, False)
        return self.cast(a, rule, a.range.frac)

    def less(self, a: Signal, b: Signal) -> Signal:
        """A bit: 1 where ``a < b``."""
        a, b = self._lean(a, b), self._lean(b, a)
        a_up, b_up = _ups(a, b)
        if a.range.hi << a_up < b.range.lo << b_up:
            return self.constant(1, 0)
        if a.range.lo << a_up >= b.range.hi << b_up:
            return self.constant(0, 0)
        return self._append(Less(a.node, b.node, a_up, b_up), Range(0, 1))

    def select(self, bit: Signal, a: Signal, b: Signal, known: Range | None = None) -> Signal:
        """`a` where `bit` is 1, else `b`. `known`: a tighter interval than that of both, if there is one."""
        a, b = self._lean(a, b), self._lean(b, a)
        a_up, b_up = _ups(a, b)
        frac = max(a.range.frac, b.range.frac)
        if bit.range.constant or a == b:
            return a if bit.range.lo else b
        span = (
            _coarser(known, frac)
            if known
            else Range(
                min(a.range.lo << a_up, b.range.lo << b_up), max(a.range.hi << a_up, b.range.hi << b_up), frac
            )
        )
        if span.frac != frac:
            raise InternalError("a choice has the fraction bits of its operands")
        if span.constant:
            return self.constant(span.lo, frac)
        return self._append(Select(bit.node, a.node, b.node, a_up, b_up), span)

    def larger(self, a: Signal, b: Signal) -> Signal:
        """``max(a, b)``."""
        a_up, b_up = _ups(a, b)
        lo = max(a.range.lo << a_up, b.range.lo << b_up)
        hi = max(a.range.hi << a_up, b.range.hi << b_up)
        known = Range(lo, hi, max(a.range.frac, b.range.frac))
        return self.select(self.less(a, b), b, a, known)

    def smaller(self, a: Signal, b: Signal) -> Signal:
        """``min(a, b)``."""
        a_up, b_up = _ups(a, b)
        lo = min(a.range.lo << a_up, b.range.lo << b_up)
        hi = min(a.range.hi << a_up, b.range.hi << b_up)
        known = Range(lo, hi, max(a.range.frac, b.range.frac))
        return self.select(self.less(a, b), a, b, known)

    def lookup(self, a: Signal, values: Sequence[int], frac: int) -> Signal:
        """``values[code of a - lowest code of a]``; `frac` is the binary point of the result."""
        if len(values) != a.range.hi - a.range.lo + 1:
            raise InternalError(f"{len(values)} values for codes from {a.range.lo} to {a.range.hi}")
        span = Range(min(values), max(values), frac)
        if span.constant:
            return self.constant(span.lo, frac)
        if list(values) == list(range(a.range.lo, a.range.hi + 1)):
            return Signal(a.node, span)
        return self._append(Lookup(a.node, a.range.lo, tuple(values)), span)

    def product(self, a: Signal, b: Signal) -> Signal:
        """``a * b`` of two values, neither known before (`adders.multiply` is for constants)."""
        ends = [x * y for x in (a.range.lo, a.range.hi) for y in (b.range.lo, b.range.hi)]
        span = Range(min(ends), max(ends), a.range.frac + b.range.frac)
        if span.constant:
            return self.constant(span.lo, span.frac)
        return self._append(Product(a.node, b.node), span)

    def aligned(self, a: Signal, frac: int) -> Signal:
        """The same value with more fraction bits. Wires only."""
        up = frac - a.range.frac
        span = Range(a.range.lo << up, a.range.hi << up, frac)
        rule = Requantize(False, 0, up, RoundMode.TRN, OverflowMode.WRAP, span.bits, span.signed)
        return self.cast(a, rule, frac)

    def cast(self, a: Signal, rule: Requantize, frac: int) -> Signal:
        """Activation and quantizer; `frac` is the binary point of the result."""
        lo, hi = rule.bounds(a.range.lo, a.range.hi)
        if lo == hi:
            return self.constant(lo, frac)
        if rule.does_nothing and (lo, hi) == (a.range.lo, a.range.hi):
            return Signal(a.node, Range(lo, hi, frac))
        return self._append(Cast(a.node, rule), Range(lo, hi, frac))

    def needed(self, outputs: Sequence[Signal]) -> list[int]:
        """Numbers of the nodes that `outputs` depend on, in order."""
        needed = {s.node for s in outputs}
        for number in range(len(self._nodes) - 1, -1, -1):
            if number in needed:
                needed.update(operands(self._nodes[number]))
        return sorted(needed)

    def finish(self, outputs: Sequence[Signal]) -> Circuit:
        """The circuit, without the nodes that no output needs."""
        order = self.needed(outputs)
        new = {old: fresh for fresh, old in enumerate(order)}
        nodes = tuple(renumbered(self._nodes[i], new) for i in order)
        ranges = tuple(self._ranges[i] for i in order)
        return Circuit(self._inputs, nodes, ranges, tuple(Signal(new[s.node], s.range) for s in outputs))


def _coarser(known: Range, frac: int) -> Range:
    """An interval of values with at most `frac` fraction bits in no more of them."""
    down = max(known.frac - frac, 0)
    return Range(-((-known.lo) >> down), known.hi >> down, known.frac - down)


def _ups(a: Signal, b: Signal) -> tuple[int, int]:
    """Places that bring the binary points of `a` and `b` together."""
    frac = max(a.range.frac, b.range.frac)
    return frac - a.range.frac, frac - b.range.frac
