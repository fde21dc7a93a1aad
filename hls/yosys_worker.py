"""Synthesis by Yosys, in a process of its own: `python -m dwell.hls.yosys_worker FOLDER`.

Reads `job.json` (sources, top, family) in FOLDER and writes `stat.json` (cells by type) and `sta.txt` (the
static timing of the netlist, cell delays only) beside it.
"""

from __future__ import annotations

import json
import sys
from importlib import resources
from pathlib import Path


def main(arguments: list[str]) -> int:
    """Run the job in the folder `arguments[0]`; Yosys itself ends the process where a command fails."""
    from pyosys import libyosys as ys

    folder = Path(arguments[0])
    job = json.loads((folder / "job.json").read_text())
    sources = " ".join(f'"{path}"' for path in job["sources"])
    top, family, dsp = job["top"], job["family"], "" if job["dsp"] else " -nodsp"
    two_outputs = resources.files("dwell.hls.rtl") / "xc7" / "lut6_2.v"
    netlist, stat, sta = folder / "netlist.il", folder / "stat.json", folder / "sta.txt"
    _run(
        ys,
        "read_verilog -lib +/xilinx/cells_sim.v",
        f"read_verilog {sources}",
        f"hierarchy -check -top {top}",
        f"synth_xilinx -family {family} -flatten -noiopad -noclkbuf{dsp} -top {top}",
        # No wire without a driver, none with two, no loop: what simulation may forgive, hardware does not.
        "check -assert",
        f'tee -q -o "{stat}" stat -json -tech xilinx',
        f'write_rtlil "{netlist}"',
    )
    # A fresh design: the timing of the cells, DSPs and block RAMs among them, is in the specify blocks of the
    # library, which `synth_xilinx` reads without them.
    _run(
        ys,
        f'read_rtlil "{netlist}"',
        f'techmap -map "{two_outputs}"',
        "delete =A:abc9_box =A:blackbox =A:whitebox",
        "delete */t:$scopeinfo",
        "read_verilog -specify -lib +/xilinx/cells_sim.v",
        f"hierarchy -top {top}",
        f'tee -q -o "{sta}" sta',
    )
    netlist.unlink()
    return 0


def _run(ys: object, *commands: str) -> None:
    design = ys.Design()  # type: ignore[attr-defined]
    for command in commands:
        ys.run_pass(command, design)  # type: ignore[attr-defined]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
