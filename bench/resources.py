"""Resources, latency and a timing estimate of the vacancy detector in hardware, at several pipeline cut-offs.

    python bench/resources.py [--design DIR] [--cutoff LEVELS]...

Without `--design` the network has the detector's shape (5×5 1→6, 3×3 6→8, 3×3 8→6, 3×3 6→1, 4-bit weights and
activations) and random weights.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from dwell.hls.design import Design
from dwell.hls.qmodel.random_models import DETECTOR, random_conv_model
from dwell.hls.rtl import RtlOptions, write_design
from dwell.hls.synthesis import load_board, synthesize_design

LIMITS = {"LUT": 15_000, "DSP": 0, "latency": 40}


def report(title: str, design: Design) -> bool:
    """Print one line; whether every limit is kept."""
    result = synthesize_design(design, load_board(design.board))
    cells = result.cells
    clocks = design.latency_cycles
    kept = cells.lut <= LIMITS["LUT"] and cells.dsp <= LIMITS["DSP"] and clocks <= LIMITS["latency"]
    print(
        f"{title:>12}  {cells.lut:>6} {cells.ff:>6} {cells.dsp:>4} {cells.bram36:>6g} {clocks:>8} "
        f"{design.ii_cycles:>3} {result.timing.logic_ns:>9.2f} {result.timing.fmax_mhz:>9.0f} "
        f"{result.seconds:>8.0f}  "
        f"{'ok' if kept else 'OVER'}"
    )
    return kept


def main() -> int:
    """Print the table. Returns 1 if a limit is passed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--design", type=Path, help="a design's folder")
    parser.add_argument("--cutoff", type=float, action="append", help="adder levels in a stage (3, 4, 6)")
    given = parser.parse_args()
    print(f"limits: {LIMITS}; LUT, FF, DSP, BRAM36 synthesized by Yosys for xc7z020, MHz estimated")
    heads = f"{'LUT':>6} {'FF':>6} {'DSP':>4} {'BRAM36':>6} {'clocks':>8} {'II':>3}"
    print(f"{'':>12}  {heads} {'logic ns':>9} {'est. MHz':>9} {'seconds':>8}")
    if given.design is not None:
        return 0 if report("design", Design.load(given.design)) else 1
    kept = True
    model = random_conv_model(0, DETECTOR)
    with tempfile.TemporaryDirectory() as name:
        for cutoff in given.cutoff or [3.0, 4.0, 6.0]:
            design = write_design(model, RtlOptions(latency_cutoff=cutoff), Path(name) / f"{cutoff:g}")
            kept = report(f"cut-off {cutoff:g}", design) and kept
    return 0 if kept else 1


if __name__ == "__main__":
    raise SystemExit(main())
