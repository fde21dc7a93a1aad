"""Frames and rows in, decisions and events out."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from pynq import Overlay, allocate

from . import registers as regs
from .channel import Channel
from .errors import BoardError, BoardTimeoutError, BuildMismatchError, TransferError
from .records import EVENT, Batch, read_batch, split_decisions
from .trigger import DwellTrigger

FORMAT = "dwell-overlay-2"
_NEVER = 0x7FFFFFFF


class Frame(NamedTuple):
    """What became of one frame: scores int32 (h, w), mask bool (h, w), its events (EVENT, N)."""

    scores: np.ndarray
    mask: np.ndarray
    events: np.ndarray


def open_board(folder: Any, *, timeout_s: float = 10.0, device: Any = None) -> Board:
    """Load the overlay in `folder` and make sure that it is the one that runs.

    Raises `BuildMismatchError` for a folder that is no overlay or firmware that does not belong to it.
    """
    folder = Path(folder).resolve()
    try:
        described = json.loads((folder / "overlay.json").read_text())
    except (OSError, ValueError) as error:
        raise BuildMismatchError(
            f"{folder} is not an overlay: {error}", "give a folder that `dwell package` wrote"
        ) from error
    if described.get("format") != FORMAT:
        raise BuildMismatchError(f"{folder} is not of format {FORMAT}", "package the design again")
    overlay = Overlay(str(folder / f"{described['name']}.bit"), device=device)
    board = Board(overlay, described, folder, timeout_s)
    board.reset()
    return board


class Board:
    """A loaded overlay, for one process at a time. No wait for the hardware is longer than `timeout_s`."""

    def __init__(self, overlay: Overlay, described: dict[str, Any], folder: Path, timeout_s: float) -> None:
        self.overlay = overlay
        self.described = described
        self.folder = folder
        self.timeout_s = timeout_s
        self.trigger = DwellTrigger(dict(overlay.ip_dict["trigger"], device=overlay.device))
        self.trigger.check_identity(described["build_digest"])
        self.geometry = dict(self.trigger.geometry())
        bits = int(described["dma_length_bits"])
        self._send = Channel(overlay.frames_dma, receive=False, name="pixels", length_bits=bits)
        self._decisions = Channel(overlay.frames_dma, receive=True, name="decisions", length_bits=bits)
        self._events = Channel(overlay.events_dma, receive=True, name="events", length_bits=bits)
        self._batch = allocate((self.geometry["event_batch"],), dtype=EVENT, target=overlay.device)
        self._pixel_type = np.dtype(f"u{self.geometry['pixel_bits'] // 8}")
        self._decision_type = np.dtype(f"u{self.geometry['decision_bits'] // 8}")
        self._buffers: dict[str, Any] = {}
        self._size = (0, 0)
        self._lines_sent = 0
        self._control = 0
        self._held: list[np.ndarray] = []

    # ---- settings

    def configure(
        self,
        threshold: int = _NEVER,
        dead_time: int = 0,
        *,
        lines: int = 256,
        pixels: int = 256,
        pulse_clocks: int = 0,
    ) -> None:
        """Set threshold (code), dead time (decisions), frame size, pulse (0: none). A frame starts next.

        Raises `BoardError` for a value that the firmware cannot hold.
        """
        shape = self.geometry
        if not shape["window_pixels"] <= pixels <= shape["max_line"]:
            raise BoardError(
                f"lines of {pixels} pixels: this network takes "
                f"{shape['window_pixels']} to {shape['max_line']}"
            )
        if not shape["window_lines"] <= lines < 0xFFFF:
            raise BoardError(f"frames of {lines} lines: this network takes {shape['window_lines']} to 65534")
        if not -(1 << 31) <= threshold < 1 << 31 or not 0 <= dead_time < 1 << 32:
            raise BoardError(f"threshold {threshold} or dead time {dead_time} is out of the registers' range")
        self._write_control(0)
        self.trigger.write(regs.THRESHOLD, int(threshold) & 0xFFFFFFFF)
        self.trigger.write(regs.DEAD_TIME, int(dead_time))
        self.trigger.write(regs.PULSE_LENGTH, int(pulse_clocks))
        self.trigger.write(regs.FRAME_SIZE, lines << 16 | pixels)
        self._size = (lines, pixels)
        self._lines_sent = 0
        pulse = regs.CONTROL_PULSE if pulse_clocks else 0
        self._write_control(regs.CONTROL_ENABLE | pulse)

    def reset(self) -> None:
        """Bring firmware and DMA engines to rest, whatever they were doing. Settings and counters stay."""
        self._write_control(0)
        self._send.reset()
        self._decisions.restart()
        self._events.reset()
        self.trigger.command(regs.COMMAND_SOFT_RESET)
        self._lines_sent = 0
        self._held = []
        self._arm_events()

    def clear(self) -> None:
        """Zero the counters and start frame numbers from 0."""
        self.trigger.command(regs.COMMAND_CLEAR)

    # ---- pixels

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
        try:
            self._write_control(self._control | regs.CONTROL_DECISIONS)
            self._decisions.start(sink)
            self._send.start(source)
            self._wait_with_events(self._send)
            moved = self._wait_with_events(self._decisions)
            events = self.events()
        except BoardError:
            self._recover()
            raise
        if moved != sink.nbytes:
            self._recover()
            raise TransferError(
                f"{moved} bytes of decisions came where {sink.nbytes} should", "is the frame size right?"
            )
        scores, mask = split_decisions(np.asarray(sink))
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

    # ---- what comes out

    def events(self) -> np.ndarray:
        """Every event (EVENT, N) of the pixels sent so far and not returned yet, in order."""
        self.trigger.command(regs.COMMAND_FLUSH_EVENTS)
        while True:
            batch = self._take_batch()
            if batch.closed:
                break
        events = np.concatenate(self._held)
        self._held = []
        return events

    def counters(self) -> dict[str, int]:
        """All counters, as they were in one clock."""
        return self.trigger.counters()

    def self_test(self) -> dict[str, Any]:
        """Registers, golden frames, accounting: see `self_test.run`."""
        from .self_test import run

        return run(self)

    def close(self) -> None:
        """Leave the firmware switched off."""
        self.reset()
        self._buffers.clear()

    # ---- inside

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

    def _buffer(self, name: str, shape: tuple[int, int], dtype: np.dtype) -> Any:
        """One buffer for each purpose, made anew only when the shape changes: CMA memory is scarce."""
        found = self._buffers.get(name)
        if found is None or found.shape != shape or found.dtype != dtype:
            self._buffers.pop(name, None)
            found = self._buffers[name] = allocate(shape, dtype=dtype, target=self.overlay.device)
        return found

    def _write_control(self, value: int) -> None:
        if value != self._control or value == 0:
            self.trigger.write(regs.CONTROL, value)
            self._control = value

    def _arm_events(self) -> None:
        self._events.start(self._batch)

    def _harvest(self) -> Batch:
        moved = self._events.finish()
        batch = read_batch(np.asarray(self._batch)[: moved // EVENT.itemsize])
        self._arm_events()
        self._held.append(batch.events)
        return batch

    def _take_batch(self) -> Batch:
        limit = time.monotonic() + self.timeout_s
        while not self._events.done():
            if time.monotonic() > limit:
                raise self._timed_out(self._events)
        return self._harvest()

    def _wait_with_events(self, channel: Channel) -> int:
        """Wait for a channel; events are taken out of the way meanwhile, so that they find room."""
        limit = time.monotonic() + self.timeout_s
        while not channel.done():
            if self._events.done():
                self._harvest()
            if time.monotonic() > limit:
                raise self._timed_out(channel)
        return channel.finish()

    def _timed_out(self, channel: Channel) -> BoardTimeoutError:
        counters = self.counters()
        taken, decided, made = (counters[name] for name in ("pixels", "pixels_decided", "decisions"))
        return BoardTimeoutError(
            f"{channel.describe()} after {self.timeout_s:g} s; firmware: {self.trigger.describe_status()}; "
            f"pixels taken {taken}, to the network {decided}, decisions {made}",
            "the board has been reset; if it happens again, load the overlay again",
        )

    def _recover(self) -> None:
        control = self._control
        self.reset()
        self._write_control(control)
