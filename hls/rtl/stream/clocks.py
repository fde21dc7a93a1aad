"""A stream clock by clock: when beats come and go, from the control of its blocks, which is the hardware's own.

So latency and interval are those of the hardware, and FIFOs before joins get the places that they need.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from math import ceil

from dwell.errors import InternalError
from dwell.hls.rtl.stream.blocks import Fifo, Folded, Plan, Steps
from dwell.hls.rtl.stream.controls import EntryPart, FifoPart, Handshakes, part_of
from dwell.hls.rtl.stream.needs import bounds_of
from dwell.hls.rtl.stream.shrink import extended, samples, shrunk

#: Frames that are followed at least.
_LEAST = 3

#: Frames that are followed at most: small ones, and those of many clocks.
_MOST, _FEW = 128, 9

#: Clocks at full speed that are followed, but for `_FEW` frames.
_FOLLOWED = 60_000

#: A stream in which no beat comes or goes for so many times a frame's beats stands still.
_STILL = 40

#: Frames of more clocks are not followed.
_MOST_CLOCKS = 20_000

#: What is added to clocks that were extended from smaller frames: a part of them, and some.
_SPARE, _SPARE_CLOCKS = 1 / 64, 16

#: Places of a FIFO that never fills.
_ENDLESS = 1 << 40


@dataclass(frozen=True)
class Timing:
    """Frames back to back, the sink always ready: clocks of the handshakes of each frame's first and last beats.

    Of the first beats one more may be known: that of the frame after them. `steady`: the last frames came and
    went at one interval. `high` is how many beats each FIFO before a join held at most in its memory.
    """

    first_in: tuple[int, ...]
    last_in: tuple[int, ...]
    last_out: tuple[int, ...]
    steady: bool
    high: Mapping[str, int]

    @property
    def frame_cycles(self) -> int:
        """Clocks from frame to frame once buffers are full."""
        return self.intervals[-1] if self.steady else max(self.intervals[len(self.intervals) // 2 :])

    @property
    def latency(self) -> int:
        """Clocks from a frame's last beat to its last result, at most."""
        return max(self.latencies)

    @property
    def exact(self) -> bool:
        """Whether any run of eight frames or more will show these figures: they are steady after five."""
        return self.steady and len(self.last_out) <= 5

    @property
    def latencies(self) -> tuple[int, ...]:
        """Clocks from a frame's last beat to its last result."""
        return tuple(out - last for last, out in zip(self.last_in, self.last_out, strict=True))

    @property
    def intervals(self) -> tuple[int, ...]:
        """Clocks from frame to frame."""
        return tuple(b - a for a, b in zip(self.first_in, self.first_in[1:], strict=False))


@dataclass(frozen=True)
class Pace:
    """`latency` and `frame_cycles` as in `Timing`; upper bounds where not `exact`."""

    latency: int
    frame_cycles: int
    exact: bool


class _Log:
    """Clocks of the handshakes at both ends."""

    def __init__(self, beats_in: int, beats_out: int) -> None:
        self.beats = (beats_in, beats_out)
        self.clock = self.moved = self.taken = self.gone = 0
        self.first_in: list[int] = []
        self.last_in: list[int] = []
        self.last_out: list[int] = []

    def note(self, gone: bool, taken: bool) -> None:
        """What happened in a clock."""
        beats_in, beats_out = self.beats
        if taken:
            if self.taken % beats_in == 0:
                self.first_in.append(self.clock)
            self.taken += 1
            if self.taken % beats_in == 0:
                self.last_in.append(self.clock)
        if gone:
            self.gone += 1
            if self.gone % beats_out == 0:
                self.last_out.append(self.clock)
        if gone or taken:
            self.moved = self.clock
        self.clock += 1
        if self.clock - self.moved > _STILL * (beats_in + beats_out) + 10_000:
            raise InternalError(f"the stream stands still after {self.gone} beats out and {self.taken} in")

    @property
    def whole(self) -> int:
        """Frames that went through to the end. The last results may go before a last beat that none of them needs."""
        return min(len(self.last_in), len(self.last_out))

    @property
    def steady(self) -> bool:
        """Whether the last frames came and went at one interval: nothing piles up between the ends."""
        if self.whole < _LEAST:
            return False
        came, went = (
            [b - a for a, b in pairwise(ends[: self.whole])] for ends in (self.last_in, self.last_out)
        )
        return came[-1] == came[-2] == went[-1] == went[-2]

    def timing(self, high: Mapping[str, int]) -> Timing:
        """What was seen of the frames that went through to the end."""
        whole = self.whole
        starts, ends = tuple(self.first_in[: whole + 1]), tuple(self.last_in[:whole])
        return Timing(starts, ends, tuple(self.last_out[:whole]), self.steady, high)


class Running:
    """The control of a plan's blocks at work: `frames` frames enter, the sink is always ready."""

    def __init__(self, plan: Plan, frames: int) -> None:
        self._wires, self._result = Handshakes(plan.links), plan.result
        self.parts = [part_of(block, plan, self._wires, frames) for block in plan.blocks]
        self._backwards = list(reversed(self.parts))
        entry = self.parts[0]
        assert isinstance(entry, EntryPart)
        self.entry = entry
        self._wires.ready[plan.result] = True

    def clock(self) -> tuple[bool, bool]:
        """One clock more: whether a result left in it, and whether a beat was taken."""
        for part in self.parts:
            part.give()
        for part in self._backwards:
            part.take()
        gone, before = self._wires.valid[self._result], self.entry.taken
        for part in self.parts:
            part.tick()
        return gone, self.entry.taken > before


def follow(plan: Plan, frames: int | None = None) -> Timing:
    """Frames back to back through the stream until they come and go at one interval: at most `frames` of them.

    By default those are as many as `_FOLLOWED` clocks allow: what waits inside grows with every frame until a
    FIFO is full, and with it the latency. Raises `InternalError` if the stream stands still.
    """
    if frames is None:
        frames = min(_MOST, max(_FEW, _FOLLOWED // _clocks(plan)))
    run = Running(plan, frames)
    log = _Log(plan.links[run.entry.o[0]].beats, plan.links[plan.result].beats)
    while log.whole < frames and not log.steady:
        log.note(*run.clock())
    return log.timing({part.o[0]: part.high for part in run.parts if isinstance(part, FifoPart)})


def sized(plan: Plan) -> tuple[Plan, Pace]:
    """The plan with a depth for every FIFO before a join, and its pace.

    A FIFO gets the places that keep it from a deadlock, and as many as it needs for frames back to back at full
    speed, found by following them through FIFOs without an end. Large frames are not followed: their clocks are
    bounds that follow from those of smaller ones.
    """
    bounds = bounds_of(plan)
    sizes = samples(plan) if _clocks(plan) > _MOST_CLOCKS else None
    if sizes is None:
        depths, timing = _followed(plan, bounds)
        pace = Pace(timing.latency, timing.frame_cycles, timing.exact)
        return _with_depths(plan, bounds, depths), pace
    (low, left), (high, right) = sizes
    times, more = [], dict.fromkeys(bounds, 0)
    for size in ((low, left), (high, left), (low, right), (high, right)):
        small = shrunk(plan, size)
        assert small is not None
        here = bounds_of(small)
        depths, timing = _followed(small, here)
        times.append(timing)
        more = {link: max(more[link], depths[link] - here[link]) for link in bounds}
    entry = plan.links[plan.blocks[0].outputs[0]]
    own = (entry.rows, entry.columns)
    a, b, c, d = times
    latency = extended((a.latency, b.latency, c.latency, d.latency), *sizes, own)
    frame = extended((a.frame_cycles, b.frame_cycles, c.frame_cycles, d.frame_cycles), *sizes, own)
    deep = _with_depths(plan, bounds, {link: bound + more[link] for link, bound in bounds.items()})
    return deep, Pace(_above(latency), _above(frame), False)


def _above(clocks: float) -> int:
    """A bound of what was extended from smaller frames."""
    return ceil(clocks * (1 + _SPARE)) + _SPARE_CLOCKS


def _clocks(plan: Plan) -> int:
    """Clocks of a frame, about."""
    slow = [
        plan.links[b.input].beats * b.layer.unit.folding.reuse // b.beats
        for b in plan.blocks
        if isinstance(b, Folded)
    ]
    slow += [plan.links[b.input].beats * (b.latency + 1) for b in plan.blocks if isinstance(b, Steps)]
    return max([plan.links[link].beats for block in plan.blocks for link in block.outputs] + slow)


def _followed(plan: Plan, bounds: Mapping[str, int]) -> tuple[dict[str, int], Timing]:
    """Depths of the FIFOs, and the timing with those."""
    if not bounds:
        return {}, follow(plan)
    # Few frames: where a layer is slower than the input, a FIFO without an end fills for ever.
    high = follow(_with_depths(plan, bounds, dict.fromkeys(bounds, _ENDLESS)), _FEW).high
    # One more than it ever holds, as it shows a place only while one is free.
    depths = {link: max(bound, high[link] + 1) for link, bound in bounds.items()}
    return depths, follow(_with_depths(plan, bounds, depths))


def _with_depths(plan: Plan, bounds: Mapping[str, int], depths: Mapping[str, int]) -> Plan:
    blocks = tuple(
        replace(b, bound=bounds[b.output], depth=depths[b.output]) if isinstance(b, Fifo) else b
        for b in plan.blocks
    )
    return replace(plan, blocks=blocks)
