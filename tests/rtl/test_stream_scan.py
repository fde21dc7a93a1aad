"""The fixed-frame windower: every window of every geometry, with gaps, stalls and frames back to back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rtl_scan import Scan, check_scan, run_scan

pytestmark = pytest.mark.rtl

VALID = (0, 0, 0, 0)
SCANS = [
    Scan(1, (5, 6)),
    Scan(2, (4, 8), pad=3),
    Scan(4, (6, 8)),
    Scan(8, (3, 8)),
    Scan(4, (4, 10)),
    Scan(1, (5, 7), padding=VALID),
    Scan(4, (5, 9), padding=VALID),
    Scan(1, (7, 6), stride=(2, 2)),
    Scan(4, (7, 12), stride=(2, 2), padding=(0, 1, 0, 1)),
    Scan(4, (6, 12), kernel=(2, 2), stride=(2, 2), padding=VALID),
    Scan(2, (6, 16), kernel=(4, 4), stride=(4, 4), padding=VALID),
    Scan(1, (9, 9), kernel=(3, 3), stride=(3, 3), padding=(1, 1, 1, 1), pad=15),
    Scan(2, (5, 6), kernel=(5, 5), padding=(2, 2, 2, 2)),
    Scan(1, (4, 5), kernel=(3, 3), dilation=(2, 2), padding=(2, 2, 2, 2)),
    Scan(4, (4, 8), kernel=(3, 2), dilation=(1, 3), padding=(0, 2, 3, 0)),
    Scan(1, (3, 3), kernel=(3, 3), padding=(2, 2, 2, 2)),
    Scan(4, (3, 4), kernel=(3, 5), padding=(2, 2, 4, 4)),
    Scan(1, (1, 1)),
    Scan(1, (4, 1)),
    Scan(1, (1, 9), kernel=(1, 3), padding=(0, 0, 1, 1)),
    Scan(4, (1, 16), kernel=(1, 4), padding=(0, 0, 3, 0), stride=(1, 2)),
    Scan(2, (4, 6), kernel=(1, 1), stride=(2, 2), padding=VALID),
    Scan(2, (4, 6), kernel=(3, 1), padding=(1, 1, 0, 0)),
    Scan(1, (3, 4), kernel=(3, 3), padding=(0, 2, 0, 2)),
    Scan(1, (1, 3), kernel=(3, 3), padding=(0, 2, 0, 2)),
    Scan(16, (3, 32), stride=(2, 2)),
    Scan(32, (3, 64)),
]


@pytest.mark.parametrize(
    "scan", SCANS, ids=lambda s: f"{s.lanes}x{s.frame}k{s.kernel}d{s.dilation}s{s.stride}p{s.padding}"
)
def test_windows(scan: Scan, tmp_path: Path) -> None:
    rng = np.random.default_rng(sum(scan.frame) + scan.lanes)
    frames = rng.integers(0, 16, (6, *scan.frame))
    banks = [0, 1, 1, 0, 1, 0]
    for gap, stall in ((0, 0), (30, 30), (0, 70), (80, 0)):
        run = run_scan(
            scan, tmp_path, frames, banks, gap_percent=gap, stall_percent=stall, seed=gap + stall + 1
        )
        check_scan(scan, run, frames, banks)


@pytest.mark.parametrize("lanes", [1, 2, 4, 8])
def test_same_padding_takes_a_beat_every_clock(lanes: int, tmp_path: Path) -> None:
    """Also from one frame to the next, and the results come without a pause."""
    scan = Scan(lanes, (4, 16))
    frames = np.random.default_rng(lanes).integers(0, 16, (5, *scan.frame))
    run = run_scan(scan, tmp_path, frames, [0] * 5)
    check_scan(scan, run, frames, [0] * 5)
    assert (np.diff(run.in_clocks) == 1).all()
    assert (np.diff(run.out_clocks) == 1).all()
    assert (
        run.out_clocks[0] - run.in_clocks[16 // lanes + 1] == 3
    )  # a row and a beat later, 2 clocks and the FIFO's


def test_random_geometries(tmp_path: Path) -> None:
    """What nobody thought of: whatever fits, at most as much padding as the window reaches."""
    rng = np.random.default_rng(5)
    windows = 0
    for _ in range(40):
        lanes = int(rng.choice([1, 2, 4, 8]))
        kernel = (int(rng.integers(1, 4)), int(rng.integers(1, 5)))
        dilation = (int(rng.integers(1, 3)), int(rng.integers(1, 4)))
        reach = ((kernel[0] - 1) * dilation[0], (kernel[1] - 1) * dilation[1])
        pads = [int(rng.integers(0, reach[i // 2] + 1)) for i in range(4)]
        frame = (
            max(int(rng.integers(1, 6)), reach[0] + 1 - pads[0] - pads[1]),
            max(int(rng.integers(1, 14)), reach[1] + 1 - pads[2] - pads[3]),
        )
        widths = [s for s in (1, 2, 3, 4, 8) if s % lanes == 0 or lanes % s == 0]
        stride = (int(rng.integers(1, 4)), int(rng.choice(widths)))
        scan = Scan(
            lanes,
            frame,
            kernel,
            dilation,
            stride,
            (pads[0], pads[1], pads[2], pads[3]),
            3,
            int(rng.integers(8)),
        )
        frames = rng.integers(0, 8, (5, *frame))
        banks = [int(b) for b in rng.integers(0, 2, 5)]
        pauses = (0, 0) if rng.random() < 0.3 else (int(rng.integers(0, 70)), int(rng.integers(0, 70)))
        run = run_scan(scan, tmp_path, frames, banks, gap_percent=pauses[0], stall_percent=pauses[1], seed=3)
        windows += check_scan(scan, run, frames, banks)
    assert windows >= 1000
