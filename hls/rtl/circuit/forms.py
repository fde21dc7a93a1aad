"""Adder graphs as linear forms: what each adder computes, as a vector over the inputs.

A form is an integer vector whose coefficients are not all even; an adder makes one out of two others, each
times a power of two and a sign. Equal forms are one node, whatever way they were found.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.int64]
#: A form (its number) times ``sign * 2**up``.
Term = tuple[int, int, int]

_SEED = 20250309


@dataclass(frozen=True)
class Adder:
    """``form * 2**down * sign = a + b``."""

    a: Term
    b: Term


def odd_part(vector: Vector) -> tuple[Vector, int]:
    """`vector` over the largest power of two that divides it, and that power."""
    merged = int(np.bitwise_or.reduce(vector))
    up = (merged & -merged).bit_length() - 1
    return vector >> up, up


class Forms:
    """A growing and shrinking set of forms over inputs that lie in `lo` .. `hi` (integers of one binary point)."""

    def __init__(self, lo: Sequence[int], hi: Sequence[int]) -> None:
        count = len(lo)
        self.inputs = count
        self.lo_in, self.hi_in = np.array(lo, dtype=np.int64), np.array(hi, dtype=np.int64)
        rng = np.random.default_rng(_SEED)
        self._keys = rng.integers(-(1 << 62), 1 << 62, count, dtype=np.int64) | 1
        self.vectors = np.eye(count, dtype=np.int64)
        self.hashes = self._keys.copy()
        self.lo, self.hi = list(map(int, lo)), list(map(int, hi))
        self.adders: list[Adder | None] = [None] * count
        self.uses = [0] * count
        self.depth = [0] * count
        self.alive = np.ones(count, dtype=np.bool_)
        self._known: dict[int, int] = {int(h): i for i, h in enumerate(self.hashes)}

    def hash_of(self, vector: Vector) -> int:
        """A hash that is linear in the vector, modulo 2**64."""
        with np.errstate(over="ignore"):
            return int((vector * self._keys).sum(dtype=np.int64))

    def find(self, vector: Vector) -> Term | None:
        """The term that is `vector`, if its form is here."""
        odd, up = odd_part(vector)
        for sign in (1, -1):
            number = self._known.get(self.hash_of(odd * sign))
            if number is not None and np.array_equal(self.vectors[number], odd * sign):
                return number, sign, up
        return None

    def span(self, vector: Vector) -> tuple[int, int]:
        """Lowest and highest value of a form."""
        ends = np.stack([vector * self.lo_in, vector * self.hi_in])
        return int(ends.min(axis=0).sum()), int(ends.max(axis=0).sum())

    def vector_of(self, term: Term) -> Vector:
        return np.asarray((self.vectors[term[0]] << term[2]) * term[1], dtype=np.int64)

    def cost(self, a: Term, b: Term, lo: int, hi: int) -> int:
        """Bits of the carry chain of an adder whose result lies in `lo` .. `hi`."""
        bits = max(max(hi, 0).bit_length(), (-lo - 1).bit_length() if lo < 0 else 0) + int(lo < 0)
        return max(bits - abs(a[2] - b[2]), 1)

    def adder_cost(self, number: int) -> int:
        """The same of a form that is here."""
        adder = self.adders[number]
        if adder is None:
            return 0
        low = min(adder.a[2], adder.b[2])
        _, up = odd_part(self.vector_of(adder.a) + self.vector_of(adder.b))
        lo, hi = self.lo[number], self.hi[number]
        return self.cost(adder.a, adder.b, lo << (up - low), hi << (up - low))

    def add(self, a: Term, b: Term) -> Term:
        """The term ``a + b``, made if it is not here yet (with no user so far)."""
        vector = self.vector_of(a) + self.vector_of(b)
        found = self.find(vector)
        if found is not None:
            return found
        odd, up = odd_part(vector)
        number = self._append(odd, Adder(a, b))
        return number, 1, up

    def _append(self, vector: Vector, adder: Adder) -> int:
        number = len(self.adders)
        if number >= len(self.vectors):
            more = max(64, number)
            self.vectors = np.concatenate([self.vectors, np.zeros((more, self.inputs), dtype=np.int64)])
            self.hashes = np.concatenate([self.hashes, np.zeros(more, dtype=np.int64)])
            self.alive = np.concatenate([self.alive, np.zeros(more, dtype=np.bool_)])
        self.vectors[number] = vector
        self.hashes[number] = self.hash_of(vector)
        lo, hi = self.span(vector)
        self.lo.append(lo)
        self.hi.append(hi)
        self.adders.append(adder)
        self.uses.append(0)
        self.depth.append(1 + max(self.depth[adder.a[0]], self.depth[adder.b[0]]))
        self._revive(number)
        return number

    def _revive(self, number: int) -> None:
        self.alive[number] = True
        self._known[int(self.hashes[number])] = number
        adder = self.adders[number]
        assert adder is not None
        for term in (adder.a, adder.b):
            self.uses[term[0]] += 1

    def release(self, number: int) -> list[int]:
        """Take away a user of a form; what nobody uses any more goes, and is returned, users first."""
        self.uses[number] -= 1
        gone: list[int] = []
        waiting = [number]
        while waiting:
            at = waiting.pop()
            adder = self.adders[at]
            if adder is None or self.uses[at] > 0 or not self.alive[at]:
                continue
            self.alive[at] = False
            del self._known[int(self.hashes[at])]
            gone.append(at)
            for term in (adder.a, adder.b):
                self.uses[term[0]] -= 1
                waiting.append(term[0])
        return gone

    def restore(self, gone: Iterable[int]) -> None:
        """Bring back what `release` returned."""
        for number in reversed(list(gone)):
            self._revive(number)

    def sum(self, terms: Sequence[Term]) -> Term:
        """The sum of `terms` as a tree of new adders: the shallowest next, of those the narrowest."""
        heap = [(self.depth[t[0]], self._bits(t), n, t) for n, t in enumerate(terms)]
        heapq.heapify(heap)
        number = len(heap)
        while len(heap) > 1:
            first, second = heapq.heappop(heap), heapq.heappop(heap)
            both = self.add(first[3], second[3])
            heapq.heappush(heap, (self.depth[both[0]], self._bits(both), number, both))
            number += 1
        return heap[0][3]

    def _bits(self, term: Term) -> int:
        return (self.hi[term[0]] - self.lo[term[0]]).bit_length() + term[2]

    def order(self) -> list[int]:
        """Forms that are here, each after those it is made of."""
        return [int(i) for i in np.flatnonzero(self.alive[: len(self.adders)])]

    def total_cost(self) -> int:
        """Carry-chain bits of all adders."""
        return sum(self.adder_cost(number) for number in self.order())
