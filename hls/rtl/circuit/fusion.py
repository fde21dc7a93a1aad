"""Sums of three: adders that nobody else reads are gathered into trees, which are put together anew.

A slice's LUT with two outputs adds three bits as cheaply as two, so that a sum of n terms takes
(n - 1) / 2 carry chains instead of n - 1 (``lib/dwell_add3.v``). In a tree the narrowest terms come first,
so that chains stay short, and a constant goes where a third place is free. Of terms with opposite signs the
less shifted one is made the positive one where that is possible: its low bits need no chain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from dwell.errors import InternalError
from dwell.hls.rtl.circuit.builder import Circuit, Constant, Range, ShiftAdd, ShiftAdd3, Signal, operands
from dwell.hls.rtl.circuit.gates import Node, renumbered
from dwell.hls.rtl.circuit.trees import Leaf, Merge, Term, Trees, assemble, chain_bits

__all__ = ["Fused", "chain_bits", "fuse_sums"]


@dataclass(frozen=True)
class Fused:
    """A circuit with sums of three.

    `place[i]` is where node `i` has gone, None for what is part of another; `origin[j]` is the node that
    node `j` of the new circuit is, or is a part of.
    """

    circuit: Circuit
    place: tuple[int | None, ...]
    origin: tuple[int, ...]


def fuse_sums(circuit: Circuit) -> Fused:
    """`circuit` with its trees of adders made of sums of three."""
    trees = Trees(circuit)
    trees.take_apart()
    return _Fusion(circuit, trees).run()


class _Fusion:
    def __init__(self, circuit: Circuit, trees: Trees) -> None:
        self.circuit = circuit
        self.trees = trees
        self.nodes: list[Node] = []
        self.ranges: list[Range] = []
        self.depth: list[int] = []
        self.place: list[int | None] = []
        self.origin: list[int] = []

    def run(self) -> Fused:
        circuit = self.circuit
        for number, node in enumerate(circuit.nodes):
            if number in self.trees.leaves:
                self.place.append(self._tree(number, self.trees.leaves[number]))
            elif isinstance(node, ShiftAdd):
                self.place.append(None)
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

    def _tree(self, root: int, leaves: Sequence[Leaf]) -> int:
        """The tree of sums that ends in `root`, made anew."""
        span, drop = self.circuit.ranges[root], self.trees.drop(root)
        final = assemble([self._term(leaf) for leaf in leaves], lambda m: self._merge(m, span.frac + drop))
        if final.total.minus:
            raise InternalError(f"sum {root} ends in terms that are all taken away")
        low = min(term.up for term in final.group)
        return self._append(_sum(final, low, drop - low), span)

    def _term(self, leaf: Leaf) -> Term:
        number, up, minus = leaf
        span, at = self.circuit.ranges[number], self._at(number)
        constant = isinstance(self.circuit.nodes[number], Constant)
        return Term(at, up, minus, span.lo << up, span.hi << up, self.depth[at], constant)

    def _merge(self, merge: Merge, frac: int) -> Term:
        total = merge.total
        span = Range(total.lo >> total.up, total.hi >> total.up, frac - total.up)
        at = self._append(_sum(merge, total.up, 0), span)
        return replace(total, node=at, depth=self.depth[at])


def _sum(merge: Merge, low: int, drop: int) -> ShiftAdd | ShiftAdd3:
    """Two or three terms; what is added comes first, the least shifted of it first."""
    terms = [(t.minus != merge.total.minus, t.up - low, t.node) for t in merge.group]
    (minus, a_up, a), (minus_b, b_up, b), *more = sorted(terms)
    if minus or len(more) > 1 or drop < 0:
        raise InternalError(f"a sum of {len(terms)} terms of which none is added, or that drops {drop} bits")
    if not more:
        return ShiftAdd(a, b, a_up, b_up, minus_b, drop)
    minus_c, c_up, c = more[0]
    return ShiftAdd3(a, b, c, a_up, b_up, c_up, minus_b, minus_c, drop)
