"""Many pixels a clock: `python bench/wide_stream.py [LANES…] [--no-synthesis]`.

A network of two 3 x 3 convolutions (1 to 2 to 2 channels, same padding, 4-bit weights and activations, 8-bit
pixels) over frames of 192 x 192, at 1 to 32 pixels a clock: clocks a frame and latency measured in Verilator on
frames back to back, every code held against the golden model; LUTs by Yosys, and frames a second at the
clock that its timing estimate allows. Ends with 1 if a figure at 32 pixels a clock is missed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np

from dwell.hls.qmodel import FixedPoint, Overflow, QModel, Rounding
from dwell.hls.qmodel.build import Builder
from dwell.hls.rtl import RtlOptions, write_design
from dwell.hls.synthesis import Synthesis, load_board, synthesize_design
from dwell.sim.core_rung import climb_core
from dwell.sim.dut import load_dut
from dwell.sim.workload import Frame

SIDE, FRAMES = 192, 8
LANES = (1, 2, 4, 8, 16, 32)
MOST_LUT, WIDEST = 40_000, 32
SAME = (1, 1, 1, 1)


def network() -> QModel:
    """The network, with random weights."""
    rng = np.random.default_rng(0)
    build = Builder()
    at = build.input("pixels", (SIDE, SIDE, 1), FixedPoint(False, 8, 8))
    weights = [rng.integers(-7, 8, shape) for shape in ((3, 3, 1, 2), (3, 3, 2, 2))]
    at = build.conv2d("conv1", at, weights[0], 3, np.array([40, -90]), 11, padding=SAME)
    at = build.relu("relu1", at)
    at = build.cast("act1", at, [FixedPoint(False, 4, 3)], Rounding.RND_CONV, Overflow.SAT)
    at = build.conv2d("conv2", at, weights[1], 3, np.array([5, -3]), 6, padding=SAME)
    at = build.cast("score", at, [FixedPoint(True, 8, 4)], Rounding.RND_CONV, Overflow.SAT)
    return build.finish("wide", at)


def frames(model: QModel) -> list[Frame]:
    """Noise, both extremes among it."""
    rng = np.random.default_rng(1)
    codes = rng.integers(0, 256, (FRAMES, SIDE, SIDE, 1))
    codes[0], codes[1] = 0, 255
    return [Frame(frame, f"noise {n}") for n, frame in enumerate(codes)]


def measure(model: QModel, lanes: int, folder: Path, *, synthesis: bool) -> bool:
    """One line of the table; whether what has to hold at the widest holds."""
    design = write_design(model, RtlOptions(pixels_per_clock=lanes), folder / str(lanes))
    result = climb_core(load_dut(design.path), frames(model), seed=0, stalls=False)
    found = synthesize_design(design, load_board("pynq-z2"), timeout_s=1800) if synthesis else None
    clocks = result.frame_cycles
    good = result.mismatches == 0 and clocks == SIDE * SIDE // lanes
    lut, rate = "", ""
    if found is not None:
        lut, rate = (
            f"{found.cells.lut:>8,}",
            f"{_rate(found, clocks):>10,.0f} ({found.timing.fmax_mhz:.0f} MHz)",
        )
        good &= found.cells.lut <= MOST_LUT
    print(
        f"{lanes:>5}  {clocks:>12,}  {result.latency_cycles:>7}  {result.mismatches:>10} of {FRAMES * SIDE * SIDE:,}"
        f"  {lut}  {rate}",
        flush=True,
    )
    return good or lanes != WIDEST


def _rate(found: Synthesis, clocks: int) -> float:
    return found.timing.fmax_mhz * 1e6 / clocks


def main() -> int:
    """Print the table; the exit status says whether the figures are reached."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lanes", type=int, nargs="*", default=list(LANES))
    parser.add_argument("--no-synthesis", action="store_true", help="leave out LUTs and clock")
    chosen = parser.parse_args()
    print(
        "lanes  clocks/frame  latency  mismatches (decisions)   LUT (Yosys)  frames/s at the estimated clock"
    )
    with tempfile.TemporaryDirectory() as name:
        good = [measure(network(), n, Path(name), synthesis=not chosen.no_synthesis) for n in chosen.lanes]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
