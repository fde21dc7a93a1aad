"""C synthesis, co-simulation and IP export of an hls4ml project by Vitis HLS.

Tested with a stand-in for the tool (`tests/fake_tools/vitis_hls`), never with Vitis HLS itself. The Tcl that runs
is the project's own `build_prj.tcl`, as hls4ml's users have it; what it does is chosen here.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dwell.errors import ToolFailedError, VerificationError
from dwell.hls.gate import probe_frames
from dwell.hls.hls4ml.project import read_project
from dwell.hls.hls4ml.vitis_report import CoSimulation, CSynthesis, ReportError, read_cosim, read_csynth
from dwell.hls.qmodel import QModel, quantize_input, run_codes
from dwell.hls.vendor import TIMEOUT_S, run_tool, tail_of
from dwell.tools import Tool, find_tool

EVIDENCE = "estimated"
COSIM_WINDOWS = 200
_SWITCHES = ("reset", "csim", "synth", "cosim", "validation", "export", "vsynth", "fifo_opt")
_RESULTS = "tb_data/rtl_cosim_results.log"
#: Digits that hls4ml's test bench prints of a value.
_PRINTED_DIGITS = 6


@dataclass(frozen=True)
class VitisRun:
    """What Vitis HLS gave: estimates, and where asked for the measurement and the exported IP."""

    csynth: CSynthesis
    cosim: CoSimulation | None
    compared: int
    ip: Path | None
    tool: str
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """The keys of `dwell synthesize --json`, and hls4ml's own report beside them."""
        found = self.csynth
        return {
            "lut": found.area["LUT"],
            "ff": found.area["FF"],
            "dsp": found.area["DSP"],
            "bram36": found.area["BRAM_18K"] / 2,
            "fmax_mhz": round(1000.0 / found.estimated_ns, 1),
            "clock_mhz": round(1000.0 / found.target_ns, 3),
            "meets_clock": found.estimated_ns <= found.target_ns,
            "latency_cycles": [found.latency_min, found.latency_max],
            "interval_cycles": [found.interval_min, found.interval_max],
            "evidence": EVIDENCE,
            "tool": self.tool,
            "cosim": None if self.cosim is None else _cosim_json(self.cosim, self.compared),
            "ip": None if self.ip is None else str(self.ip),
            "seconds": round(self.seconds, 1),
        }


def synthesize_project(
    folder: Path,
    *,
    cosim: bool = False,
    export: bool = False,
    log: Path | None = None,
    timeout_s: float = TIMEOUT_S,
) -> VitisRun:
    """Run Vitis HLS on a project that `write_project` wrote, in place.

    With `cosim`, frames and the golden model's results go into its test bench, and what the simulated RTL gives
    has to equal them. Raises `ToolNotFoundError`, `ToolFailedError` (also for a report that is missing or does
    not say what it should), `VerificationError`, `ConfigError` for a folder that holds no project.
    """
    name, model = read_project(folder)
    tool = find_tool("vitis_hls")
    log = log or folder / "vitis_hls.log"
    started = time.monotonic()
    if cosim:
        _write_bench(model, folder)
    _write_switches(folder, synth=True, cosim=cosim, export=export)
    for old in (_csynth_xml(folder, name), _cosim_rpt(folder, name), folder / _RESULTS, *_ips(folder, name)):
        old.unlink(missing_ok=True)  # a report of an earlier run says nothing about this one
    run_tool(tool, _arguments(tool), folder=folder, log=log, timeout_s=timeout_s)
    try:
        csynth = read_csynth(_csynth_xml(folder, name))
        measured = read_cosim(_cosim_rpt(folder, name)) if cosim else None
    except ReportError as error:
        raise _failed(log, f"its report: {error}") from error
    compared = _compare_bench(model, folder, log) if cosim else 0
    ips = _ips(folder, name)
    if export and not ips:
        raise _failed(log, "it exported no IP")
    version = f"Vitis HLS {tool.version}".strip()
    return VitisRun(
        csynth, measured, compared, ips[0] if export else None, version, time.monotonic() - started
    )


def _failed(log: Path, why: str) -> ToolFailedError:
    return ToolFailedError("vitis_hls", log=log, tail=tail_of(log), hint=f"{why}; see {log}")


def _arguments(tool: Tool) -> list[str]:
    """Newer releases have `vitis-run`, older ones `vitis_hls`."""
    if tool.path.name == "vitis-run":
        return ["--mode", "hls", "--tcl", "build_prj.tcl"]
    return ["-f", "build_prj.tcl"]


def _write_switches(folder: Path, **on: bool) -> None:
    lines = [f"    {name:10} {int(name == 'reset' or on.get(name, False))}" for name in _SWITCHES]
    (folder / "build_opt.tcl").write_text("array set opt {\n" + "\n".join(lines) + "\n}\n")


def _solution(folder: Path, name: str) -> Path:
    return folder / f"{name}_prj" / "solution1"


def _csynth_xml(folder: Path, name: str) -> Path:
    return _solution(folder, name) / "syn" / "report" / f"{name}_csynth.xml"


def _cosim_rpt(folder: Path, name: str) -> Path:
    return _solution(folder, name) / "sim" / "report" / f"{name}_cosim.rpt"


def _ips(folder: Path, name: str) -> list[Path]:
    return sorted((_solution(folder, name) / "impl").rglob("*.zip"))


def _bench_frames(model: QModel) -> tuple[Any, Any]:
    """Input values (N, …) and the golden model's results (N, …), as real numbers."""
    codes = quantize_input(model, probe_frames(model, COSIM_WINDOWS))
    return model.to_real(model.input, codes), model.to_real(model.output, run_codes(model, codes))


def _write_bench(model: QModel, folder: Path) -> None:
    inputs, results = _bench_frames(model)
    data = folder / "tb_data"
    data.mkdir(exist_ok=True)
    for file, values in (("tb_input_features.dat", inputs), ("tb_output_predictions.dat", results)):
        rows = (" ".join(f"{v:.17g}" for v in row) for row in values.reshape(len(values), -1))
        (data / file).write_text("".join(f"{row}\n" for row in rows))


def _compare_bench(model: QModel, folder: Path, log: Path) -> int:
    """How many results of the simulated RTL are the golden model's, to the digits that are printed."""
    _, results = _bench_frames(model)
    expected = [[float(f"{v:.{_PRINTED_DIGITS}g}") for v in row] for row in results.reshape(len(results), -1)]
    try:
        lines = (folder / _RESULTS).read_text().splitlines()
        found = [[float(word) for word in line.split()] for line in lines if line.strip()]
    except (OSError, ValueError) as error:
        raise _failed(log, f"the results of co-simulation cannot be read: {error}") from error
    if [len(row) for row in found] != [len(row) for row in expected]:
        raise _failed(log, f"co-simulation gave {len(found)} results where {len(expected)} are wanted")
    wrong = np.argwhere(np.asarray(found) != np.asarray(expected))
    if len(wrong):
        row, column = (int(i) for i in wrong[0])
        raise VerificationError(
            f"the RTL of Vitis HLS gives another result in {len(wrong)} of {np.size(expected)}",
            first_mismatch={
                "index": [row, column], "expected": expected[row][column], "got": found[row][column]
            },
            hint="the project and the integer graph are not the same network: convert again",
            place="cosim",
        )  # fmt: skip
    return int(np.size(expected))


def _cosim_json(found: CoSimulation, compared: int) -> dict[str, Any]:
    return {
        "rtl": found.rtl,
        "latency_cycles": [found.latency_min, found.latency_max],
        "interval_cycles": [found.interval_min, found.interval_max],
        "compared": compared,
        "mismatches": 0,
    }


def write_synthesis(folder: Path, result: VitisRun) -> None:
    """Keep the figures beside the project."""
    (folder / "synthesis.json").write_text(json.dumps(result.to_json(), indent=1, sort_keys=True) + "\n")
