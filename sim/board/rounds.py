"""The two kinds of overlay as rung 6 uses them: how frames go out, and with what settings.

Kind "pixels" takes frames of any size, a pixel a beat, and makes one score a decision. Kind "frames" takes
frames of one shape and makes decisions of many codes, of which the trigger looks at one or at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from dwell.firmware.client import BoardClient, BoardFrame
from dwell.sim.board.expected import Events, Mask, Trigger, place_of, threshold_for
from dwell.sim.dut import Dut
from dwell.sim.packing import pack
from dwell.sim.workload import Codes, Frame

FIRING_SHARE = 0.02
"""Thresholds of the check: about so many of the decisions fire."""

FIRING_SHARE_OF_VECTORS = 0.25
"""The same where a frame makes one decision."""

DEAD_TIME = 3
_LEAST_ROUNDS = 4
_MOST_SELECTED = 10

MOST_FRAMES = 2000
MOST_CLOCKS = 1 << 20
"""Made-up frames of one size, and clocks at full speed that they take, at most: seconds on a board."""

_MOST_FRAMES_AT_ONCE = 64
_CLOCKS_AT_ONCE = 1 << 18


@dataclass(frozen=True)
class Round:
    """Frames number `first`, … with the decisions (*places, C) they have to give, under the same settings."""

    first: int
    frames: tuple[Frame, ...]
    golden: tuple[Codes, ...]
    trigger: Trigger

    def mask(self) -> Mask:
        """Which decisions fire, (N, *places)."""
        return np.stack([self.trigger.mask(codes) for codes in self.golden])

    def events(self, centre: tuple[int, int]) -> Events:
        """The events of all its frames."""
        parts = [self.trigger.events(codes, self.first + at, centre) for at, codes in enumerate(self.golden)]
        return np.concatenate(parts)


class Kind(Protocol):
    """What the two kinds of overlay differ in."""

    @property
    def centre(self) -> tuple[int, int]:
        """(lines, pixels) from a decision's own place to where its event is said to be."""

    def rounds(self, frames: Sequence[Frame], golden: Sequence[Codes]) -> list[Round]:
        """The frames in their order, cut into rounds."""

    def send(self, link: BoardClient, round_: Round) -> BoardFrame:
        """Set the board, send a round; scores (N, …), mask (N, *places) and events of all its frames."""

    def scores(self, golden: Codes) -> Codes:
        """What has to be in `scores` of a frame, from its decisions (*places, C)."""

    def locate(self, index: tuple[int, ...], shape: tuple[int, ...]) -> dict[str, int]:
        """Where an index into scores or mask of a frame lies; `shape` is that of its decisions."""


@dataclass(frozen=True)
class PixelKind:
    """A pixel a beat, one score a decision, a frame at a time."""

    dut: Dut

    @property
    def centre(self) -> tuple[int, int]:
        """Events are told by the pixel in the middle of the window."""
        rows, columns = self.dut.window
        return (rows - 1) // 2, (columns - 1) // 2

    def rounds(self, frames: Sequence[Frame], golden: Sequence[Codes]) -> list[Round]:
        """Frames have their own sizes, so each is a round; the threshold is the same for all."""
        scores = np.concatenate([codes.reshape(-1) for codes in golden])
        trigger = Trigger(threshold_for(scores, FIRING_SHARE), DEAD_TIME)
        return [
            Round(at, (frame,), (codes,), trigger)
            for at, (frame, codes) in enumerate(zip(frames, golden, strict=True))
        ]

    def send(self, link: BoardClient, round_: Round) -> BoardFrame:
        """See `Kind`."""
        beats = self._beats(round_.frames[0])
        trigger = round_.trigger
        link.configure(trigger.threshold, trigger.dead_time, lines=beats.shape[0], pixels=beats.shape[1])
        found = link.process_frame(beats)
        return BoardFrame(found.scores[None], found.mask[None], found.events)

    def scores(self, golden: Codes) -> Codes:
        """See `Kind`."""
        return golden[..., 0]

    def locate(self, index: tuple[int, ...], shape: tuple[int, ...]) -> dict[str, int]:
        """See `Kind`."""
        return {"line": index[0], "pixel": index[1]}

    def _beats(self, frame: Frame) -> npt.NDArray[np.unsignedinteger]:
        height, width = frame.codes.shape[:2]
        raw = pack(frame.codes.reshape(height * width, -1), self.dut.input)
        return raw.view(f"<u{self.dut.input.size}").reshape(height, width)


@dataclass(frozen=True)
class FrameKind:
    """Whole tensors, many at a time, so that one frame follows the other into the network."""

    dut: Dut

    @property
    def centre(self) -> tuple[int, int]:
        """Events are told by their place in the result."""
        return 0, 0

    def rounds(self, frames: Sequence[Frame], golden: Sequence[Codes]) -> list[Round]:
        """Codes of a decision, the first and the last among them, are selected in turn.

        Each of them with the threshold alone, as the largest whatever it is, and with both.
        """
        classes = self.dut.output.shape[-1]
        picked = np.unique(np.linspace(0, classes - 1, min(classes, _MOST_SELECTED)).round()).astype(int)
        makers = (self._by_threshold, self._by_class, self._by_both)[: 3 if classes > 1 else 1]
        settings = [(make, int(code)) for code in picked for make in makers]
        size = self._frames_a_round(len(frames), len(settings))
        rounds = []
        for number, start in enumerate(range(0, len(frames), size)):
            part = tuple(golden[start : start + size])
            make, select = settings[number % len(settings)]
            trigger = make(np.stack(part), select)
            rounds.append(Round(start, tuple(frames[start : start + size]), part, trigger))
        return rounds

    def send(self, link: BoardClient, round_: Round) -> BoardFrame:
        """See `Kind`."""
        trigger = round_.trigger
        link.configure(
            trigger.threshold, trigger.dead_time, select=trigger.select, class_trigger=trigger.class_trigger
        )
        kind = self.dut.input.type
        size = 1 if kind.width <= 8 else 2 if kind.width <= 16 else 4
        codes = np.stack([frame.codes for frame in round_.frames])
        return link.process_frames(codes.astype(f"{'i' if kind.signed else 'u'}{size}"))

    def scores(self, golden: Codes) -> Codes:
        """See `Kind`."""
        return golden

    def locate(self, index: tuple[int, ...], shape: tuple[int, ...]) -> dict[str, int]:
        """See `Kind`."""
        line, pixel = place_of(index[: len(shape) - 1], shape)
        element = {"element": index[-1]} if len(index) == len(shape) else {}
        return {"line": line, "pixel": pixel, **element}

    def _frames_a_round(self, frames: int, settings: int) -> int:
        in_flight = _CLOCKS_AT_ONCE // self.dut.frame_clocks(self.dut.input.shape)
        wanted = -(-frames // max(_LEAST_ROUNDS, settings))
        return max(1, min(_MOST_FRAMES_AT_ONCE, in_flight, wanted))

    def _by_threshold(self, golden: Codes, select: int) -> Trigger:
        share = FIRING_SHARE if self.dut.decisions(self.dut.input.shape) > 1 else FIRING_SHARE_OF_VECTORS
        return Trigger(threshold_for(golden[..., select], share), DEAD_TIME, select)

    def _by_class(self, golden: Codes, select: int) -> Trigger:
        return Trigger(int(golden[..., select].min()), DEAD_TIME, select, True)

    def _by_both(self, golden: Codes, select: int) -> Trigger:
        largest = golden[..., select][golden.argmax(axis=-1) == select]
        if not largest.size:
            return self._by_class(golden, select)
        return Trigger(threshold_for(largest, 0.5), DEAD_TIME, select, True)


def board_windows(dut: Dut, windows: int) -> int:
    """How many decisions to make up for a board where `windows` are asked for."""
    if dut.any_size:
        return windows
    shape = dut.input.shape
    frames = min(MOST_FRAMES, MOST_CLOCKS // dut.frame_clocks(shape))
    return min(windows, max(1, frames) * dut.decisions(shape))


def kind_of(dut: Dut) -> Kind:
    """The kind of a design's overlay."""
    return PixelKind(dut) if dut.any_size else FrameKind(dut)
