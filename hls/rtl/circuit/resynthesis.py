"""Adder graphs made smaller: each result is taken out and made anew from what all the others leave.

The solver's graph shares partial sums as a greedy search found them. Here every sum in turn is removed with
all that only it needs, and composed again of as few of the remaining partial sums as possible: a beam search
over the digits left to explain, finished by looking up whether two known forms make up the rest. What
costs fewer carry-chain bits stays. Deterministic: no clock, no random order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dwell.hls.rtl.circuit.forms import Forms, Term, Vector

#: Digits of signed-digit form of every magnitude that coefficients reach.
_REACH = 1 << 13
_DIGITS = np.array([((3 * v) ^ v).bit_count() for v in range(_REACH)], dtype=np.uint8)
#: Residuals kept at each step.
_BEAM = 3


def digits(vectors: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
    """Signed digits of the coefficients of each row."""
    return np.asarray(np.take(_DIGITS, np.abs(vectors)).sum(axis=-1, dtype=np.int64))


#: Sweeps over all outputs, at most.
_SWEEPS = 3
#: Graphs with more coefficients than this (forms times inputs) are left as they are: too slow.
MOST_COEFFICIENTS = 1 << 18


def resynthesize(forms: Forms, outputs: Sequence[Term | None]) -> list[Term | None]:
    """`outputs` as terms of an improved set of `forms`, which is changed in place."""
    size = len(forms.adders) * forms.inputs
    work = Resynthesis(forms, list(outputs), max(forms.depth) + 1)
    small = int(np.abs(forms.vectors).max()) < _REACH // 4
    if small and size <= MOST_COEFFICIENTS and forms.inputs > 1:
        for _ in range(_SWEEPS):
            if work.sweep() == 0:
                break
    return work.outputs


@dataclass(frozen=True)
class _Candidates:
    """Terms that a sum may be composed of: forms by number, shift and vector (the sign is free)."""

    forms: npt.NDArray[np.int64]
    ups: npt.NDArray[np.int64]
    vectors: npt.NDArray[np.int16]
    hashes: npt.NDArray[np.int64]  # of plus and minus each, sorted
    origin: npt.NDArray[np.int64]  # which term: index, or minus it less one for the negative


class Resynthesis:
    """Improves `forms`, whose `outputs` are terms that must stay (None for a zero)."""

    def __init__(self, forms: Forms, outputs: list[Term | None], depth: int) -> None:
        self.forms = forms
        self.outputs = outputs
        self.most_depth = depth
        for term in outputs:
            if term is not None:
                forms.uses[term[0]] += 1

    def sweep(self) -> int:
        """Every output once; the carry-chain bits saved."""
        saved = 0
        for place, term in enumerate(self.outputs):
            if term is not None and self.forms.adders[term[0]] is not None:
                saved += self._again(place, term)
        return saved

    def _again(self, place: int, term: Term) -> int:
        forms = self.forms
        if forms.uses[term[0]] > 1:
            return 0
        vector = forms.vector_of(term)
        gone = forms.release(term[0])
        before = sum(forms.adder_cost(number) for number in gone)
        best = self._compose(vector, len(gone) + 2)
        first = len(forms.adders)
        if best is not None:
            made = forms.sum(best)
            forms.uses[made[0]] += 1
            fresh = [n for n in range(first, len(forms.adders)) if forms.alive[n]]
            after = sum(forms.adder_cost(number) for number in fresh)
            if after < before and forms.depth[made[0]] <= self.most_depth:
                self.outputs[place] = made
                return before - after
            forms.release(made[0])
        forms.restore(gone)
        forms.uses[term[0]] += 1
        return 0

    def _compose(self, vector: Vector, most: int) -> list[Term] | None:
        """Terms whose sum is `vector`, as few as the search finds, at most `most`."""
        candidates = self._candidates(vector)
        beam: list[tuple[int, Vector, list[Term]]] = [(int(digits(vector)), vector, [])]
        for used in range(most):
            for _, rest, terms in beam:
                tail = self._finish(rest, candidates)
                if tail is not None and used + len(tail) <= most:
                    return [*terms, *tail]
            beam = self._step(beam, candidates)
            if not beam:
                return None
        return None

    def _candidates(self, vector: Vector) -> _Candidates:
        forms = self.forms
        count = len(forms.adders)
        live = np.flatnonzero(forms.alive[:count])
        used = np.flatnonzero(vector)
        # Forms over inputs that the sum does not have would have to be taken out again.
        inside = (forms.vectors[live] != 0).sum(axis=1) == (forms.vectors[live][:, used] != 0).sum(axis=1)
        live = live[inside]
        reach = int(np.abs(vector).max()).bit_length() + 1
        peaks = np.abs(forms.vectors[live]).max(axis=1)
        numbers, ups = [], []
        for up in range(reach):
            fits = live[(peaks << up) < (1 << reach)]
            numbers.append(fits)
            ups.append(np.full(len(fits), up, dtype=np.int64))
        flat, up_of = np.concatenate(numbers), np.concatenate(ups)
        with np.errstate(over="ignore"):
            hashes = forms.hashes[flat] << up_of
            both = np.concatenate([hashes, -hashes])
        index = np.arange(len(flat), dtype=np.int64)
        origin = np.concatenate([index, -index - 1])
        order = np.argsort(both, kind="stable")
        vectors = (forms.vectors[flat] << up_of[:, None]).astype(np.int16)
        return _Candidates(flat, up_of, vectors, both[order], origin[order])

    def _term(self, candidates: _Candidates, origin: int) -> Term:
        at = origin if origin >= 0 else -origin - 1
        return int(candidates.forms[at]), 1 if origin >= 0 else -1, int(candidates.ups[at])

    def _finish(self, rest: Vector, candidates: _Candidates) -> list[Term] | None:
        """One or two terms that make up `rest`."""
        key = np.int64(self.forms.hash_of(rest))
        hashes = candidates.hashes
        at = int(np.searchsorted(hashes, key))
        if at < len(hashes) and hashes[at] == key:
            return [self._term(candidates, int(candidates.origin[at]))]
        with np.errstate(over="ignore"):
            wanted = key - hashes
        places = np.minimum(np.searchsorted(hashes, wanted), len(hashes) - 1)
        hits = np.flatnonzero(hashes[places] == wanted)
        best: tuple[int, list[Term]] | None = None
        for hit in hits:
            pair = [self._term(candidates, int(candidates.origin[i])) for i in (int(hit), int(places[hit]))]
            total = self.forms.vector_of(pair[0]) + self.forms.vector_of(pair[1])
            if not np.array_equal(total, rest):
                continue
            width = sum(self.forms.depth[t[0]] * 4 + self.forms._bits(t) for t in pair)
            if best is None or width < best[0]:
                best = (width, pair)
        return best[1] if best else None

    def _step(
        self, beam: Sequence[tuple[int, Vector, list[Term]]], candidates: _Candidates
    ) -> list[tuple[int, Vector, list[Term]]]:
        """The best residuals one term further."""
        grown: list[tuple[int, Vector, list[Term]]] = []
        for left, rest, terms in beam:
            short = rest.astype(np.int16)
            for sign in (1, -1):
                after = short - candidates.vectors if sign > 0 else short + candidates.vectors
                scores = digits(after)
                for at in np.argsort(scores, kind="stable")[:_BEAM]:
                    if scores[at] < left:
                        term = (int(candidates.forms[at]), sign, int(candidates.ups[at]))
                        grown.append((int(scores[at]), after[at].astype(np.int64), [*terms, term]))
        grown.sort(key=lambda entry: entry[0])
        kept: list[tuple[int, Vector, list[Term]]] = []
        seen: set[int] = set()
        for entry in grown:
            key = self.forms.hash_of(entry[1])
            if key not in seen:
                seen.add(key)
                kept.append(entry)
        return kept[:_BEAM]
