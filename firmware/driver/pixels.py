"""Overlays of kind "pixels": frames of any size, a pixel a beat, one score a decision."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pynq import Overlay

from . import registers as regs
from .base import Board, Settings
from .errors import BoardError
from .records import Frame, split_decisions

_LINES, _PIXELS = 256, 256


class PixelBoard(Board):
    """See `Board`."""

    kind = "pixels"
    unit = "pixels"

    def __init__(self, overlay: Overlay, described: dict[str, Any], folder: Path, timeout_s: float) -> None:
        super().__init__(overlay, described, folder, timeout_s)
        self._pixel_type = np.dtype(f"u{self.geometry['source_bits'] // 8}")
        self._decision_type = np.dtype(f"u{self.geometry['decision_bits'] // 8}")
        self._size = (0, 0)
        self._lines_sent = 0

    def process_frame(self, pixels: np.ndarray) -> Frame:
        """Send one frame (lines, pixels) of unsigned codes; return its decisions and events.

        Raises `BoardTimeoutError` with a diagnosis, `TransferError` if a DMA engine stopped or the number
        of decisions is wrong; the board is reset then.
        """
        lines, width = self._check(pixels)
        if (lines, width) != self._size:
            raise BoardError(f"a frame of {lines} x {width} pixels, but the board is set to {self._size}")
        if self._lines_sent:
            raise BoardError("a frame was begun row by row", "send the rest of its rows, or reset()")
        source = self._buffer("pixels", (lines, width), self._pixel_type)
        shape = (lines - self.geometry["window_lines"] + 1, width - self.geometry["window_pixels"] + 1)
        sink = self._buffer("decisions", shape, self._decision_type)
        source[:] = pixels
        came, events = self._exchange(source, source.nbytes, sink, 1)
        scores, mask = split_decisions(came[0])
        return Frame(scores, mask, events)

    def send_rows(self, rows: np.ndarray) -> np.ndarray:
        """Send rows (n, pixels) of the present frame; return the events (EVENT, N) they led to.

        Rows go on to the next frame when the frame is full. Decisions are not returned, only events.
        """
        count, width = self._check(rows)
        if width != self._size[1]:
            raise BoardError(f"rows of {width} pixels, but the board is set to {self._size[1]}")
        source = self._buffer("rows", (count, width), self._pixel_type)
        source[:] = rows
        try:
            self._write_control(self._control & ~regs.CONTROL_DECISIONS)
            self._send.start(source)
            self._wait_with_events(self._send)
            events = self.events()
        except BoardError:
            self._recover()
            raise
        self._lines_sent = (self._lines_sent + count) % self._size[0]
        return events

    def start_frame(self) -> None:
        """Break off the present frame: the next row is the first of a new one."""
        self.trigger.command(regs.COMMAND_RESTART)
        self._lines_sent = 0

    # ---- inside

    def _settings(self, given: Settings) -> tuple[dict[int, int], int]:
        shape = self.geometry
        lines = _LINES if given.lines is None else given.lines
        pixels = _PIXELS if given.pixels is None else given.pixels
        if given.select or given.class_trigger:
            raise BoardError("this network makes one score a decision: there is nothing to select")
        if not shape["window_pixels"] <= pixels <= shape["max_line"]:
            raise BoardError(
                f"lines of {pixels} pixels: this network takes "
                f"{shape['window_pixels']} to {shape['max_line']}"
            )
        if not shape["window_lines"] <= lines < 0xFFFF:
            raise BoardError(f"frames of {lines} lines: this network takes {shape['window_lines']} to 65534")
        self._size = (lines, pixels)
        return {regs.FRAME_SIZE: lines << 16 | pixels}, 0

    def _begin_frame(self) -> None:
        self._lines_sent = 0

    def _check(self, pixels: np.ndarray) -> tuple[int, int]:
        if self._size == (0, 0):
            raise BoardError("the board is not configured", "call configure() first")
        if pixels.ndim != 2 or not len(pixels) or pixels.dtype.kind not in "ui":
            raise BoardError(
                f"pixels must be whole numbers (lines, pixels), not {pixels.dtype} {pixels.shape}"
            )
        top = np.iinfo(self._pixel_type).max
        if pixels.size and (int(pixels.min()) < 0 or int(pixels.max()) > top):
            raise BoardError(f"pixel codes must lie between 0 and {top}")
        return int(pixels.shape[0]), int(pixels.shape[1])
