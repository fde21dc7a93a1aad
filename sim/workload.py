"""What is sent through a design, and what has to come out: frames or samples with their golden results."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from dwell.sim.dut import Dut
from dwell.sim.packing import frame_flags, joined, pack
from dwell.sim.verilated import Beats
from dwell.sim.verilated.run import LAST, USER

Codes = npt.NDArray[np.int64]

_PIXELS_AT_ONCE = 1 << 21


@dataclass(frozen=True)
class Frame:
    """Input codes of a frame (H, W, C), or of a sample in the input tensor's shape, and where it is from."""

    codes: Codes
    origin: str


class Workload:
    """Frames in their order, sent one straight after the other."""

    def __init__(self, dut: Dut, frames: Sequence[Frame]) -> None:
        self.dut = dut
        self.frames = tuple(frames)

    def golden(self, progress: Callable[[float], None] | None = None) -> tuple[Codes, ...]:
        """The QModel's output codes for each frame, (rows, columns, C), and (1, 1, C) for a sample."""
        groups: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for index, frame in enumerate(self.frames):
            groups[frame.codes.shape].append(index)
        out: list[Codes | None] = [None] * len(self.frames)
        done = 0
        for shape, indices in groups.items():
            batch = max(1, _PIXELS_AT_ONCE // int(np.prod(shape)))
            for start in range(0, len(indices), batch):
                part = indices[start : start + batch]
                results = self.dut.model.run_codes(np.stack([self.frames[i].codes for i in part]))
                if not self.dut.streams:
                    results = results.reshape(len(part), 1, 1, -1)
                for index, result in zip(part, results, strict=True):
                    out[index] = result
                done += len(part)
                if progress is not None:
                    progress(done / len(self.frames))
        return tuple(result for result in out if result is not None)

    @cached_property
    def beats(self) -> Beats:
        """All frames as input beats."""
        return joined([self._frame_beats(i, frame) for i, frame in enumerate(self.frames)])

    def _frame_beats(self, index: int, frame: Frame) -> Beats:
        port = self.dut.input
        codes = frame.codes.reshape(-1, len(port.widths))
        data = pack(codes, port.widths, port.size)
        if self.dut.streams:
            return Beats(data, frame_flags(*frame.codes.shape[:2]))
        return Beats(data, np.array([_sample_flags(index)], dtype=np.uint8))

    def expected_beats(self, golden: Sequence[Codes]) -> Beats:
        """The output beats, padding and flags included, that `golden` stands for."""
        return joined([self._result_beats(i, result) for i, result in enumerate(golden)])

    def _result_beats(self, index: int, result: Codes) -> Beats:
        port = self.dut.output
        data = pack(
            result.reshape(-1, len(port.widths)), port.widths, port.size, sign_extend=port.sign_extend
        )
        if self.dut.streams:
            return Beats(data, frame_flags(*result.shape[:2]))
        return Beats(data, np.array([_sample_flags(index)], dtype=np.uint8))

    def last_pixels(self) -> npt.NDArray[np.int64]:
        """For every decision, the number of the input beat that is the last of its window."""
        if not self.dut.streams:
            return np.arange(len(self.frames))
        kh, kw = self.dut.window
        parts, first = [], 0
        for frame in self.frames:
            height, width = frame.codes.shape[:2]
            rows = np.arange(kh - 1, height, dtype=np.int64)[:, None]
            parts.append((first + rows * width + np.arange(kw - 1, width)).reshape(-1))
            first += height * width
        return np.concatenate(parts)

    def decisions(self) -> int:
        """How many decisions (windows, samples) there are in all."""
        return sum(self.dut.decisions(frame.codes.shape) for frame in self.frames)

    def locate(self, decision: int) -> tuple[int, int, int]:
        """(frame, row, column) of a decision by its number in the output stream."""
        for index, frame in enumerate(self.frames):
            here = self.dut.decisions(frame.codes.shape)
            if decision < here:
                if not self.dut.streams:
                    return index, 0, 0
                columns = frame.codes.shape[1] - self.dut.window[1] + 1
                return index, decision // columns, decision % columns
            decision -= here
        raise IndexError("no such decision")

    def window(self, decision: int) -> Codes:
        """The input codes that a decision sees, (kh, kw, C), or the whole sample."""
        index, row, column = self.locate(decision)
        codes = self.frames[index].codes
        if not self.dut.streams:
            return codes
        kh, kw = self.dut.window
        return codes[row : row + kh, column : column + kw]

    def __iter__(self) -> Iterator[Frame]:
        return iter(self.frames)


def _sample_flags(index: int) -> int:
    """TUSER and TLAST of a sample: a pattern that shows if they slip against the data."""
    return (USER if index % 5 == 0 else 0) | (LAST if index % 3 == 1 else 0)
