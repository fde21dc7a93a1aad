"""Sums of three: adders that nobody else reads are gathered into trees, which are put together anew.

A slice's LUT with two outputs adds three bits as cheaply as two, so that a sum of n terms takes
(n - 1) / 2 carry chains instead of n - 1 (``lib/dwell_add3.v``). In a tree the narrowest terms come first,
so that chains stay short, and a constant goes where a third place is free. Of terms with opposite signs the
less shifted one is made the positive one where that is possible: its low bits need no chain.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

from dwell.errors import InternalError
from dwell.hls.rtl.circuit import Circuit, Constant, Range, ShiftAdd, ShiftAdd3, Signal, operands
from dwell.hls.rtl.gates import Node, renumbered

#: How many bits of width one level of depth is worth when terms are chosen.
_BITS_A_LEVEL = 0.5


@dataclass(frozen=True)
class Fused:
    """A circuit with sums of three.

    `place[i]` is where node `i` has gone, None for what is part of another; `origin[j]` is the node that
    node `j` of the new circuit is, or is a part of.
    """

    circuit: Circuit
    place: tuple[int | None, ...]
    origin: tuple[int, ...]


@dataclass(frozen=True)
class _Term:
    """Node `node` of the new circuit times ``2**up``, which lies in `lo` .. `hi`; taken away where `minus`."""

    node: int
    up: int
    minus: bool
    lo: int
    hi: int
    depth: int

    @property
    def key(self) -> float:
        return Range(self.lo, self.hi).bits + _BITS_A_LEVEL * self.depth


def fuse_sums(circuit: Circuit) -> Fused:
    """`circuit` with its trees of adders made of sums of three."""
    return _Fusion(circuit).run()


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


class _Fusion:
    def __init__(self, circuit: Circuit) -> None:
        self.circuit = circuit
        self.nodes: list[Node] = []
        self.ranges: list[Range] = []
        self.depth: list[int] = []
        self.place: list[int | None] = []
        self.origin: list[int] = []
        self.inner = _inner_sums(circuit)

    def run(self) -> Fused:
        circuit = self.circuit
        for number, node in enumerate(circuit.nodes):
            if number in self.inner:
                self.place.append(None)
            elif isinstance(node, ShiftAdd):
                self.place.append(self._tree(number, node))
            else:
                new = {old: self._at(old) for old in operands(node)}
                self.place.append(self._append(renumbered(node, new), circuit.ranges[number]))
        outputs = tuple(Signal(self._at(s.node), s.range) for s in circuit.outputs)
        whole = Circuit(circuit.inputs, tuple(self.nodes), tuple(self.ranges), outputs)
        return Fused(whole, tuple(self.place), tuple(self.origin))

    def _at(self, old: int) -> int:
        place = self.place[old]
        if place is None:
            raise InternalError(f"node {old} is read after it became part of another")
        return place

    def _append(self, node: Node, span: Range) -> int:
        before = max((self.depth[o] for o in operands(node)), default=0)
        self.depth.append(before + int(isinstance(node, ShiftAdd | ShiftAdd3)))
        self.nodes.append(node)
        self.ranges.append(span)
        self.origin.append(len(self.place))
        return len(self.nodes) - 1

    def _tree(self, root: int, node: ShiftAdd) -> int:
        """The tree of sums that ends in `root`, made anew."""
        span = self.circuit.ranges[root]
        terms = [*self._terms(node.a, node.a_up, False), *self._terms(node.b, node.b_up, node.subtract)]
        fixed = [t for t in terms if isinstance(self.nodes[t.node], Constant)]
        last = fixed[-1:] if (len(terms) - len(fixed)) % 2 and len(fixed) == 1 else []
        heap = [(t.key, number, t) for number, t in enumerate(t for t in terms if t not in last)]
        heapq.heapify(heap)
        number = len(heap)
        while len(heap) + len(last) > 3 or (last and len(heap) > 1):
            group = [heapq.heappop(heap)[2] for _ in range(3 if len(heap) % 2 else 2)]
            others = [*(entry[2] for entry in heap), *last]
            merged = self._merge(group, any(not t.minus for t in others), span.frac - node.drop)
            heapq.heappush(heap, (merged.key, number, merged))
            number += 1
        return self._append(_sum([*(entry[2] for entry in heap), *last], node.drop), span)

    def _terms(self, number: int, up: int, minus: bool) -> list[_Term]:
        """What operand `number` of a sum, shifted `up` places, adds to its tree."""
        node = self.circuit.nodes[number]
        if number in self.inner and isinstance(node, ShiftAdd):
            up -= node.drop
            first = self._terms(node.a, node.a_up + up, minus)
            return first + self._terms(node.b, node.b_up + up, minus != node.subtract)
        span, at = self.circuit.ranges[number], self._at(number)
        return [_Term(at, up, minus, span.lo << up, span.hi << up, self.depth[at])]

    def _merge(self, group: Sequence[_Term], others_add: bool, frac: int) -> _Term:
        """The sum of `group` as a term, or minus it, if then something is still added at the end (`others_add`)."""
        lowest = min(group, key=lambda t: (t.up, t.minus))
        mixed = any(not t.minus for t in group)
        minus = lowest.minus if others_add else not mixed
        signs = [1 if t.minus == minus else -1 for t in group]
        lo = sum(min(s * t.lo, s * t.hi) for s, t in zip(signs, group, strict=True))
        hi = sum(max(s * t.lo, s * t.hi) for s, t in zip(signs, group, strict=True))
        turned = [_Term(t.node, t.up - lowest.up, s < 0, 0, 0, 0) for s, t in zip(signs, group, strict=True)]
        span = Range(lo >> lowest.up, hi >> lowest.up, frac - lowest.up)
        at = self._append(_sum(turned, 0), span)
        return _Term(at, lowest.up, minus, lo, hi, self.depth[at])


def _sum(terms: Sequence[_Term], drop: int) -> ShiftAdd | ShiftAdd3:
    """Two or three terms, at least one of them added; what is added comes first, the least shifted of it first."""
    ordered = sorted(terms, key=lambda t: (t.minus, t.up))
    a, b = ordered[:2]
    if a.minus or len(ordered) not in (2, 3):
        raise InternalError(f"a sum of {len(ordered)} terms of which none is added")
    if len(ordered) == 2:
        return ShiftAdd(a.node, b.node, a.up, b.up, b.minus, drop)
    c = ordered[2]
    return ShiftAdd3(a.node, b.node, c.node, a.up, b.up, c.up, b.minus, c.minus, drop)


def _inner_sums(circuit: Circuit) -> set[int]:
    """Sums that one other sum reads and nobody else, and that can be taken apart without a remainder."""
    readers = [0] * len(circuit.nodes)
    for node in circuit.nodes:
        for other in operands(node):
            readers[other] += 1
    for signal in circuit.outputs:
        readers[signal.node] += 2  # its value is needed as it stands
    inner: set[int] = set()
    for number in range(len(circuit.nodes) - 1, -1, -1):
        node = circuit.nodes[number]
        if not isinstance(node, ShiftAdd):
            continue
        for other, up in ((node.a, node.a_up), (node.b, node.b_up)):
            below = circuit.nodes[other]
            if isinstance(below, ShiftAdd) and readers[other] == 1 and up >= below.drop:
                inner.add(other)
    return inner
