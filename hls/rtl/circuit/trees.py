"""Trees of sums in a circuit: which terms each is made of, and how they are best put together.

A tree ends in a sum that is read more than once, or by something else than a sum; its terms are such sums and
other nodes. A shared sum saves an adder in each of its readers; where those are made of sums of three, an odd
place is often free, so that taking the sum apart in all of them costs nothing and saves its own chain.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dwell.hls.rtl.circuit.builder import Circuit, Constant, Range, ShiftAdd, ShiftAdd3, operands

#: A node of the circuit, the places it is shifted, and whether it is taken away.
Leaf = tuple[int, int, bool]

#: How many bits of width one level of depth is worth when terms are chosen.
_BITS_A_LEVEL = 0.5
#: Sums with more readers stay shared; trees with more terms grow no further.
_MOST_READERS, _MOST_TERMS = 4, 64


@dataclass(frozen=True)
class Term:
    """`node` times ``2**up``, which lies in `lo` .. `hi`; taken away where `minus`."""

    node: int
    up: int
    minus: bool
    lo: int
    hi: int
    depth: int
    constant: bool = False

    @property
    def key(self) -> float:
        return Range(self.lo, self.hi).bits + _BITS_A_LEVEL * self.depth


@dataclass(frozen=True)
class Merge:
    """Terms summed into one: ``minus`` if what comes out is minus the sum of the terms as they stand."""

    group: tuple[Term, ...]
    total: Term


def chain_bits(circuit: Circuit, node: ShiftAdd | ShiftAdd3, span: Range) -> float:
    """Bits of the carry chain of a sum; one with a constant costs little more than the chain itself."""
    full = span.bits + node.drop
    if isinstance(node, ShiftAdd):
        constant = any(isinstance(circuit.nodes[o], Constant) for o in (node.a, node.b))
        ups = [(node.a_up, False), (node.b_up, node.subtract)]
        return _chain(full, ups) * (0.5 if constant else 1.0)
    return _chain(full, [(node.a_up, False), (node.b_up, node.minus_b), (node.c_up, node.minus_c)])


def _chain(full: int, ups: Sequence[tuple[int, bool]]) -> float:
    """Bits of `full` above what is copied: those of the least shifted term, if it is added."""
    (low, minus), (second, _) = sorted(ups)[:2]
    return max(full - (0 if minus else second - low), 0)


def assemble(terms: Sequence[Term], make: Callable[[Merge], Term]) -> Merge:
    """Sum terms two or three at a time; `make` turns each merge into a term, but for the last, which is the tree."""
    fixed = [t for t in terms if t.constant]
    last = fixed[-1:] if (len(terms) - len(fixed)) % 2 and len(fixed) == 1 else []
    heap = [(t.key, number, t) for number, t in enumerate(t for t in terms if t not in last)]
    heapq.heapify(heap)
    number = len(heap)
    while len(heap) + len(last) > 3 or (last and len(heap) > 1):
        group = [heapq.heappop(heap)[2] for _ in range(3 if len(heap) % 2 else 2)]
        others = [*(entry[2] for entry in heap), *last]
        total = make(_merged(group, any(not t.minus for t in others)))
        heapq.heappush(heap, (total.key, number, total))
        number += 1
    return _merged([*(entry[2] for entry in heap), *last], False)


def _merged(group: Sequence[Term], others_add: bool) -> Merge:
    """The sum of `group`, or minus it, if then something is still added at the end (`others_add`)."""
    lowest = min(group, key=lambda t: (t.up, t.minus))
    mixed = any(not t.minus for t in group)
    minus = lowest.minus if others_add else not mixed
    signs = [1 if t.minus == minus else -1 for t in group]
    lo = sum(min(s * t.lo, s * t.hi) for s, t in zip(signs, group, strict=True))
    hi = sum(max(s * t.lo, s * t.hi) for s, t in zip(signs, group, strict=True))
    depth = 1 + max(t.depth for t in group)
    return Merge(tuple(group), Term(-1, lowest.up, minus, lo, hi, depth))


def merge_bits(merge: Merge, bits: int | None = None) -> float:
    """Carry-chain bits of a merge; `bits` of its result where they are known better."""
    low = min(t.up for t in merge.group)
    full = Range(merge.total.lo >> low, merge.total.hi >> low).bits if bits is None else bits
    flip = merge.total.minus
    chain = _chain(full, [(t.up - low, t.minus != flip) for t in merge.group])
    return chain * (0.5 if len(merge.group) == 2 and any(t.constant for t in merge.group) else 1.0)


class Trees:
    """The trees of `circuit`: `leaves` by the number of the sum that each ends in."""

    def __init__(self, circuit: Circuit) -> None:
        self.circuit = circuit
        self.inner = _inner_sums(circuit)
        self.leaves: dict[int, list[Leaf]] = {}
        for number, node in enumerate(circuit.nodes):
            if isinstance(node, ShiftAdd) and number not in self.inner:
                parts = [
                    *self._below(node.a, node.a_up, False),
                    *self._below(node.b, node.b_up, node.subtract),
                ]
                self.leaves[number] = parts
        self.readers: dict[int, set[int]] = {number: set() for number in self.leaves}
        for root, parts in self.leaves.items():
            self._read(root, parts)
        self.fixed = {s.node for s in circuit.outputs}
        for number, node in enumerate(circuit.nodes):
            if number not in self.leaves and number not in self.inner:
                self.fixed.update(operands(node))

    def _below(self, number: int, up: int, minus: bool) -> list[Leaf]:
        node = self.circuit.nodes[number]
        if number not in self.inner or not isinstance(node, ShiftAdd):
            return [(number, up, minus)]
        up -= node.drop
        first = self._below(node.a, node.a_up + up, minus)
        return first + self._below(node.b, node.b_up + up, minus != node.subtract)

    def _read(self, root: int, parts: Sequence[Leaf]) -> None:
        for number, _, _ in parts:
            if number in self.readers:
                self.readers[number].add(root)

    def drop(self, root: int) -> int:
        """Low bits of the sum of the leaves that are zeros, and left out."""
        node = self.circuit.nodes[root]
        assert isinstance(node, ShiftAdd)
        return node.drop

    def bits(self, root: int, parts: Sequence[Leaf]) -> float:
        """Carry-chain bits of a tree of these leaves that ends in `root`."""
        cost = 0.0

        def make(merge: Merge) -> Term:
            nonlocal cost
            cost += merge_bits(merge)
            return merge.total

        final = assemble([self._term(leaf) for leaf in parts], make)
        return cost + merge_bits(final, self.circuit.ranges[root].bits + self.drop(root))

    def _term(self, leaf: Leaf) -> Term:
        number, up, minus = leaf
        span = self.circuit.ranges[number]
        constant = isinstance(self.circuit.nodes[number], Constant)
        return Term(number, up, minus, span.lo << up, span.hi << up, 0, constant)

    def take_apart(self) -> None:
        """Take shared sums apart wherever their readers' trees grow by less than the sums themselves cost."""
        changed = True
        while changed:
            changed = False
            for number in sorted(self.leaves):
                changed |= number not in self.fixed and self._try(number)

    def _try(self, number: int) -> bool:
        readers = sorted(self.readers[number])
        if not 0 < len(readers) <= _MOST_READERS:
            return False
        gain = self.bits(number, self.leaves[number])
        grown: dict[int, list[Leaf]] = {}
        for reader in readers:
            parts = self._with(reader, number)
            if parts is None:
                return False
            grown[reader] = parts
            gain -= self.bits(reader, parts) - self.bits(reader, self.leaves[reader])
            if gain <= -2 * _MOST_TERMS:
                return False
        if gain <= 0:
            return False
        for part, _, _ in self.leaves.pop(number):
            if part in self.readers:
                self.readers[part].discard(number)
        del self.readers[number]
        for reader, parts in grown.items():
            for old, _, _ in self.leaves[reader]:
                if old in self.readers:
                    self.readers[old].discard(reader)
            self.leaves[reader] = parts
            self._read(reader, parts)
        return True

    def _with(self, reader: int, number: int) -> list[Leaf] | None:
        """The leaves of `reader` with those of its leaf `number` in that one's place, None if that cannot be."""
        drop = self.drop(number)
        weights: dict[int, int] = {}
        for leaf, up, minus in self.leaves[reader]:
            inside = self.leaves[number] if leaf == number else [(leaf, 0, False)]
            if leaf == number and up < drop:
                return None
            for other, more, less in inside:
                shift = up + more - (drop if leaf == number else 0)
                weights[other] = weights.get(other, 0) + ((-1 if minus != less else 1) << shift)
        parts = [(other, up, minus) for other, weight in weights.items() for up, minus in _digits(weight)]
        lowest = min((up for _, up, _ in parts), default=0)
        sound = 2 <= len(parts) <= _MOST_TERMS and lowest <= self.drop(reader)
        return parts if sound and not all(minus for _, _, minus in parts) else None


def _digits(weight: int) -> list[tuple[int, bool]]:
    """Places and signs of the signed digits of `weight`, as few as there can be."""
    found, up = [], 0
    while weight:
        if weight & 1:
            digit = 2 - (weight & 3)
            found.append((up, digit < 0))
            weight -= digit
        weight >>= 1
        up += 1
    return found


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
