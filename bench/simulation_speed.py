"""Bulk check of a design on the Verilated core: windows, mismatches and simulated clocks a second.

    python bench/simulation_speed.py DESIGN [--windows 1000000] [--seed 1]

Ends with 1 if a figure is missed: 150,000 clocks a second, 10,000 windows at the extremes, no mismatch.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from dwell.errors import DwellError
from dwell.sim.core_rung import climb_core
from dwell.sim.dut import load_dut
from dwell.sim.vectors import default_frames
from dwell.sim.verilated import build_core

CLOCKS_PER_S = 150_000
EXTREMES = 10_000


def main() -> int:
    """Print the figures; 0 if all are reached."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("design", type=Path, help="a design directory, such as .dwell/latest/convert")
    parser.add_argument("--windows", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    try:
        start = time.perf_counter()
        dut = load_dut(chosen.design)
        build_core(dut.top, dut.sources)
        built = time.perf_counter()
        frames, extremes = default_frames(dut, chosen.windows, chosen.seed)
        result = climb_core(dut, frames, seed=chosen.seed, stalls=True, extremes=extremes)
    except DwellError as error:
        print(f"{error}\n{error.hint}", file=sys.stderr)
        return error.exit_code
    reached = result.cycles_per_second >= CLOCKS_PER_S and extremes >= EXTREMES and result.mismatches == 0
    print(f"design                {dut.name}, {len(dut.sources)} files, on {result.simulator}")
    print(f"windows compared      {result.windows:,}, {extremes:,} of them at the extremes of the input type")
    print(f"  with stalls         {result.detail['windows_with_stalls']:,}")
    print(f"mismatches            {result.mismatches}")
    print(f"simulated clocks      {result.clocks:,} in {result.seconds:.2f} s")
    print(f"clocks a second       {result.cycles_per_second:,.0f} (at least {CLOCKS_PER_S:,})")
    print(f"latency, interval     {result.latency_cycles} and {result.ii_cycles} clocks, as design.json says")
    print(f"build of the core     {built - start:.1f} s (near nothing once it is in the cache)")
    print(f"all of it             {time.perf_counter() - start:.1f} s")
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
