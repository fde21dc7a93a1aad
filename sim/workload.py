"""What is sent through a design, and what has to come out: frames with their golden results."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from dwell.hls.qmodel import run_codes
from dwell.sim.beats import Beats
from dwell.sim.dut import Dut, Port
from dwell.sim.packing import pack, port_flags

Codes = npt.NDArray[np.int64]

_CODES_AT_ONCE = 1 << 21


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
        """The QModel's output codes for each frame, in the output's shape."""
        groups: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for index, frame in enumerate(self.frames):
            groups[frame.codes.shape].append(index)
        out: list[Codes | None] = [None] * len(self.frames)
        done = 0
        for shape, indices in groups.items():
            batch = max(1, _CODES_AT_ONCE // int(np.prod(shape)))
            for start in range(0, len(indices), batch):
                part = indices[start : start + batch]
                results = run_codes(self.dut.model, np.stack([self.frames[i].codes for i in part]))
                for index, result in zip(part, results, strict=True):
                    out[index] = result
                done += len(part)
                if progress is not None:
                    progress(done / len(self.frames))
        return tuple(result for result in out if result is not None)

    @cached_property
    def beats(self) -> Beats:
        """All frames as input beats."""
        return _as_beats([frame.codes for frame in self.frames], self.dut.input)

    def expected_beats(self, golden: Sequence[Codes]) -> Beats:
        """The output beats, padding and flags included, that `golden` stands for."""
        return _as_beats(golden, self.dut.output)

    @cached_property
    def starts(self) -> npt.NDArray[np.int64]:
        """For every frame, the number of the input beat that is its first; then the number of all beats."""
        port = self.dut.input
        sizes = [frame.codes.size // port.elements for frame in self.frames]
        return np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])

    @cached_property
    def result_starts(self) -> npt.NDArray[np.int64]:
        """As `starts`, of the output beats."""
        elements = self.dut.output.elements
        sizes = [int(np.prod(self.dut.result_shape(f.codes.shape))) // elements for f in self.frames]
        return np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])

    @cached_property
    def decision_starts(self) -> npt.NDArray[np.int64]:
        """As `starts`, of the decisions."""
        sizes = [self.dut.decisions(frame.codes.shape) for frame in self.frames]
        return np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])

    def last_pixels(self) -> npt.NDArray[np.int64]:
        """For every decision, the number of the input beat that is the last of its window (any size)."""
        kh, kw = self.dut.window
        parts = []
        for first, frame in zip(self.starts, self.frames, strict=False):
            height, width = frame.codes.shape[:2]
            rows = np.arange(kh - 1, height, dtype=np.int64)[:, None]
            parts.append((first + rows * width + np.arange(kw - 1, width)).reshape(-1))
        return np.concatenate(parts)

    @property
    def decisions(self) -> int:
        """How many decisions (windows, samples) there are in all."""
        return int(self.decision_starts[-1])

    @property
    def clocks(self) -> int:
        """Clocks that all of it takes at full speed, about."""
        busy = sum(self.dut.frame_clocks(frame.codes.shape) for frame in self.frames)
        return busy + self.dut.settle_clocks

    @property
    def codes_a_decision(self) -> int:
        """Codes of a decision: the channels of a place, or the whole of a result without places."""
        return self.dut.output.shape[-1]

    def decision_of(self, beats: npt.ArrayLike, code: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """The decision that a `code` of an output beat belongs to, by its number in the whole stream."""
        beat = np.asarray(beats, dtype=np.int64)
        frame = np.searchsorted(self.result_starts, beat, side="right") - 1
        within = (beat - self.result_starts[frame]) * self.dut.output.elements + np.asarray(code)
        return np.asarray(self.decision_starts[frame] + within // self.codes_a_decision, dtype=np.int64)

    def locate(self, decision: int) -> tuple[int, tuple[int, ...]]:
        """(frame, place in its result) of a decision by its number; no place in a result without places."""
        if not 0 <= decision < self.decisions:
            raise IndexError("no such decision")
        frame = int(np.searchsorted(self.decision_starts, decision, side="right")) - 1
        places = self.dut.result_shape(self.frames[frame].codes.shape)[:-1]
        within = decision - int(self.decision_starts[frame])
        return frame, tuple(int(n) for n in np.unravel_index(within, places)) if places else ()

    def window(self, decision: int) -> Codes:
        """The input codes that a decision sees, (kh, kw, C), or the whole sample where all are of one size."""
        index, place = self.locate(decision)
        codes = self.frames[index].codes
        if not self.dut.any_size:
            return codes
        (kh, kw), (row, column) = self.dut.window, place
        return codes[row : row + kh, column : column + kw]


def _as_beats(tensors: Sequence[Codes], port: Port) -> Beats:
    codes = np.concatenate([tensor.reshape(-1, port.elements) for tensor in tensors])
    flags: dict[tuple[int, ...], npt.NDArray[np.uint8]] = {}
    for tensor in tensors:
        if tensor.shape not in flags:
            flags[tensor.shape] = port_flags(port, tensor.shape)
    return Beats(pack(codes, port), np.concatenate([flags[tensor.shape] for tensor in tensors]))
