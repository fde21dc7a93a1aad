"""Running a built core: beats in, beats out, with the clock edge of every handshake."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from dwell.errors import ToolFailedError
from dwell.sim.beats import Beats
from dwell.sim.process import log_tail, run_child
from dwell.sim.verilated.cache import keep_log, scratch

Clocks = npt.NDArray[np.uint32]

WATCHDOG_CLOCKS = 20_000
"""Clocks without a handshake on either side that count as a deadlock; stalls are far shorter."""

LIMIT_S = 60.0
"""Seconds that a run may take, beside what its beats need on a slow machine."""

CHECK = "dwell_check: "
"""How a line of a simulator's output begins that tells of an assertion in the design that did not hold."""

_SURPLUS_CLOCKS = 256
"""Clocks after the last expected beat in which no other may come, beside those a frame may need."""

_MAGIC = 0x314C4C4557440A0D
_REQUEST = struct.Struct("<QQQIIIIQQQQ")
_REPLY = struct.Struct("<QIIQQQQQ")
_SLOWEST_CLOCKS_PER_S = 2_000
_FAULTS = {
    1: "deadlock: no handshake on either side for {watchdog} clocks, with a beat offered or asked for",
    2: "m_axis_tvalid fell before the waiting beat was taken",
    3: "m_axis_tdata, tuser or tlast changed while the beat waited for m_axis_tready",
    4: "m_axis_tvalid or the data with it depends on m_axis_tready in the same clock",
    5: "more decisions came out than the frames hold",
    6: "m_axis_tvalid is high during reset",
    7: "the run did not end within {max_clocks} clocks",
    8: "the design called $finish or $stop",
}


@dataclass(frozen=True)
class Pauses:
    """Idle clocks of the source and stalls of the sink, about that many per cent of the time."""

    gap_percent: int = 0
    stall_percent: int = 0


@dataclass(frozen=True)
class CoreRun:
    """What came out, on which clock edges after reset, and what broke the protocol, if anything did.

    `seconds` is the time the simulation itself took, `marks` are clocks that the bench noted, `assertions` those
    of the design that did not hold.
    """

    beats: Beats
    in_clocks: Clocks
    out_clocks: Clocks
    clocks: int
    seconds: float
    fault: str
    fault_clock: int
    marks: Clocks = field(default_factory=lambda: np.zeros(0, dtype=np.uint32))
    assertions: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunOptions:
    """How to run: what to expect and when to give up.

    `expected` beats of `out_bytes` bytes each have to come. `clocks` is about what all of it takes at full
    speed (0: as many as there are beats), `settle_clocks` what the design may be quiet for between two
    handshakes, beside what pauses and `watchdog_clocks` allow.
    """

    out_bytes: int
    expected: int
    seed: int
    clocks: int = 0
    pauses: Pauses = Pauses()
    settle_clocks: int = 0
    watchdog_clocks: int = WATCHDOG_CLOCKS


class Core(Protocol):
    """A built design that beats can be sent through."""

    def run(
        self, beats: Beats, options: RunOptions, *, progress: Callable[[float], None] | None = None
    ) -> CoreRun:
        """Send `beats` from reset on."""
        ...


@dataclass(frozen=True)
class VerilatedCore:
    """A design as the program `driver`."""

    driver: Path

    def run(
        self, beats: Beats, options: RunOptions, *, progress: Callable[[float], None] | None = None
    ) -> CoreRun:
        """As `run_core`."""
        return run_core(self.driver, beats, options, progress=progress)


def run_core(
    driver: Path, beats: Beats, options: RunOptions, *, progress: Callable[[float], None] | None = None
) -> CoreRun:
    """Send `beats` through the program `driver` and wait for what `options` expects.

    The program is a process of its own: its crash is a `ToolFailedError` here, a hang ends after a time
    that no working design needs. A protocol fault or deadlock is not an exception but `CoreRun.fault`:
    the beats that did come out may tell more.
    """
    expected, out_bytes = options.expected, options.out_bytes
    watchdog = options.watchdog_clocks + 4 * options.settle_clocks
    clocks = max(options.clocks, len(beats) + expected)
    max_clocks = min(100 * clocks + 10 * watchdog, 2**32 - 1)
    header = _REQUEST.pack(
        _MAGIC, len(beats), expected, beats.data.shape[1], out_bytes,
        options.pauses.gap_percent, options.pauses.stall_percent, options.seed, watchdog,
        _SURPLUS_CLOCKS + 2 * options.settle_clocks, max_clocks,
    )  # fmt: skip
    with scratch() as folder:
        request, reply, log = folder / "request.bin", folder / "reply.bin", folder / "core.log"
        with request.open("wb") as stream:
            stream.write(header)
            stream.write(np.ascontiguousarray(beats.data).tobytes())
            stream.write(np.ascontiguousarray(beats.flags).tobytes())
        limit_s = LIMIT_S + 4 * clocks / _SLOWEST_CLOCKS_PER_S
        total = max(1, len(beats))
        broken: list[str] = []

        def on_line(line: str) -> None:
            if line.startswith(CHECK):
                broken.append(line.removeprefix(CHECK))
            if progress is not None and line.startswith("P "):
                progress(int(line[2:]) / total)

        done = run_child([str(driver), str(request), str(reply)], log=log, timeout_s=limit_s, on_line=on_line)
        if done.status != 0:
            why = f"stopped after {limit_s:.0f} s" if done.timed_out else f"exit status {done.status}"
            raise ToolFailedError(
                "the Verilated core", log=keep_log(log), tail=f"{log_tail(log)}\n{why}".strip()
            )
        run = _read_reply(reply.read_bytes(), out_bytes, watchdog, max_clocks)
        return replace(run, assertions=tuple(broken))


def _read_reply(raw: bytes, out_bytes: int, watchdog: int, max_clocks: int) -> CoreRun:
    magic, status, _, event_clock, clocks, n_in, n_out, nanoseconds = _REPLY.unpack_from(raw)
    if magic != _MAGIC or len(raw) != _REPLY.size + n_out * (out_bytes + 1) + 4 * (n_in + n_out):
        raise ValueError("the reply of the Verilated core is cut short")
    at = _REPLY.size
    data = np.frombuffer(raw, np.uint8, n_out * out_bytes, at).reshape(n_out, out_bytes)
    at += data.size
    flags = np.frombuffer(raw, np.uint8, n_out, at)
    at += n_out
    in_clocks = np.frombuffer(raw, "<u4", n_in, at)
    out_clocks = np.frombuffer(raw, "<u4", n_out, at + 4 * n_in)
    fault = _FAULTS[status].format(watchdog=watchdog, max_clocks=max_clocks) if status else ""
    return CoreRun(Beats(data, flags), in_clocks, out_clocks, clocks, nanoseconds / 1e9, fault, event_clock)
