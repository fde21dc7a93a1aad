"""Weights brought in and swapped while frames stream: what is written when, and what each frame has to give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from dwell.errors import ConfigError
from dwell.hls.design import Design
from dwell.hls.qmodel import Builder, Conv2D, Dense, Input, Node, QModel
from dwell.sim.beats import Beats
from dwell.sim.bench.run import Phase, Swap
from dwell.sim.compare import Comparison, compare
from dwell.sim.dut import Dut
from dwell.sim.verilated import CoreRun
from dwell.sim.workload import Frame, Workload

NAME = "reload_under_load"
MOST_CLOCKS = 200_000
"""A phase that would take more is left out: a simulator under cocotb plays some ten thousand a second."""

Write = tuple[int, int]

_TRIES = 50
_KEPT = ("Cast", "Table", "Softmax", "TopK", "Flatten", "Reshape", "Transpose", "Slice")
_CLOCKS_A_WRITE = 6
_FRAMES_BETWEEN = 4
_NEVER = 1 << 62


@dataclass(frozen=True)
class ReloadPlan:
    """A phase in which networks follow each other; `expected` are the beats that each of them would give."""

    phase: Phase
    work: Workload
    expected: tuple[Beats, ...]

    def compare(self, record: CoreRun) -> Comparison:
        """Every frame must be that of one network, wholly, and of the one that was chosen when it began.

        It begins when its first beat goes into the first layer, which nobody sees: after a frame is taken, and
        before it comes out. So one that a swap finds inside may be of either; no later one is of an earlier
        network.
        """
        starts, ends = self.work.result_starts[:-1], self.work.result_starts[1:]
        began = np.full(len(starts), _NEVER)
        came = np.full(len(starts), _NEVER)
        for clocks, first_beats, of in (
            (began, self.work.starts[:-1], record.in_clocks),
            (came, starts, record.out_clocks),
        ):
            seen = first_beats[first_beats < len(of)]
            clocks[: len(seen)] = of[seen]
        asked, done = record.marks[0::2].astype(np.int64), record.marks[1::2].astype(np.int64)
        network, mismatches, first = 0, 0, None
        for frame, (start, stop) in enumerate(zip(starts, ends, strict=True)):
            least = max(network, int((done <= began[frame]).sum()))
            most = int((asked <= came[frame]).sum())
            got = Beats(record.beats.data[start:stop], record.beats.flags[start:stop])
            fits = [k for k in range(least, most + 1) if _equal(self._of(k, start, stop), got)]
            if fits:
                network = fits[0]
                continue
            one = Workload(self.work.dut, [self.work.frames[frame]])
            found = compare(one, self._of(least, start, stop), got)
            mismatches += max(1, found.mismatches)
            if first is None:
                first = {**(found.first or {}), "frame": frame, "phase": NAME, "network": least}
        unused = len(self.expected) - 1 - network
        if unused and first is None:
            mismatches += unused
            first = {"frame": len(starts), "phase": NAME, "expected": "a swap of weights", "got": "no swap"}
        return Comparison(self.work.decisions, mismatches, first)

    def _of(self, network: int, start: int, stop: int) -> Beats:
        whole = self.expected[network]
        return Beats(whole.data[start:stop], whole.flags[start:stop])


def plan_reload(dut: Dut, frames: Sequence[Frame], seed: int) -> ReloadPlan | str:
    """Two swaps while `frames`, over and over, stream at full speed; or why there is no such phase."""
    if dut.design is None or not dut.weights:
        return "its weights are fixed"
    from dwell.hls.reload import control_address

    networks = [dut.model]
    scripts: list[list[Write]] = []
    for index in (1, 2):
        other = other_network(dut.design, index % 2, seed + index)
        if other is None:
            return "no other weights were found whose results fit its output"
        networks.append(other[0])
        scripts.append(other[1])
    small = sorted(frames, key=lambda frame: frame.codes.size)[:4]
    each = max(dut.frame_clocks(frame.codes.shape) for frame in small)
    between = [_FRAMES_BETWEEN + len(writes) * _CLOCKS_A_WRITE // each for writes in scripts]
    count = sum(between) + 3 * _FRAMES_BETWEEN + 6 * (dut.settle_clocks // each + 1)
    if count * each > MOST_CLOCKS:
        return f"two swaps would take {count * each:,} clocks"
    work = Workload(dut, [small[i % len(small)] for i in range(count)])
    expected = tuple(
        work.expected_beats(Workload(replace(dut, model=network), work.frames).golden())
        for network in networks
    )
    control, body = control_address(dut.design), dut.weights
    inside = int(body["memory_offset"]) + int(body["memories"][0]["offset"])
    swaps = (
        Swap(int(work.starts[_FRAMES_BETWEEN]), tuple(scripts[0]), (control, 1), inside),
        Swap(
            int(work.starts[_FRAMES_BETWEEN + between[0]]), tuple(scripts[1]), (control, 0),
            inside + int(body["bank_offset"]),
        ),
    )  # fmt: skip
    starts = tuple(int(n) for n in work.result_starts)
    phase = Phase(
        NAME, work.beats, expected[0], work.clocks, swaps=swaps, others=expected[1:], result_starts=starts
    )
    return ReloadPlan(phase, work, expected)


def other_network(design: Design, bank: int, seed: int) -> tuple[QModel, list[Write]] | None:
    """A network of the design's structure with the weights of its folded layers shuffled, and how to write it."""
    # The converter's folding, and with it its solver: a second that other designs need not wait.
    from dwell.hls.reload import plan_writes, writable_arrays, writable_layers

    own = design.qmodel()
    folded, arrays = writable_layers(design), writable_arrays(design)
    for attempt in range(_TRIES):
        rng = np.random.default_rng([seed, attempt])
        try:
            # From half of the tries on, weights stay with their output, whose sums keep their limits then.
            other = _rebuilt(own, folded, arrays, rng, within=attempt >= _TRIES // 2)
            return other, plan_writes(design, other, bank)
        except ConfigError:
            continue
    return None


def _rebuilt(
    own: QModel, folded: set[str], arrays: Mapping[type, tuple[str, ...]], rng: np.random.Generator,
    *, within: bool,
) -> QModel:  # fmt: skip
    build = Builder()
    for node in own.nodes:
        tensor = own.tensors[node.output]
        if isinstance(node, Input):
            build.append(node, tensor.type, tensor.shape)
            continue
        # Sums get the types that the new weights need; what was chosen stays, and what only moves codes.
        free = type(node).__name__ not in _KEPT
        changed = _shuffled(node, arrays.get(type(node), ()), rng, within) if node.name in folded else node
        build.append(changed, None if free else tensor.type)
        build.scaled(node.output, tensor.scale, tensor.offset)
    return build.finish(own.name, own.output)


def _shuffled(node: Node, arrays: tuple[str, ...], rng: np.random.Generator, within: bool) -> Node:
    if not isinstance(node, Conv2D | Dense):
        return node
    if within:
        rows = rng.permuted(node.weight.reshape(-1, node.weight.shape[-1]), axis=0)
        return replace(node, weight=rows.reshape(node.weight.shape))
    weight = rng.permutation(node.weight.reshape(-1)).reshape(node.weight.shape)
    bias = rng.permutation(node.bias) if "bias" in arrays else node.bias
    return replace(node, weight=weight, bias=bias)


def _equal(wanted: Beats, got: Beats) -> bool:
    return (
        len(wanted) == len(got)
        and bool((wanted.data == got.data).all())
        and bool((wanted.flags == got.flags).all())
    )
