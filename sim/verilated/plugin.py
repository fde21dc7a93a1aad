"""The Verilated core as a plug-in: rooms that have to measure a design find it by the group `dwell.simulators`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from dwell.sim.verilated.build import build_core
from dwell.sim.verilated.run import Beats, CoreRun, RunOptions, run_core

Bytes = npt.NDArray[np.uint8]


class Verilated:
    """Builds a design once, then sends beats through it at full speed."""

    name = "verilated"

    def play(
        self, top: str, sources: tuple[Path, ...], data: Bytes, marks: Bytes, out_bytes: int, expected: int
    ) -> _Played:
        """Send beats `data` (N, bytes) with `marks` (bit 0 TUSER, bit 1 TLAST) and wait for `expected` beats."""
        driver = build_core(top, sources)
        return _Played(run_core(driver, Beats(data, marks), RunOptions(out_bytes, expected, seed=0)))


class _Played:
    """What came out, the clocks of all handshakes, a fault or '', and assertions that did not hold."""

    def __init__(self, run: CoreRun) -> None:
        self.data = run.beats.data
        self.in_clocks = run.in_clocks
        self.out_clocks = run.out_clocks
        self.fault = run.fault
        self.assertions = run.assertions


VERILATED = Verilated()
