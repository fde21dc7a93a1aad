"""A board in a process of its own, as the other side of the pipes sees it. Needs no PYNQ and any NumPy."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from dwell.errors import DeviceError, DwellError
from dwell.firmware.driver.framing import ProtocolError, pack, unpack
from dwell.processes import kill_tree

OPENING_LIMIT_S = 900.0
"""The first start of a simulated board builds its model."""

_MARGIN_S = 20.0
_CLOSING_S = 5.0
_WRITE_S = 0.01
"""For a word of weights; a simulated board of a large network takes a millisecond."""

_TAIL_BYTES = 2000
_READ_BYTES = 1 << 16

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class BoardFrame:
    """What became of a frame: scores int32, mask bool, events (`records.EVENT`, N).

    Kind "pixels": scores and mask (h, w). Kind "frames": scores in the output's shape, mask in that of its
    positions, the output's without the last axis; of many frames both begin with an axis for them.
    """

    scores: Array
    mask: Array
    events: Array


class BoardClient:
    """An open board. Every call ends within the board's own time limit and a margin, or raises `DeviceError`.

    After a `DeviceError` that says the process is gone the board is closed; after others it can be used on.
    Use it in a `with` block, so that no process is left behind.
    """

    def __init__(self, command: Sequence[str], *, name: str, timeout_s: float = 10.0) -> None:
        self.name = name
        self._timeout_s, self._limit_s = timeout_s, timeout_s + _MARGIN_S
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the board
        self._buffer = bytearray()
        self._process = subprocess.Popen(
            list(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, bufsize=0,
            start_new_session=True, env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
        try:
            head, _ = self._receive(OPENING_LIMIT_S)
        except BaseException:
            self._end()
            raise
        self.info: Mapping[str, Any] = head["info"]
        """The overlay's description (`kind`: pixels or frames), `geometry` as the firmware states it."""
        self.board_seconds = 0.0
        """How long the board took for the last request, without the pipes."""

    # ---- what a board does

    def configure(
        self,
        threshold: int,
        dead_time: int = 0,
        *,
        lines: int | None = None,
        pixels: int | None = None,
        select: int = 0,
        class_trigger: bool = False,
        pulse_clocks: int = 0,
    ) -> None:
        """Threshold (score code), dead time (decisions), pulse length (0: none).

        Kind "pixels": the frame's size, 256 x 256 if not given. Kind "frames": which code of a decision is
        its score, and whether it has to be the largest, too.
        """
        options = {
            "threshold": int(threshold), "dead_time": int(dead_time), "lines": lines, "pixels": pixels,
            "select": int(select), "class_trigger": bool(class_trigger), "pulse_clocks": pulse_clocks,
        }  # fmt: skip
        self._ask("configure", options)

    def process_frame(self, frame: Array) -> BoardFrame:
        """Send a whole frame: codes (lines, pixels), or of the input's shape in kind "frames"."""
        found = self._ask("process_frame", frames=frame)[1]
        return BoardFrame(found["scores"], found["mask"], found["events"])

    def process_frames(self, codes: Array) -> BoardFrame:
        """Kind "frames": send frames (N, *shape) straight after each other; what became of all of them."""
        limit_s = self._timeout_s * max(1, len(codes)) + _MARGIN_S
        found = self._ask("process_frames", limit_s=limit_s, frames=codes)[1]
        return BoardFrame(found["scores"], found["mask"], found["events"])

    def send_rows(self, rows: Array) -> Array:
        """Send rows of codes (n, pixels) of the present frame; the events they led to come back."""
        return self._ask("send_rows", frames=rows)[1]["events"]

    def send_row(self, row: Array) -> Array:
        """Send one row of codes (pixels,); the events it led to come back."""
        return self.send_rows(np.asarray(row)[None, :])

    def start_frame(self) -> None:
        """Break off the present frame: the next row is the first of a new one."""
        self._ask("start_frame")

    def free_bank(self) -> int:
        """The bank of weights that `write_weights` writes, where a design has two."""
        return int(self._ask("free_bank")[0])

    def write_weights(self, writes: Sequence[tuple[int, int]]) -> None:
        """Write the free bank: (byte address, word) as `dwell.hls.reload.plan_writes` gives them."""
        pairs = np.array(writes, dtype=np.uint32).reshape(-1, 2)
        limit_s = self._limit_s + len(pairs) * _WRITE_S
        self._ask("write_weights", limit_s=limit_s, writes=pairs)

    def swap_weights(self) -> int:
        """The frames that begin from now on use the other bank; its number."""
        return int(self._ask("swap_weights")[0])

    def events(self) -> Array:
        """Events not returned yet."""
        return self._ask("events")[1]["events"]

    def counters(self) -> dict[str, int]:
        """All counters of the firmware, as they were in one clock."""
        return dict(self._ask("counters")[0])

    def clear(self) -> None:
        """Zero the counters and start frame numbers from 0."""
        self._ask("clear")

    def reset(self) -> None:
        """Bring the firmware and its DMA engines to rest."""
        self._ask("reset")

    def self_test(self) -> dict[str, Any]:
        """Registers, golden frames, counters: `ok`, `checks`, `compared`, `mismatches`, `first_mismatch`."""
        return dict(self._ask("self_test")[0])

    def simulation(
        self, *, fault: str | None = None, gap: int | None = None, stall: int = 0, seed: int = 1, run: int = 0
    ) -> dict[str, int]:
        """On a simulated board: plant a fault, set pauses (per cent), let clocks pass; what passed so far."""
        options = {"fault": fault, "gap": gap, "stall": stall, "seed": seed, "run": run}
        return dict(self._ask("simulation", options)[0])

    # ---- the process

    @property
    def pid(self) -> int:
        """The process of the board, or of ssh."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the board's process still runs."""
        return self._process.poll() is None

    def close(self) -> None:
        """Switch the firmware off and end the process. Does nothing the second time."""
        if self.alive:
            with contextlib.suppress(DwellError):
                self._ask("close", limit_s=_CLOSING_S)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_CLOSING_S)
        self._end()

    def __enter__(self) -> BoardClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(
        self, what: str, options: Mapping[str, Any] | None = None, *, limit_s: float = 0.0, **arrays: Array
    ) -> tuple[Any, dict[str, Array]]:
        if self._log.closed:
            raise self._gone("is closed")
        message = pack({"do": what, "with": dict(options or {})}, arrays)
        try:
            self._send(message, limit_s or self._limit_s)
            head, found = self._receive(limit_s or self._limit_s)
        except KeyboardInterrupt:
            # An answer would still come and be taken for that of the next request.
            self._end()
            raise
        self.board_seconds = float(head.get("seconds", 0.0))
        return head.get("value"), found

    def _send(self, message: bytes, limit_s: float) -> None:
        assert self._process.stdin is not None
        pipe = self._process.stdin.fileno()
        os.set_blocking(pipe, False)
        limit = time.monotonic() + limit_s
        view = memoryview(message)
        while view:
            self._wait([], [pipe], limit, limit_s)
            try:
                view = view[os.write(pipe, view) :]
            except BlockingIOError:
                continue
            except BrokenPipeError:
                raise self._died() from None

    def _receive(self, limit_s: float) -> tuple[dict[str, Any], dict[str, Array]]:
        assert self._process.stdout is not None
        pipe = self._process.stdout.fileno()
        limit = time.monotonic() + limit_s

        def read(count: int) -> bytes:
            while len(self._buffer) < count:
                self._wait([pipe], [], limit, limit_s)
                part = os.read(pipe, _READ_BYTES)
                if not part:
                    raise self._died()
                self._buffer += part
            taken = bytes(self._buffer[:count])
            del self._buffer[:count]
            return taken

        try:
            head, arrays = unpack(read)
        except ProtocolError as error:
            self._end()
            raise self._gone(f"answered nonsense: {error}") from error
        if not head.get("ok"):
            raise DeviceError(
                str(head.get("message")), hint=str(head.get("hint", "")), place=f"board {self.name}"
            )
        return head, arrays

    def _wait(self, read: list[int], write: list[int], limit: float, limit_s: float) -> None:
        ready = select.select(read, write, [], max(0.0, limit - time.monotonic()))
        if not (ready[0] or ready[1]):
            tail = self._tail()
            self._end()
            raise self._gone(f"has not answered for {limit_s:.0f} s; its process was ended", tail)

    def _died(self) -> DeviceError:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(1.0)
        status, tail = self._process.poll(), self._tail()
        self._end()
        return self._gone(f"has gone: its process ended with status {status}", tail)

    def _gone(self, why: str, tail: str = "") -> DeviceError:
        shown = f"\n{tail}" if tail else ""
        return DeviceError(f"the board {why}{shown}", hint="open it again", place=f"board {self.name}")

    def _tail(self) -> str:
        if self._log.closed:
            return ""
        size = self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, size - _TAIL_BYTES))
        return self._log.read().decode(errors="replace").strip()

    def _end(self) -> None:
        if self._process.poll() is None:
            kill_tree(self._process.pid)
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._log):
            if stream is not None:
                stream.close()
