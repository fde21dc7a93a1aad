"""Sums of three: an adder whose only reader is another adder becomes part of it.

A slice's LUT with two outputs adds three bits as cheaply as two, so that two adders become one of about the
length of the longer (``lib/dwell_add3.v``). Each sum can take in one of its operands; which pairs save most
is found exactly, tree by tree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dwell.hls.rtl.circuit import Circuit, Constant, Range, ShiftAdd, ShiftAdd3, Signal, operands
from dwell.hls.rtl.gates import Node, renumbered

#: An operand with its shift, and whether it is taken away.
Term = tuple[int, int, bool]


@dataclass(frozen=True)
class Fused:
    """A circuit with sums of three; `place[i]` is where node `i` has gone, None for what is part of another."""

    circuit: Circuit
    place: tuple[int | None, ...]


def fuse_sums(circuit: Circuit) -> Fused:
    """`circuit` with as much as possible saved by sums of three."""
    choice = _choose(circuit)
    taken = set(choice.values())
    place: list[int | None] = []
    nodes: list[Node] = []
    ranges: list[Range] = []
    for number, node in enumerate(circuit.nodes):
        if number in taken:
            place.append(None)
            continue
        if number in choice:
            node = _three(circuit, number, choice[number])
        new = {old: at for old in operands(node) if (at := place[old]) is not None}
        place.append(len(nodes))
        nodes.append(renumbered(node, new))
        ranges.append(circuit.ranges[number])
    outputs = [Signal(_known(place[s.node]), s.range) for s in circuit.outputs]
    return Fused(Circuit(circuit.inputs, tuple(nodes), tuple(ranges), tuple(outputs)), tuple(place))


def _known(place: int | None) -> int:
    assert place is not None
    return place


def _choose(circuit: Circuit) -> dict[int, int]:
    """Which sum takes in which of its operands, so that the most carry-chain bits are saved.

    Along a tree of sums, either a sum is taken in by its reader or it may take in one operand itself.
    """
    readers = [0] * len(circuit.nodes)
    for node in circuit.nodes:
        for other in operands(node):
            readers[other] += 1
    for signal in circuit.outputs:
        readers[signal.node] += 2  # its value is needed as it stands
    free = [0.0] * len(circuit.nodes)  # most that the tree below saves, this sum taking in what it likes
    plain = [0.0] * len(circuit.nodes)  # the same, this sum taking in nothing
    wish: dict[int, int] = {}
    for number, node in enumerate(circuit.nodes):
        if not isinstance(node, ShiftAdd):
            continue
        own = [o for o in (node.a, node.b) if readers[o] == 1 and isinstance(circuit.nodes[o], ShiftAdd)]
        plain[number] = free[number] = sum(free[o] for o in own)
        for other in own:
            gain = _gain(circuit, number, other)
            total = plain[number] - free[other] + plain[other] + gain
            if gain > 0 and total > free[number]:
                free[number] = total
                wish[number] = other
    chosen: dict[int, int] = {}
    inside: set[int] = set()
    for number in range(len(circuit.nodes) - 1, -1, -1):
        if number in wish and number not in inside:
            chosen[number] = wish[number]
            inside.add(wish[number])
    return chosen


def _gain(circuit: Circuit, outer: int, inner: int) -> float:
    """Carry-chain bits saved where sum `outer` takes in sum `inner`."""
    node = circuit.nodes[outer]
    below = circuit.nodes[inner]
    assert isinstance(node, ShiftAdd) and isinstance(below, ShiftAdd)
    if node.a == node.b or (node.a_up if node.a == inner else node.b_up) < below.drop:
        return 0.0
    three = _three(circuit, outer, inner)
    separate = chain_bits(circuit, node, circuit.ranges[outer]) + chain_bits(
        circuit, below, circuit.ranges[inner]
    )
    return separate - chain_bits(circuit, three, circuit.ranges[outer])


def chain_bits(circuit: Circuit, node: ShiftAdd | ShiftAdd3, span: Range) -> float:
    """Bits of the carry chain of a sum; one with a constant costs little more than the chain itself."""
    full = span.bits + node.drop
    if isinstance(node, ShiftAdd):
        copied = max(node.b_up, 0 if node.subtract else node.a_up)
        constant = any(isinstance(circuit.nodes[o], Constant) for o in (node.a, node.b))
        return max(full - copied, 0) * (0.5 if constant else 1.0)
    under = [
        min(node.b_up, node.c_up),
        0 if node.minus_b else min(node.a_up, node.c_up),
        0 if node.minus_c else min(node.a_up, node.b_up),
    ]
    return max(full - max(under), 0)


def _three(circuit: Circuit, outer: int, inner: int) -> ShiftAdd3:
    node, below = circuit.nodes[outer], circuit.nodes[inner]
    assert isinstance(node, ShiftAdd) and isinstance(below, ShiftAdd)
    terms: list[Term] = []
    for number, up, minus in ((node.a, node.a_up, False), (node.b, node.b_up, node.subtract)):
        if number == inner:
            up -= below.drop
            terms.append((below.a, below.a_up + up, minus))
            terms.append((below.b, below.b_up + up, minus != below.subtract))
        else:
            terms.append((number, up, minus))
    return _ordered(terms, node.drop)


def _ordered(terms: Sequence[Term], drop: int) -> ShiftAdd3:
    """What is added first, least shifted of it first; low bits that no term has are not dropped twice."""
    a, b, c = sorted(terms, key=lambda term: (term[2], term[1]))
    low = min(a[1], b[1], c[1])
    return ShiftAdd3(a[0], b[0], c[0], a[1] - low, b[1] - low, c[1] - low, b[2], c[2], drop - low)
