"""The Verilated core as a plug-in: rooms that have to measure a design find it by the group `dwell.simulators`."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from dwell.hls.qmodel import FixedPoint
from dwell.sim.beats import USER, Beats
from dwell.sim.dut import Port
from dwell.sim.packing import pack, unpack
from dwell.sim.verilated.build import build_core
from dwell.sim.verilated.run import CoreRun, RunOptions, run_core

Bytes = npt.NDArray[np.uint8]
Codes = npt.NDArray[np.int64]


class Side(Protocol):
    """A stream of codes as the one who asks knows it."""

    @property
    def type(self) -> FixedPoint: ...

    @property
    def elements(self) -> int: ...

    @property
    def size(self) -> int: ...


class Verilated:
    """Builds a design once, then sends beats through it at full speed."""

    name = "verilated"

    def play(
        self, top: str, sources: tuple[Path, ...], data: Bytes, marks: Bytes, out_bytes: int, expected: int
    ) -> _Played:
        """Send beats `data` (N, bytes) with `marks` (bit 0 TUSER, bit 1 TLAST) and wait for `expected` beats."""
        driver = build_core(top, sources)
        return _Played(run_core(driver, Beats(data, marks), RunOptions(out_bytes, expected, seed=0)))

    def play_codes(
        self, top: str, sources: tuple[Path, ...], codes: Codes, sides: tuple[Side, Side], out_beats: int
    ) -> _PlayedCodes:
        """Send frames of `codes` (N, …) between `sides` and wait for `out_beats` beats of each."""
        into, out = (_port(side, sign_extend=side is sides[1]) for side in sides)
        data = pack(codes.reshape(-1, into.elements), into)
        marks = np.zeros(len(data), dtype=np.uint8)
        marks[:: len(data) // len(codes)] = USER
        return _PlayedCodes(self.play(top, sources, data, marks, out.size, len(codes) * out_beats), out)


def _port(side: Side, *, sign_extend: bool) -> Port:
    return Port(side.type, (side.elements,), side.elements, side.size, 1, sign_extend)


class _Played:
    """What came out, the clocks of all handshakes, a fault or '', and assertions that did not hold."""

    def __init__(self, run: CoreRun) -> None:
        self.data = run.beats.data
        self.in_clocks = run.in_clocks
        self.out_clocks = run.out_clocks
        self.fault = run.fault
        self.assertions = run.assertions


class _PlayedCodes:
    """The same, as codes (beats, elements)."""

    def __init__(self, played: _Played, port: Port) -> None:
        self.codes = unpack(played.data, port)
        self.in_clocks = played.in_clocks
        self.out_clocks = played.out_clocks
        self.fault = played.fault
        self.assertions = played.assertions


VERILATED = Verilated()
