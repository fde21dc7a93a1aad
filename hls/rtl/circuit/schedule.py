"""Pipeline stages: which node of a circuit works in which clock.

Each node starts as soon as its operands are there and never straddles a register, so the number of
stages is the smallest that the cut-off allows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dwell.hls.rtl.circuit.builder import (
    Cast,
    Circuit,
    Constant,
    Less,
    Lookup,
    Negate,
    Node,
    Product,
    Range,
    Select,
    ShiftAdd,
    ShiftAdd3,
    Tap,
    operands,
)
from dwell.hls.rtl.circuit.casts import OverflowMode, RoundMode

#: Delays in adder levels. A carry chain adds little for each bit; a cast is a look-up or two.
_CHAIN, _CHAIN_BIT, _LOOKUP = 0.8, 0.02, 0.5


@dataclass(frozen=True)
class Schedule:
    """`stage[i]` is the clock in which node `i` works, from 0; every result is registered at the end of the
    last of the `stages`. Constants have no stage of their own (0)."""

    stage: tuple[int, ...]
    stages: int


def delay(node: Node, span: Range, reads: Sequence[Range]) -> float:
    """Logic of one node of interval `span`, in adder levels; `reads` are the intervals of its operands."""
    if isinstance(node, ShiftAdd):
        return 0.0 if _disjoint(node, reads) else _CHAIN + _CHAIN_BIT * span.bits
    if isinstance(node, ShiftAdd3):
        return _LOOKUP + _CHAIN + _CHAIN_BIT * span.bits
    if isinstance(node, Negate):
        return _CHAIN + _CHAIN_BIT * span.bits
    if isinstance(node, Less):
        return _CHAIN + _CHAIN_BIT * max(r.bits for r in reads)
    if isinstance(node, Product):
        return _CHAIN * max(min(r.bits for r in reads).bit_length(), 1) + _CHAIN_BIT * span.bits
    if isinstance(node, Select):
        return _LOOKUP
    if isinstance(node, Lookup):
        return _LOOKUP * (1 + max(reads[0].bits - 5, 0) // 2)
    if isinstance(node, Cast):
        return _cast_delay(node, span)
    return 0.0


def _cast_delay(node: Cast, span: Range) -> float:
    rule = node.rule
    late = 0.0
    if rule.drop and rule.rounding not in (RoundMode.TRN, RoundMode.EVEN_AFTER_HALF):
        late += _CHAIN + _CHAIN_BIT * (span.bits + 2)
    if rule.overflow is not OverflowMode.WRAP:
        late += 2 * _LOOKUP
    elif rule.relu or (rule.drop and rule.rounding is RoundMode.EVEN_AFTER_HALF):
        late += _LOOKUP
    return late


def _disjoint(node: ShiftAdd, reads: Sequence[Range]) -> bool:
    """Whether one operand, not negative, lies wholly in the zeros below the other: bits side by side."""
    a, b = reads
    under_a = not node.subtract and not b.signed and b.bits + node.b_up <= node.a_up
    return under_a or (not node.subtract and not a.signed and a.bits + node.a_up <= node.b_up)


def pipeline(circuit: Circuit, cutoff: float, arrival: Sequence[float]) -> Schedule:
    """Stages of at most `cutoff` adder levels. `arrival[i]`: when input `i` is there in the first clock."""
    stages: list[int] = []
    times: list[float] = []
    for node, span in zip(circuit.nodes, circuit.ranges, strict=True):
        stage, start = 0, 0.0
        for other in operands(node):
            if isinstance(circuit.nodes[other], Constant):
                continue
            if stages[other] > stage:
                stage, start = stages[other], times[other]
            elif stages[other] == stage:
                start = max(start, times[other])
        if isinstance(node, Tap):
            start = arrival[node.index]
        need = delay(node, span, [circuit.ranges[i] for i in operands(node)])
        if start + need > cutoff and start > 0 and need > 0:
            stage, start = stage + 1, 0.0
        stages.append(stage)
        times.append(start + need)
    return Schedule(tuple(stages), 1 + max((stages[s.node] for s in circuit.outputs), default=0))
