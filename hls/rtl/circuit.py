"""A combinational circuit of integers: what a kernel computes, one node a hardware primitive.

A value is an integer code in a known interval; its `frac` only says where the binary point lies. Nodes
work on codes, so evaluating a circuit with ``int64`` gives what the Verilog primitives of ``lib/`` give.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from dwell.errors import InternalError
from dwell.hls.rtl.casts import OverflowMode, Requantize, RoundMode

Codes: TypeAlias = npt.NDArray[np.int64]

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
class Tap:
    """Input number `index` of the circuit."""

    index: int


@dataclass(frozen=True)
class Constant:
    """A fixed code."""

    code: int


@dataclass(frozen=True)
class ShiftAdd:
    """``(a * 2**a_up ± b * 2**b_up) / 2**drop``; the bits dropped are always zero."""

    a: int
    b: int
    a_up: int
    b_up: int
    subtract: bool
    drop: int


@dataclass(frozen=True)
class Negate:
    """``-a``."""

    a: int


@dataclass(frozen=True)
class Cast:
    """Activation and quantizer in one."""

    a: int
    rule: Requantize


Node: TypeAlias = Tap | Constant | ShiftAdd | Negate | Cast


def operands(node: Node) -> tuple[int, ...]:
    """Numbers of the nodes that `node` reads."""
    if isinstance(node, ShiftAdd):
        return node.a, node.b
    if isinstance(node, Negate | Cast):
        return (node.a,)
    return ()


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
        return sum(isinstance(node, ShiftAdd | Negate) for node in self.nodes)

    def depth(self) -> int:
        """Carry chains and casts on the longest path."""
        at: list[int] = []
        for node in self.nodes:
            before = max((at[i] for i in operands(node)), default=0)
            at.append(before + int(isinstance(node, ShiftAdd | Negate | Cast)))
        return max((at[s.node] for s in self.outputs), default=0)

    def evaluate(self, taps: Codes) -> Codes:
        """Codes of the outputs, (N, outputs), for input codes (N, inputs).

        Every value is checked against its interval, and so against the bits of its wire.
        Raises `InternalError` where one lies outside.
        """
        values: list[Codes] = []
        for number, (node, span) in enumerate(zip(self.nodes, self.ranges, strict=True)):
            value = _evaluate(node, values, taps)
            if value.size and (int(value.min()) < span.lo or int(value.max()) > span.hi):
                raise InternalError(f"node {number} ({node}) leaves its interval {span.lo}..{span.hi}")
            values.append(value)
        out = [np.broadcast_to(values[s.node], taps.shape[0]) for s in self.outputs]
        return np.stack(out, axis=1)


def _evaluate(node: Node, values: Sequence[Codes], taps: Codes) -> Codes:
    if isinstance(node, Tap):
        return np.asarray(taps[:, node.index])
    if isinstance(node, Constant):
        return np.full(1, node.code, dtype=np.int64)
    if isinstance(node, Negate):
        return -values[node.a]
    if isinstance(node, Cast):
        return node.rule.apply(values[node.a])
    left, right = values[node.a] << node.a_up, values[node.b] << node.b_up
    total = left - right if node.subtract else left + right
    if node.drop and np.any(total & ((1 << node.drop) - 1)):
        raise InternalError(f"a sum ({node}) loses bits that are not zero")
    return np.asarray(total >> node.drop, dtype=np.int64)


class CircuitBuilder:
    """Adds nodes to a circuit; folds what is constant."""

    def __init__(self, inputs: Sequence[Range]) -> None:
        self._inputs = tuple(inputs)
        self._nodes: list[Node] = []
        self._ranges: list[Range] = []
        self.taps = [self._tap(i, span) for i, span in enumerate(self._inputs)]

    def _tap(self, index: int, span: Range) -> Signal:
        return self.constant(span.lo, span.frac) if span.constant else self._append(Tap(index), span)

    def _append(self, node: Node, span: Range) -> Signal:
        if span.lo > span.hi or span.bits > MAX_BITS:
            raise InternalError(f"a value from {span.lo} to {span.hi} does not fit {MAX_BITS} bits")
        self._nodes.append(node)
        self._ranges.append(span)
        return Signal(len(self._nodes) - 1, span)

    def constant(self, code: int, frac: int) -> Signal:
        """A fixed value."""
        return self._append(Constant(code), Range(code, code, frac))

    def rescaled(self, signal: Signal, up: int) -> Signal:
        """The same codes, standing for 2**up times as much. Costs nothing."""
        span = signal.range
        return Signal(signal.node, Range(span.lo, span.hi, span.frac - up))

    def add(self, a: Signal, b: Signal, *, subtract: bool = False, known: Range | None = None) -> Signal:
        """``a ± b`` exactly. `known`: a tighter interval than that of `a` and `b`, if there is one."""
        frac = max(a.range.frac, b.range.frac)
        a_up, b_up = frac - a.range.frac, frac - b.range.frac
        least, most = (b.range.hi, b.range.lo) if subtract else (b.range.lo, b.range.hi)
        sign = -1 if subtract else 1
        lo = (a.range.lo << a_up) + sign * (least << b_up)
        hi = (a.range.hi << a_up) + sign * (most << b_up)
        span = known or Range(lo, hi, frac)
        drop = frac - span.frac
        if drop < 0:
            raise InternalError("a sum cannot have more fraction bits than its operands")
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

    def finish(self, outputs: Sequence[Signal]) -> Circuit:
        """The circuit, without the nodes that no output needs."""
        needed = {s.node for s in outputs}
        for number in range(len(self._nodes) - 1, -1, -1):
            if number in needed:
                needed.update(operands(self._nodes[number]))
        order = sorted(needed)
        new = {old: fresh for fresh, old in enumerate(order)}
        nodes = tuple(_renumber(self._nodes[i], new) for i in order)
        ranges = tuple(self._ranges[i] for i in order)
        return Circuit(self._inputs, nodes, ranges, tuple(Signal(new[s.node], s.range) for s in outputs))


def _renumber(node: Node, new: dict[int, int]) -> Node:
    if isinstance(node, ShiftAdd):
        return ShiftAdd(new[node.a], new[node.b], node.a_up, node.b_up, node.subtract, node.drop)
    if isinstance(node, Negate):
        return Negate(new[node.a])
    if isinstance(node, Cast):
        return Cast(new[node.a], node.rule)
    return node
