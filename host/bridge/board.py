"""What the bridge asks of a board: rows in, events out, and counters that add up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Evidence = Literal["software", "simulated", "hardware"]


@dataclass(frozen=True)
class BoardInfo:
    """What decides. `evidence` says whether a program, a simulated board or a board; it must never say more.

    `window` is (lines, pixels); `decision_us` the time from a window's last pixel to its decision by the
    design's clock, None where no clock runs.
    """

    name: str
    evidence: Evidence
    design_digest: str
    build_digest: str
    window: tuple[int, int]
    decision_us: float | None
    versions: dict[str, str]


@dataclass(frozen=True)
class Event:
    """A trigger. `line` and `pixel` are those of the input pixel under the middle of the window, `score` is
    a code.

    `seen_s` is when the host got it (monotonic s), `frame` counts from 0 since `start`.
    """

    frame: int
    line: int
    pixel: int
    score: int
    seen_s: float


@dataclass(frozen=True)
class BoardCounters:
    """Counts since `start`. At rest pixels = pixels_decided + pixels_dropped and triggers = events +
    events_dropped.

    `pixels_decided` are those that the network took; `decisions` is smaller, for a window at the edge
    decides nothing.
    """

    frames: int = 0
    pixels: int = 0
    pixels_decided: int = 0
    pixels_dropped: int = 0
    decisions: int = 0
    triggers: int = 0
    events: int = 0
    events_dropped: int = 0

    def to_json(self) -> dict[str, int]:
        """The counters by name."""
        return asdict(self)


@runtime_checkable
class Board(Protocol):
    """A board with a design on it. Used by one thread at a time.

    Every wait has an end: a board that stops answering raises `DeviceError` in bounded time.
    """

    @property
    def info(self) -> BoardInfo:
        """What it is."""
        ...

    def start(self, lines: int, pixels: int, threshold: int, dead_time: int) -> None:
        """Set frame size, trigger threshold (score code) and dead time (decisions), zero the counters.

        The next row sent is line 0 of frame 0. Raises `ConfigError` for a frame that the design cannot take.
        """
        ...

    def send(self, rows: NDArray[np.uint8]) -> None:
        """Send rows (n, pixels) of detector codes, the next ones in raster order; frames follow without a
        gap.
        """
        ...

    def events(self) -> Sequence[Event]:
        """Events that have come since the last call, in their order."""
        ...

    def finish(self) -> Sequence[Event]:
        """Wait until all that was sent is decided; the events that came meanwhile."""
        ...

    def counters(self) -> BoardCounters:
        """The counters, all of one moment."""
        ...

    def close(self) -> None:
        """Let go of the board. May be called again."""
        ...
