"""What the bench plays: phases of frames with their golden decisions, no longer than a simulator can take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dwell.sim.beats import LAST, Beats
from dwell.sim.bench.run import Phase
from dwell.sim.compare import Comparison, compare
from dwell.sim.dut import Dut
from dwell.sim.packing import joined
from dwell.sim.vectors import ordinary_frames
from dwell.sim.verilated import CoreRun
from dwell.sim.workload import Frame, Workload

PAUSED_CLOCKS = 6_000
"""Clocks at full speed of a phase with pauses, about: it takes several times as many."""

TIMED_FRAMES, EXACT_FRAMES = 24, 8
"""Frames of one size that the phase at full speed sends: buffers fill, latency and interval settle.

The second is enough where `design.json` promises exact figures; fewer than the first, but four, where they
would take more than `TIMED_CLOCKS`.
"""

TIMED_CLOCKS = 200_000

LEAST_FRAMES = 4
"""Frames of one size that any phase sends at least; two where they are slow."""

SPEED_CLOCKS = 8_000
"""Clocks at full speed of made-up frames of one size, for each frame asked for."""

LEAST_STOP, MOST_STOP = 64, 2_000
"""Clocks that a sink stands still for each beat in the phase of long stalls: twice as long as the design needs for
one, so that all queues in it fill, then drain a beat at a time."""

_STRAY_BEATS = 5


@dataclass(frozen=True)
class Plan:
    """A phase, and the stretches of its output that belong to one workload each."""

    phase: Phase
    segments: tuple[tuple[Workload, Beats], ...]

    @property
    def work(self) -> Workload:
        """The first segment's workload."""
        return self.segments[0][0]

    def compare(self, record: CoreRun) -> Comparison:
        """Compare all segments; the first mismatch is that of the first segment that has one."""
        got = record.beats
        compared, mismatches, first, start = 0, 0, None, 0
        for work, expected in self.segments:
            stop = start + len(expected)
            found = compare(work, expected, Beats(got.data[start:stop], got.flags[start:stop]))
            compared += found.compared
            mismatches += found.mismatches
            if first is None and found.first is not None:
                first = {**found.first, "phase": self.phase.name}
            start = stop
        return Comparison(compared, mismatches + max(0, len(got) - start), first)


def make_plans(
    dut: Dut, frames: Sequence[Frame], *, stalls: bool, most_clocks: int | None = None
) -> tuple[Plan, ...]:
    """The phases for `frames`: full speed, a reset in mid-frame, a frame cut short, and pauses with `stalls`.

    `most_clocks` shortens all of them, and leaves out the long stalls.
    """
    whole = Workload(dut, _shortened(dut, frames, most_clocks, _timed_frames(dut)))
    less = min(PAUSED_CLOCKS, (most_clocks or 2 * PAUSED_CLOCKS) // 2)
    slow = LEAST_FRAMES * dut.frame_clocks(dut.input.shape) > TIMED_CLOCKS // 4
    part = Workload(dut, _shortened(dut, frames, less, 2 if slow else LEAST_FRAMES))
    expected = part.expected_beats(part.golden())
    plans = [_plan("full_speed", whole, whole.expected_beats(whole.golden()))]
    if stalls:
        plans += [_plan(name, part, expected) for name in ("gaps", "back_pressure", "gaps_and_back_pressure")]
        if most_clocks is None:  # such a phase takes many times the clocks
            plans.append(_long_stalls(part, expected))
    cut = max(1, len(part.beats) * 3 // 5)
    cut += int(cut in part.starts)
    plans.append(_plan("reset_in_mid_frame", part, expected, cut=min(cut, len(part.beats))))
    if dut.any_size:
        plans.append(_cut_short(part, expected))
    elif dut.input.frame_beats > 1:
        plans.append(_cut_and_completed(part, expected))
    return tuple(plans)


def _long_stalls(work: Workload, expected: Beats) -> Plan:
    each = work.clocks // max(1, len(expected))
    phase = Phase(
        "long_stalls", work.beats, expected, work.clocks, stop=max(LEAST_STOP, min(2 * each, MOST_STOP))
    )
    return Plan(phase, ((work, expected),))


def _timed_frames(dut: Dut) -> int:
    if dut.latency_exact:
        return EXACT_FRAMES
    return max(LEAST_FRAMES, min(TIMED_FRAMES, TIMED_CLOCKS // dut.frame_clocks(dut.input.shape)))


def _plan(name: str, work: Workload, expected: Beats, cut: int = 0) -> Plan:
    return Plan(Phase(name, work.beats, expected, work.clocks, cut), ((work, expected),))


def _cut_short(work: Workload, expected: Beats) -> Plan:
    """The largest frame breaks off in the middle of a line; then all frames follow whole."""
    largest = max(work.frames, key=lambda frame: frame.codes.size)
    first = Workload(work.dut, [largest])
    height, width = largest.codes.shape[:2]
    kh, kw = work.dut.window
    row = min(height - 1, kh + (height - kh) // 2)
    cut = row * width + min(width - 1, kw + (width - kw) // 2)
    decided = int((first.last_pixels() < cut).sum())
    before = first.expected_beats(first.golden())
    before = Beats(before.data[:decided], before.flags[:decided])
    sent = joined([_cut(first.beats, 0, cut), work.beats])
    phase = Phase("frame_cut_short", sent, joined([before, expected]), first.clocks + work.clocks)
    return Plan(phase, ((first, before), (work, expected)))


def _cut_and_completed(work: Workload, expected: Beats) -> Plan:
    """Beats of no frame, two frames that break off, then all frames, and beats of no frame after the first.

    What is missing of a frame counts as zeros; what belongs to no frame is dropped.
    """
    dut, size = work.dut, work.dut.input.frame_beats
    stray = Beats(work.beats.data[:_STRAY_BEATS], np.full(min(_STRAY_BEATS, len(work.beats)), LAST, np.uint8))
    sent, frames = [stray], list[Frame]()
    for beats in dict.fromkeys((1, min(size - 1, size * 3 // 5))):
        frame = work.frames[len(frames) % len(work.frames)]
        codes = frame.codes.reshape(-1).copy()
        codes[beats * dut.input.elements :] = 0
        frames.append(Frame(codes.reshape(frame.codes.shape), f"{frame.origin}, cut after {beats} beats"))
        sent.append(_cut(Workload(dut, [frame]).beats, 0, beats))
    completed = Workload(dut, frames)
    before = completed.expected_beats(completed.golden())
    sent += [_cut(work.beats, 0, size), stray, _cut(work.beats, size, len(work.beats))]
    clocks = completed.clocks + work.clocks
    beats_in = joined([part for part in sent if len(part)])
    phase = Phase("frame_cut_short", beats_in, joined([before, expected]), clocks)
    return Plan(phase, ((completed, before), (work, expected)))


def _cut(beats: Beats, start: int, stop: int) -> Beats:
    return Beats(beats.data[start:stop], beats.flags[start:stop])


def _shortened(dut: Dut, frames: Sequence[Frame], most_clocks: int | None, least: int) -> list[Frame]:
    """The first frames with at most about `most_clocks` clocks in all.

    Of any size, the last one is cropped; of one size, there are `least` of them, some repeated if need be.
    """
    if not dut.any_size:
        each = dut.frame_clocks(dut.input.shape)
        count = len(frames) if most_clocks is None else min(len(frames), most_clocks // each)
        repeated = [*frames] * -(-least // len(frames))
        return repeated[: max(least, count)]
    if most_clocks is None:
        return list(frames)
    kept: list[Frame] = []
    left = most_clocks
    for frame in frames:
        height, width = frame.codes.shape[:2]
        rows = min(height, max(dut.window[0], left // width))
        if kept and rows * width > left:
            break
        kept.append(Frame(frame.codes[:rows], frame.origin))
        left -= rows * width
    return kept


def bench_frames(dut: Dut, count: int, seed: int) -> list[Frame]:
    """Frames for the bench: one of a single window, `count` of middling size, one as wide as can be.

    Of one size so many as take `SPEED_CLOCKS` for each of `count`, but 200 for each at most.
    """
    rng = np.random.default_rng([seed, 0xBE7C])
    shape = dut.input.shape
    if not dut.any_size:
        most = count * min(200, SPEED_CLOCKS // dut.frame_clocks(shape))
        return ordinary_frames(dut, [shape] * max(LEAST_FRAMES, most), rng)
    (kh, kw), channels = dut.window, shape[-1]
    middling = (kh + 21, min(kw + 37, dut.max_width), channels)
    sizes = [
        middling,
        (kh, kw, channels),
        *[middling] * (count - 1),
        (kh + 1, min(dut.max_width, 256), channels),
    ]
    return ordinary_frames(dut, sizes, rng)
