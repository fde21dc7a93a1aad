"""The simulated board in figures: `python bench/board.py [DESIGN]`.

A frame of 256 x 256 pixels through PYNQ's own DMA: clocks of simulated hardware, clocks a second, equality
with the golden model; rows one at a time: from row to event; 100 frames: what adds up, and memory.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil

from dwell.firmware.client import BoardClient
from dwell.firmware.links import open_board
from dwell.firmware.package.build import package_design
from dwell.hls.design import Design
from dwell.hls.qmodel import QModel, run_codes

SIDE = 256
FRAMES = 100
LARGEST_CLOCKS = 1.2 * SIDE * SIDE
LEAST_CLOCKS_A_SECOND = 150_000
ROW_AIM_MS = 5.0


def random_design(folder: Path) -> Design:
    """A network of the vacancy detector's shape, with random weights."""
    from dwell.hls.qmodel.random_models import DETECTOR, random_conv_model
    from dwell.hls.rtl import RtlOptions, write_design

    return write_design(random_conv_model(0, DETECTOR), RtlOptions(), folder)


def frames(board: BoardClient, model: QModel) -> bool:
    """Whole frames: clocks, rate, equality."""
    pixels = np.random.default_rng(1).integers(0, 256, (SIDE, SIDE), dtype=np.uint8)
    golden = run_codes(model, pixels.astype(np.int64)[None, :, :, None])[0, ..., 0]
    threshold = int(np.quantile(golden, 0.998, method="higher"))
    board.configure(threshold, dead_time=3, lines=SIDE, pixels=SIDE)
    clocks, rates, equal = [], [], True
    for _ in range(5):
        before = board.simulation()["clocks"]
        found = board.process_frame(pixels)
        seconds = board.board_seconds
        clocks.append(board.simulation()["clocks"] - before)
        rates.append(clocks[-1] / seconds)
        equal &= bool(
            np.array_equal(found.scores, golden) and np.array_equal(found.mask, golden >= threshold)
        )
    print(f"frame {SIDE}x{SIDE}: {max(clocks)} clocks = {max(clocks) / SIDE**2:.4f} a pixel (at most 1.2)")
    print(
        f"simulated: {np.median(rates):,.0f} clocks a second, least {min(rates):,.0f} "
        f"(at least {LEAST_CLOCKS_A_SECOND:,})"
    )
    print(f"scores and mask equal to the golden model's: {equal}")
    return equal and max(clocks) <= LARGEST_CLOCKS and float(np.median(rates)) >= LEAST_CLOCKS_A_SECOND


def rows(board: BoardClient) -> bool:
    """Rows one at a time, from this process to the board's and back."""
    board.configure(0, dead_time=100, lines=SIDE, pixels=SIDE)
    source = np.random.default_rng(2).integers(0, 256, (2 * SIDE, SIDE), dtype=np.uint8)
    waits = []
    for row in source:
        started = time.perf_counter()
        board.send_row(row)
        waits.append(1e3 * (time.perf_counter() - started))
    low, middle, high = np.percentile(waits, [5, 50, 95])
    print(
        f"row to event: median {middle:.2f} ms, 5 to 95 %: {low:.2f} to {high:.2f} ms (aim {ROW_AIM_MS:g} ms)"
    )
    return bool(middle <= ROW_AIM_MS)


def endurance(board: BoardClient) -> bool:
    """Many frames: every pixel accounted for, memory flat."""
    board.configure(0, dead_time=100, lines=SIDE, pixels=SIDE)
    board.clear()
    rng = np.random.default_rng(3)
    process = psutil.Process(board.pid)
    events = 0
    used = 0
    for number in range(FRAMES):
        events += len(board.process_frame(rng.integers(0, 256, (SIDE, SIDE), dtype=np.uint8)).events)
        if number == 4:
            used = process.memory_info().rss
    grown = process.memory_info().rss - used
    found = board.counters()
    whole = found["pixels"] == found["pixels_decided"] + found["pixels_dropped"] == FRAMES * SIDE * SIDE
    same = found["events"] == events and found["triggers"] == found["events"] + found["events_dropped"]
    print(f"{FRAMES} frames: {found['pixels']:,} pixels = {found['pixels_decided']:,} decided + "
          f"{found['pixels_dropped']:,} dropped: {whole}")  # fmt: skip
    print(
        f"events: {found['triggers']:,} triggers = {events:,} received + "
        f"{found['events_dropped']:,} dropped: {same}"
    )
    print(f"memory of the board's process: {grown / 2**20:+.2f} MiB over {FRAMES - 5} frames")
    return whole and same and grown < 8 << 20


def main() -> int:
    """Print the figures; the exit status says whether all of them are reached."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        design = Design.load(sys.argv[1]) if len(sys.argv) > 1 else random_design(folder / "design")
        package_design(design, "pynq-z2", folder / "overlay")
        with open_board("sim", folder / "overlay") as board:
            good = [frames(board, design.qmodel()), rows(board), endurance(board)]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
