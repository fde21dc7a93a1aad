"""Overlays of kind "frames": whole tensors of codes in, a decision of one or more codes a position out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pynq import Overlay

from . import registers as regs
from .base import Board, Settings
from .beats import fired, pack_codes, tensor_stream, unpack_codes
from .errors import BoardError, BuildMismatchError
from .records import Frame

_MOST_BYTES = 1 << 20


class FrameBoard(Board):
    """See `Board`. `input` and `output` say how the codes lie in the beats."""

    kind = "frames"
    unit = "beats"

    def __init__(self, overlay: Overlay, described: dict[str, Any], folder: Path, timeout_s: float) -> None:
        super().__init__(overlay, described, folder, timeout_s)
        self.input = tensor_stream(described["input"])
        self.output = tensor_stream(described["output"])
        self._check_geometry()
        self._configured = False

    def process_frame(self, codes: np.ndarray) -> Frame:
        """Send one frame of codes in the input's shape; return its decisions and events.

        Raises `BoardTimeoutError` with a diagnosis, `TransferError` if a DMA engine stopped or the number
        of decisions is wrong; the board is reset then.
        """
        found = self.process_frames(np.asarray(codes)[None])
        return Frame(found.scores[0], found.mask[0], found.events)

    def process_frames(self, codes: np.ndarray) -> Frame:
        """Send frames of codes (N, *shape), one straight after the other; errors as `process_frame`.

        Scores (N, *output shape), mask (N, *positions), and the events of all of them, which tell their
        frame by its number since `clear()`.
        """
        self._check(codes)
        frame_bytes = self.input.beats * self.input.beat_bytes
        most = max(1, min(_MOST_BYTES, self._most_bytes) // frame_bytes)
        parts = [self._send_frames(codes[at : at + most]) for at in range(0, len(codes), most)]
        return Frame(
            np.concatenate([part.scores for part in parts]),
            np.concatenate([part.mask for part in parts]),
            np.concatenate([part.events for part in parts]),
        )

    # ---- inside

    def _send_frames(self, codes: np.ndarray) -> Frame:
        raw = pack_codes(codes, self.input)
        source = self._room("frames", raw.nbytes)
        source[: raw.nbytes] = raw.reshape(-1)
        sink = self._buffer("decisions", (self.output.beats, self.output.beat_bytes), np.dtype(np.uint8))
        came, events = self._exchange(source, raw.nbytes, sink, len(codes))
        return Frame(unpack_codes(came, self.output), fired(came, self.output), events)

    def _room(self, name: str, nbytes: int) -> Any:
        """A buffer of at least so many bytes."""
        found = self._buffers.get(name)
        size = nbytes if found is None else max(nbytes, found.nbytes)
        return self._buffer(name, (size,), np.dtype(np.uint8))

    def _settings(self, given: Settings) -> tuple[dict[int, int], int]:
        if given.lines is not None or given.pixels is not None:
            raise BoardError(f"this network takes frames of {self.input.shape} only: their size is not set")
        codes = self.output.shape[-1]
        if not 0 <= given.select < codes:
            raise BoardError(f"there is no code {given.select} in a decision of {codes}")
        self._configured = True
        flags = regs.CONTROL_CLASS_TRIGGER if given.class_trigger else 0
        return {regs.SELECT: int(given.select)}, flags

    def _check(self, codes: np.ndarray) -> None:
        if not self._configured:
            raise BoardError("the board is not configured", "call configure() first")
        shape, low, high = self.input.shape, self.input.lowest, self.input.highest
        if codes.dtype.kind not in "ui" or codes.shape[1:] != shape or not len(codes):
            raise BoardError(
                f"a frame must be whole numbers of shape {shape}, not {codes.dtype} {codes.shape[1:]}"
            )
        if int(codes.min()) < low or int(codes.max()) > high:
            raise BoardError(f"codes must lie between {low} and {high}")

    def _check_geometry(self) -> None:
        found = self.geometry
        positions = self.output.shape[:-1]
        result_beats = self.output.shape[-1] // self.output.elements
        wanted = {
            "source_bits": 8 * self.input.beat_bytes,
            "frame_beats": self.input.beats,
            "decision_bits": 8 * self.output.beat_bytes,
            "elements": self.output.shape[-1],
            "result_beats": result_beats,
        }
        wrong = [
            f"{name} {found[name]}, not {value}" for name, value in wanted.items() if found[name] != value
        ]
        decisions = int(np.prod(positions, dtype=np.int64))
        if found["lines"] * found["pixels"] != decisions or self.output.beats != decisions * result_beats:
            wrong.append(f"{found['lines']} x {found['pixels']} decisions, not {decisions}")
        if wrong:
            raise BuildMismatchError(f"the firmware has {', '.join(wrong)}", "package the design again")
