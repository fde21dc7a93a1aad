"""How often a multiplier is used for one result: legal reuse factors, what each costs, and choosing one.

A matrix of K inputs and N outputs is folded into SF input folds of SIMD = K / SF products and NF output folds
of PE = N / NF outputs: SIMD * PE multipliers, each used R = SF * NF times for a vector, one vector every R
clocks. SF divides K and NF divides N, so not every R exists.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import lcm

from dwell.errors import ConfigError
from dwell.hls.rtl.options import RtlOptions

#: Factors named in an error; the nearest ones where there are more.
_MOST_NAMED = 16


@dataclass(frozen=True)
class Folding:
    """A matrix of `inputs` by `outputs` on `simd` * `pe` multipliers."""

    inputs: int
    outputs: int
    simd: int
    pe: int

    @property
    def sf(self) -> int:
        """Input folds."""
        return self.inputs // self.simd

    @property
    def nf(self) -> int:
        """Output folds."""
        return self.outputs // self.pe

    @property
    def reuse(self) -> int:
        """Clocks a vector."""
        return self.sf * self.nf

    @property
    def multipliers(self) -> int:
        return self.simd * self.pe


@dataclass(frozen=True)
class Matrix:
    """The size of a layer's matrix. `in_lanes`: elements of a beat of its input, 0 for the whole vector."""

    name: str
    inputs: int
    outputs: int
    in_lanes: int = 0


def divisors(number: int) -> tuple[int, ...]:
    """All divisors, rising."""
    small = [d for d in range(1, int(number**0.5) + 1) if number % d == 0]
    return tuple(sorted({*small, *(number // d for d in small)}))


def legal_reuse(inputs: int, outputs: int) -> tuple[int, ...]:
    """The reuse factors that a matrix can have, rising: 1 (not shared) to inputs * outputs (one multiplier)."""
    return tuple(sorted({sf * nf for sf in divisors(inputs) for nf in divisors(outputs)}))


def best_folding(matrix: Matrix, reuse: int) -> Folding | None:
    """The cheapest folding of that reuse factor, or None where there is none.

    All have the same multipliers. Few outputs at a time mean few accumulators and activations; a part
    size that fits the beats of the input means small words in the buffer.
    """
    lanes = matrix.in_lanes or matrix.inputs
    found = [
        Folding(matrix.inputs, matrix.outputs, matrix.inputs // sf, matrix.outputs // (reuse // sf))
        for sf in divisors(matrix.inputs)
        if reuse % sf == 0 and matrix.outputs % (reuse // sf) == 0
    ]
    return min(found, key=lambda f: (4 * f.pe + lcm(f.simd, lanes) // f.simd, f.pe), default=None)


def require_foldings(matrices: Sequence[Matrix], options: RtlOptions) -> dict[str, Folding]:
    """The folding of each layer by `options.reuse`.

    Raises `ConfigError` that lists, for every layer whose factor does not exist, those that do with the
    multipliers that each takes; and for names of layers that are not there.
    """
    known = {m.name for m in matrices}
    if not isinstance(options.reuse, int):
        strange = sorted(set(options.reuse) - known)
        if strange:
            raise ConfigError(
                f"reuse is given for {', '.join(strange)}, which is no layer with multipliers",
                hint=f"the layers are {', '.join(m.name for m in matrices)}",
                place="convert.reuse",
            )
    wrong, out = [], {}
    for matrix in matrices:
        reuse = options.reuse_of(matrix.name)
        folding = best_folding(matrix, reuse)
        if folding is None:
            wrong.append(f"{matrix.name}: {reuse} is not possible; {_choices(matrix, reuse)}")
        else:
            out[matrix.name] = folding
    if wrong:
        same = set.intersection(*(set(legal_reuse(m.inputs, m.outputs)) for m in matrices))
        raise ConfigError(
            "reuse factors that do not exist:\n  " + "\n  ".join(wrong),
            hint=f"possible in every layer: {_listed(sorted(same))}; or give one for each layer",
            place="convert.reuse",
        )
    return out


def _choices(matrix: Matrix, reuse: int) -> str:
    legal = legal_reuse(matrix.inputs, matrix.outputs)
    near = sorted(sorted(legal, key=lambda r: (abs(r - reuse), r))[:_MOST_NAMED])
    costs = ", ".join(f"{r} ({matrix.inputs * matrix.outputs // r})" for r in near)
    more = f" and {len(legal) - len(near)} others" if len(legal) > len(near) else ""
    return f"{costs}{more} are (in brackets: multipliers)"


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers[:_MOST_NAMED])) + (", …" if len(numbers) > _MOST_NAMED else "")


def reuse_for_clocks(matrices: Sequence[Matrix], clocks: int) -> dict[str, int]:
    """For each layer the largest reuse factor of at most `clocks`: the fewest multipliers that keep up."""
    if clocks < 1:
        raise ConfigError(f"{clocks} clocks a vector", hint="1 or more", place="convert.reuse")
    return {m.name: max(r for r in legal_reuse(m.inputs, m.outputs) if r <= clocks) for m in matrices}


def reuse_for_multipliers(matrices: Sequence[Matrix], limits: Mapping[str, int] | int) -> dict[str, int]:
    """The fastest folding of all layers with at most so many multipliers in all.

    Raises `ConfigError` where even one for each layer is too many.
    """
    limit = limits if isinstance(limits, int) else min(limits.values())
    if limit < len(matrices):
        raise ConfigError(
            f"{len(matrices)} layers need at least {len(matrices)} multipliers; {limit} are allowed",
            place="convert.reuse",
        )
    steps = sorted({r for m in matrices for r in legal_reuse(m.inputs, m.outputs)})
    low, high = 0, len(steps) - 1
    while low < high:  # multipliers fall as clocks rise
        middle = (low + high) // 2
        if _multipliers(matrices, steps[middle]) <= limit:
            high = middle
        else:
            low = middle + 1
    return reuse_for_clocks(matrices, steps[low])


def _multipliers(matrices: Sequence[Matrix], clocks: int) -> int:
    reuse = reuse_for_clocks(matrices, clocks)
    return sum(m.inputs * m.outputs // reuse[m.name] for m in matrices)
