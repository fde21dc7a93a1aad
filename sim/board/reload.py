"""Weights swapped on a board: frames with the network's own, with a free bank full of others, and with those."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from dwell.sim.board.rounds import Kind, Round
from dwell.sim.dut import Dut
from dwell.sim.workload import Frame, Workload

SWAPS = 2
_MOST_FRAMES = 20

Writes = Sequence[tuple[int, int]]


@dataclass(frozen=True)
class Swap:
    """`writes` fill the free bank; `before` goes through with them in it, `after` once that bank is chosen."""

    writes: Writes
    before: tuple[Round, ...]
    after: tuple[Round, ...]


def plan_swaps(dut: Dut, kind: Kind, frames: Sequence[Frame], first: int, seed: int) -> list[Swap] | str:
    """Two swaps, whose frames are numbered from `first` on; or why there are none."""
    if dut.design is None or not dut.weights:
        return "its weights are fixed"
    from dwell.sim.bench.reload import other_network

    part, number, network, swaps = list(frames[:_MOST_FRAMES]), first, dut.model, []
    for index in range(SWAPS):
        found = other_network(dut.design, (index + 1) % 2, seed + index)
        if found is None:
            return "no other weights were found whose results fit its output"
        halves = []
        for golden in (network, found[0]):
            results = Workload(replace(dut, model=golden), part).golden()
            rounds = [replace(r, first=number + r.first) for r in kind.rounds(part, results)]
            number += len(part)
            halves.append(tuple(rounds))
        swaps.append(Swap(found[1], *halves))
        network = found[0]
    return swaps
