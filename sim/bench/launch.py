"""Calls cocotb's runner, in a process of its own: `python -m dwell.sim.bench.launch JOB`.

The runner reads and writes the environment, ends the process on some failures, and behaves otherwise
under pytest; none of that may reach the caller.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

TEST_MODULE = "dwell.sim.bench.axis_bench"

# The runner makes every signal of the design readable and writable, which costs most of the speed. The
# outside is all that the bench looks at.
_PORTS = ("aclk", "aresetn", "s_axis_*", "m_axis_*")
_WEIGHT_PORTS = ("s_axil_*",)
_VERILATOR_ARGS = (
    "--no-public-flat-rw", "--no-timing", "-O3", "--x-assign", "fast", "--x-initial", "unique", "-Wno-fatal",
)  # fmt: skip
_TIMESCALE = ("1ns", "1ps")


def build(job: dict[str, Any]) -> None:
    """Build the simulator of `job` in its `build_dir`."""
    from cocotb_tools.runner import VerilatorControlFile, get_runner

    folder = Path(job["build_dir"])
    sources: list[Any] = [Path(name) for name in job["sources"]]
    arguments: list[str] = []
    if job["simulator"] == "verilator":
        ports = folder / "ports.vlt"
        names = [*_PORTS, *(_WEIGHT_PORTS if job["weights"] else ())]
        lines = [f'public_flat_rw -module "{job["top"]}" -var "{name}"\n' for name in names]
        ports.write_text("".join(["`verilator_config\n", *lines]))
        sources.insert(0, VerilatorControlFile(ports))
        arguments = [*_VERILATOR_ARGS, *(["--trace-fst"] if job["waves"] and job["fst"] else [])]
    get_runner(job["simulator"]).build(
        sources=sources,
        hdl_toplevel=job["top"],
        build_dir=folder,
        build_args=arguments,
        timescale=_TIMESCALE,
        waves=job["waves"],
        always=True,
    )


def test(job: dict[str, Any]) -> None:
    """Run the bench on a built simulator; the outcome is in the JUnit file `job["junit"]`."""
    from cocotb_tools.runner import get_runner

    waves = job["waves_file"]
    arguments: list[str] = []
    if job["simulator"] == "verilator":
        arguments = ["+verilator+rand+reset+2", f"+verilator+seed+{job['seed'] % 0x7FFFFFFF + 1}"]
        arguments += ["--trace-file", waves] if waves else []
    elif waves:
        arguments = [f"+dumpfile_path={waves}"]
    get_runner(job["simulator"]).test(
        test_module=TEST_MODULE,
        hdl_toplevel=job["top"],
        hdl_toplevel_lang="verilog",
        build_dir=job["build_dir"],
        test_dir=job["folder"],
        results_xml=job["junit"],
        seed=job["seed"],
        test_filter=r"\.(" + "|".join(job["tests"]) + ")$",
        plusargs=arguments,
        timescale=_TIMESCALE,
        waves=bool(waves),
        extra_env={"DWELL_BENCH_JOB": job["path"], "COCOTB_ANSI_OUTPUT": "0"},
    )


def main(arguments: list[str]) -> int:
    """Do what the job file says."""
    os.environ.pop("PYTEST_CURRENT_TEST", None)
    for name in ("WAVES", "GUI"):
        os.environ.pop(name, None)
    job = json.loads(Path(arguments[0]).read_text())
    {"build": build, "test": test}[job["action"]](job)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
