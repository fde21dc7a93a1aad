"""What the bench plays: phases of frames with their golden decisions, no longer than a simulator can take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dwell.sim.bench.run import Phase
from dwell.sim.compare import Comparison, compare
from dwell.sim.dut import Dut
from dwell.sim.packing import joined
from dwell.sim.vectors import ordinary_frames
from dwell.sim.verilated import Beats
from dwell.sim.workload import Frame, Workload

PAUSED_BEATS = 6_000
"""Beats that a phase with pauses sends at most: it takes several clocks a beat."""


@dataclass(frozen=True)
class Plan:
    """A phase, and the stretches of its output that belong to one workload each."""

    phase: Phase
    segments: tuple[tuple[Workload, Beats], ...]

    def compare(self, got: Beats) -> Comparison:
        """Compare all segments; the first mismatch is that of the first segment that has one."""
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
    dut: Dut, frames: Sequence[Frame], *, stalls: bool, most_beats: int | None = None
) -> tuple[Plan, ...]:
    """The phases for `frames`: full speed, a reset in mid-frame, a frame cut short, and pauses with `stalls`.

    `most_beats` shortens all of them.
    """
    whole = Workload(dut, _shortened(dut, frames, most_beats) if most_beats else _sent_whole(dut, frames))
    part = Workload(dut, _shortened(dut, frames, min(PAUSED_BEATS, (most_beats or 2 * PAUSED_BEATS) // 2)))
    expected = part.expected_beats(part.golden())
    plans = [_plan("full_speed", whole, whole.expected_beats(whole.golden()))]
    if stalls:
        plans += [_plan(name, part, expected) for name in ("gaps", "back_pressure", "gaps_and_back_pressure")]
    plans.append(_plan("reset_in_mid_frame", part, expected, cut=max(1, len(part.beats) * 3 // 5)))
    if dut.streams:
        plans.append(_cut_short(part, expected))
    return tuple(plans)


def _plan(name: str, work: Workload, expected: Beats, cut: int = 0) -> Plan:
    return Plan(Phase(name, work.beats, expected, cut), ((work, expected),))


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
    sent = joined([Beats(first.beats.data[:cut], first.beats.flags[:cut]), work.beats])
    phase = Phase("frame_cut_short", sent, joined([before, expected]))
    return Plan(phase, ((first, before), (work, expected)))


def _sent_whole(dut: Dut, frames: Sequence[Frame]) -> list[Frame]:
    """All frames; of samples so many that the last one carries TLAST, with which every packet has to end."""
    if dut.streams:
        return list(frames)
    count = len(frames) - (len(frames) - 2) % 3 if len(frames) >= 2 else 0
    return list(frames[:count]) or [frames[0], frames[0]]


def _shortened(dut: Dut, frames: Sequence[Frame], most_beats: int) -> list[Frame]:
    """The first frames, the last of them cropped, with at most about `most_beats` beats in all."""
    if not dut.streams:
        return _sent_whole(dut, frames[:most_beats])
    kept: list[Frame] = []
    left = most_beats
    for frame in frames:
        height, width = frame.codes.shape[:2]
        rows = min(height, max(dut.window[0], left // width))
        if kept and rows * width > left:
            break
        kept.append(Frame(frame.codes[:rows], frame.origin))
        left -= rows * width
    return kept


def bench_frames(dut: Dut, count: int, seed: int) -> list[Frame]:
    """Frames for the bench: one of a single window, `count` of middling size, one as wide as can be."""
    rng = np.random.default_rng([seed, 0xBE7C])
    shape = dut.model.tensors[dut.model.input].shape
    if not dut.streams:
        return ordinary_frames(dut, [shape] * (200 * count), rng)
    (kh, kw), channels = dut.window, shape[-1]
    middling = (kh + 21, min(kw + 37, dut.max_width), channels)
    sizes = [
        middling,
        (kh, kw, channels),
        *[middling] * (count - 1),
        (kh + 1, min(dut.max_width, 256), channels),
    ]
    return ordinary_frames(dut, sizes, rng)
