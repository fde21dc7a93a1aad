"""How many clocks frames take through a folded design: its flow control, clock by clock, without the data.

Every island is modelled as its hardware behaves: places of buffers, credits, pipelines. Frames come back to back
and the sink is ready, so the figures are those of full speed, waiting in front of the slowest layer included.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from dwell.errors import InternalError

#: Frames sent through before the pace may count as steady, and frames of one latency that then make it so.
_FRAMES, _STEADY = 16, 8

#: Clocks at which something happens, after which frames that do not come out are given up.
_MOST_EVENTS = 2_000_000

#: An island that waits for others only.
_NEVER = 1 << 60


class Island(Protocol):
    """A part of the flow. `ready` and `valid` are asked first, then `clock` tells what was handed over.

    `idle` says for how many clocks nothing will happen by itself, `skip` lets so many pass.
    """

    def ready(self) -> bool: ...

    def valid(self) -> bool: ...

    def clock(self, taken: bool, left: bool) -> None: ...

    def idle(self) -> int: ...

    def skip(self, clocks: int) -> None: ...


class _Passive:
    """An island in which nothing happens by itself."""

    def idle(self) -> int:
        return _NEVER

    def skip(self, clocks: int) -> None:
        return None


@dataclass
class Guard(_Passive):
    """`dwell_frame_guard`: two places."""

    held: int = 0

    def ready(self) -> bool:
        return self.held < 2

    def valid(self) -> bool:
        return self.held > 0

    def clock(self, taken: bool, left: bool) -> None:
        self.held += int(taken) - int(left)


@dataclass
class Pipe:
    """A rigid pipeline and the FIFO that holds what it was started for.

    `used` counts places promised; a result that enters an empty FIFO is there for the sink one clock later.
    """

    depth: int
    burst: int
    used: int = 0
    room_now: bool = False
    coming: deque[int] = field(default_factory=deque)  # clocks until each result is there
    held: int = 0

    def step(self, started: bool, delays: Sequence[int], left: bool) -> None:
        self.held -= int(left)
        self.coming = deque(c - 1 for c in self.coming)
        if started:
            self.coming.extend(delays)
        while self.coming and self.coming[0] <= 0:
            self.coming.popleft()
            self.held += 1
        self.used += (self.burst if started else 0) - int(left)
        self.room_now = self.used + self.burst <= self.depth

    def idle(self) -> int:
        return self.coming[0] - 1 if self.coming else _NEVER

    def skip(self, clocks: int) -> None:
        self.coming = deque(c - clocks for c in self.coming)


@dataclass
class Unit:
    """A folded layer: `beats` fill a vector, of which `slots` have a place; `first` is the clocks from the start
    of a vector to its first result at the FIFO, `spacing` those between its `burst` results."""

    beats: int
    slots: int
    reuse: int
    first: int
    spacing: int
    pipe: Pipe
    count: int = 0
    used: int = 0
    waiting: int = 0
    left_of_vector: int = 0

    def ready(self) -> bool:
        return self.used < self.slots or self.left_of_vector == 1

    def valid(self) -> bool:
        return self.pipe.held > 0

    def clock(self, taken: bool, left: bool) -> None:
        done = taken and self.count == self.beats - 1
        finish = self.left_of_vector == 1
        start = (self.waiting > 0 or done) and self.pipe.room_now and self.left_of_vector <= 1
        if taken:
            self.count = 0 if done else self.count + 1
        self.used += int(done) - int(finish)
        self.waiting += int(done) - int(start)
        self.left_of_vector = self.reuse if start else max(self.left_of_vector - 1, 0)
        delays = [self.first + i * self.spacing for i in range(self.pipe.burst)]
        self.pipe.step(start, delays, left)

    def idle(self) -> int:
        if self.waiting and self.pipe.room_now and self.left_of_vector <= 1:
            return 0
        own = self.left_of_vector - 1 if self.left_of_vector else _NEVER
        return min(own, self.pipe.idle())

    def skip(self, clocks: int) -> None:
        self.left_of_vector = max(self.left_of_vector - clocks, 0)
        self.pipe.skip(clocks)


@dataclass
class Stream:
    """A kernel that takes a beat every clock, and its credit FIFO."""

    latency: int
    pipe: Pipe

    def ready(self) -> bool:
        return self.pipe.room_now

    def valid(self) -> bool:
        return self.pipe.held > 0

    def clock(self, taken: bool, left: bool) -> None:
        self.pipe.step(taken, [self.latency], left)

    def idle(self) -> int:
        return self.pipe.idle()

    def skip(self, clocks: int) -> None:
        self.pipe.skip(clocks)


@dataclass
class Widen(_Passive):
    """`dwell_widen`: `ratio` beats make one."""

    ratio: int
    part: int = 0
    full: bool = False
    sink_ready: bool = False

    def ready(self) -> bool:
        return not self.full or self.sink_ready

    def valid(self) -> bool:
        return self.full

    def clock(self, taken: bool, left: bool) -> None:
        ends = taken and self.part == self.ratio - 1
        if taken:
            self.part = 0 if ends else self.part + 1
        self.full = ends or (self.full and not left)


@dataclass(frozen=True)
class Flow:
    """Clocks at full speed: `frame` from frame to frame, `latency` as `LATENCY_OF_FRAMES` says, the largest."""

    frame: int
    latency: int


def measure(islands: Sequence[Island], in_beats: int, out_beats: int) -> Flow:
    """Send frames through a chain of islands until the pace is steady.

    Raises `InternalError` if they do not come out.
    """
    accepted: list[int] = []
    results: list[int] = []
    sent = came = clock = 0
    for _ in range(_MOST_EVENTS):
        moves = _moves(islands)
        for number, island in enumerate(islands):
            island.clock(moves[number], moves[number + 1])
        if moves[0]:
            sent += 1
            if sent % in_beats == 0:
                accepted.append(clock)
        if moves[-1]:
            came += 1
            if came % out_beats == 0:
                results.append(clock)
                late = [r - a for a, r in zip(accepted, results, strict=False)]
                if len(late) >= _FRAMES and len(set(late[-_STEADY:])) == 1:
                    paces = [b - a for a, b in zip(results[-_STEADY:], results[-_STEADY + 1 :], strict=False)]
                    return Flow(max(paces), max(late))
        clock += 1
        if not any(moves) and not any(_moves(islands)):
            quiet = min(island.idle() for island in islands)
            if 0 < quiet < _NEVER:
                for island in islands:
                    island.skip(quiet)
                clock += quiet
    raise InternalError("a folded design's frames do not come through its own flow control")


def _moves(islands: Sequence[Island]) -> list[bool]:
    """Whether a beat is handed over on each link, the input and the output among them."""
    takes = [True] * (len(islands) + 1)
    for number in range(len(islands) - 1, -1, -1):
        island = islands[number]
        if isinstance(island, Widen):
            island.sink_ready = takes[number + 1]
        takes[number] = island.ready()
    offers = [True, *(island.valid() for island in islands)]
    return [offer and take for offer, take in zip(offers, takes, strict=True)]
