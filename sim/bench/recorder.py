"""Watches both streams of a design clock by clock: counts, records, and checks the protocol.

Runs inside the simulator. It samples at the rising edge, before anything changes, as a register would.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np

QUIET_CLOCKS = 5_000
"""Clocks without a handshake on either side that count as a deadlock, beside those a frame may need."""


class ProtocolError(AssertionError):
    """The design broke an AXI4-Stream rule."""


@dataclass
class Recorder:
    """Call `sample` at every rising edge. Edges are numbered from 0."""

    dut: Any
    most_quiet: int = QUIET_CLOCKS
    clock: int = 0
    quiet: int = 0
    in_clocks: list[int] = field(default_factory=list)
    out_clocks: list[int] = field(default_factory=list)
    data: list[int] = field(default_factory=list)
    flags: list[int] = field(default_factory=list)
    _waiting: tuple[int, int] | None = None

    def sample(self) -> None:
        """Look at one rising edge. Raises `ProtocolError` naming the clock and the rule that was broken."""
        self.quiet += 1
        if self._bit("s_axis_tready") and self._bit("s_axis_tvalid"):
            self.in_clocks.append(self.clock)
            self.quiet = 0
        if self._bit("m_axis_tvalid"):
            self._sample_output()
        elif self._waiting is not None:
            self._fail("m_axis_tvalid fell before the waiting beat was taken")
        if self.quiet > self.most_quiet:
            self._fail(f"deadlock: no handshake on either side for {self.most_quiet} clocks")
        self.clock += 1

    def in_reset(self) -> None:
        """Look at a rising edge during reset, a clock or more after it was asserted."""
        if self._bit("m_axis_tvalid"):
            self._fail("m_axis_tvalid is high during reset")
        self._waiting = None
        self.clock += 1

    def forget(self) -> None:
        """Drop what was recorded; the edges go on being numbered."""
        self.quiet = 0
        self._waiting = None
        for record in (self.in_clocks, self.out_clocks, self.data, self.flags):
            record.clear()

    def arrays(self, out_bytes: int) -> dict[str, Any]:
        """The record: `data` uint8 (N, out_bytes), `flags`, `in_clocks`, `out_clocks`."""
        raw = b"".join(value.to_bytes(out_bytes, "little") for value in self.data)
        return {
            "data": np.frombuffer(raw, np.uint8).reshape(len(self.data), out_bytes),
            "flags": np.array(self.flags, dtype=np.uint8),
            "in_clocks": np.array(self.in_clocks, dtype=np.uint32),
            "out_clocks": np.array(self.out_clocks, dtype=np.uint32),
        }

    def _sample_output(self) -> None:
        flags = self._bit("m_axis_tuser") | self._bit("m_axis_tlast") << 1
        beat = (self._number("m_axis_tdata"), flags)
        if self._waiting is not None and beat != self._waiting:
            self._fail("m_axis_tdata, tuser or tlast changed while the beat waited for m_axis_tready")
        if self._bit("m_axis_tready"):
            self.data.append(beat[0])
            self.flags.append(beat[1])
            self.out_clocks.append(self.clock)
            self.quiet = 0
            self._waiting = None
        else:
            self._waiting = beat

    def _bit(self, name: str) -> int:
        return self._number(name) & 1

    def _number(self, name: str) -> int:
        value = getattr(self.dut, name).value
        try:
            return int(value)
        except ValueError as error:
            raise ProtocolError(f"clock {self.clock}: {name} is {value}: X or Z") from error

    def _fail(self, what: str) -> NoReturn:
        raise ProtocolError(f"clock {self.clock}: {what}")
