"""Resources and timing of a design by Vivado, out of context: synthesized, or placed and routed as well.

Tested with a stand-in for the tool (`tests/fake_tools/vivado`), never with Vivado itself.
"""

from __future__ import annotations

import re
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dwell.errors import ToolFailedError
from dwell.hls.design import Design
from dwell.hls.synthesis import BoardLike, Cells, check_fits
from dwell.hls.vendor import TIMEOUT_S, run_tool, tail_of
from dwell.logs import new_log
from dwell.tools import find_tool

CLOCK = "aclk"
_ROWS = {
    "lut": ("Slice LUTs", "CLB LUTs"),
    "ff": ("Slice Registers", "CLB Registers"),
    "bram36": ("Block RAM Tile",),
    "dsp": ("DSPs",),
}
_OPTIONAL = {"lutram": ("LUT as Memory",), "carry4": ("CARRY4",), "srl": ("LUT as Shift Register",)}
_SCRIPT = """\
# Written by dwell: `vivado -mode batch -source dwell.tcl`.
foreach source {{{sources}}} {{ read_verilog $source }}
read_xdc clock.xdc
synth_design -top {top} -part {part} -mode out_of_context
{implement}report_utilization -file utilization.rpt
report_timing_summary -file timing.rpt
"""
_IMPLEMENT = "opt_design\nplace_design\nroute_design\n"


class ReportError(ValueError):
    """A report that does not say what is asked of it."""


@dataclass(frozen=True)
class Vivado:
    """Figures of one run; `fmax_mhz` is the clock at which the slack would be 0."""

    cells: Cells
    slack_ns: float
    fmax_mhz: float
    routed: bool
    tool: str
    seconds: float

    def to_json(self, design: Design, board: BoardLike) -> dict[str, Any]:
        """The keys of `dwell synthesize --json`."""
        return {
            "lut": self.cells.lut,
            "ff": self.cells.ff,
            "dsp": self.cells.dsp,
            "bram36": self.cells.bram36,
            "lutram": self.cells.lutram,
            "fmax_mhz": round(self.fmax_mhz, 1),
            "slack_ns": self.slack_ns,
            "clock_mhz": design.clock_mhz,
            "meets_clock": self.slack_ns >= 0,
            "evidence": "routed" if self.routed else "synthesized",
            "fmax_evidence": "routed" if self.routed else "estimated",
            "tool": self.tool,
            "board": board.name,
            "part": board.part,
            "seconds": round(self.seconds, 1),
        }


def synthesize_by_vivado(
    design: Design, board: BoardLike, *, route: bool, log: Path | None = None, timeout_s: float = TIMEOUT_S
) -> Vivado:
    """Synthesize `design` for `board` out of context, and route it where asked.

    Raises `ToolNotFoundError`, `ToolFailedError` (also for a report that is missing or does not say what it
    should), `ResourceError` where the design is larger than the board.
    """
    tool = find_tool("vivado")
    log = log or new_log("vivado")
    period_ns = 1000.0 / design.clock_mhz
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="dwell-vivado-") as name:
        folder = Path(name)
        (folder / "dwell.tcl").write_text(script(design, board.part, route=route))
        (folder / "clock.xdc").write_text(
            f"create_clock -name {CLOCK} -period {period_ns:.3f} [get_ports {CLOCK}]\n"
        )
        arguments = ["-mode", "batch", "-nojournal", "-nolog", "-notrace", "-source", "dwell.tcl"]
        run_tool(tool, arguments, folder=folder, log=log, timeout_s=timeout_s)
        try:
            cells = read_utilization(_text(folder / "utilization.rpt"))
            slack_ns = read_timing(_text(folder / "timing.rpt"), period_ns)
        except ReportError as error:
            hint = f"its report: {error}; see {log}"
            raise ToolFailedError("vivado", log=log, tail=tail_of(log), hint=hint) from error
    check_fits(cells, board)
    fmax = 1000.0 / (period_ns - slack_ns)
    version = f"Vivado {tool.version}".strip()
    return Vivado(cells, slack_ns, fmax, route, version, time.monotonic() - started)


def script(design: Design, part: str, *, route: bool) -> str:
    """The Tcl that Vivado runs."""
    sources = " ".join(f"{{{path.resolve()}}}" for path in design.sources)
    return _SCRIPT.format(sources=sources, top=design.top, part=part, implement=_IMPLEMENT if route else "")


def read_utilization(text: str) -> Cells:
    """Cells from `report_utilization`. Raises `ReportError` for a row that is missing."""
    rows: dict[str, float] = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        # A note's star, and the indentation of parts, belong to no name.
        name = cells[0].rstrip("*").strip()
        if len(cells) > 2 and re.fullmatch(r"[\d.]+", cells[1]):
            rows.setdefault(name, float(cells[1]))
    found = {key: _row(rows, key, names) for key, names in _ROWS.items()}
    extra = {key: next((rows[n] for n in names if n in rows), 0.0) for key, names in _OPTIONAL.items()}
    return Cells(
        lut=int(found["lut"]),
        ff=int(found["ff"]),
        dsp=int(found["dsp"]),
        bram36=found["bram36"],
        lutram=int(extra["lutram"]),
        srl=int(extra["srl"]),
        carry4=int(extra["carry4"]),
    )


def read_timing(text: str, period_ns: float) -> float:
    """The worst slack in ns from `report_timing_summary`, whose clock has to be the one asked for.

    Raises `ReportError` for another unit, another clock, or a path without a figure.
    """
    clock = re.search(rf"^{CLOCK}\s+\{{[^}}]*\}}\s+([\d.]+)\s+[\d.]+\s*$", text, flags=re.MULTILINE)
    if "Period(ns)" not in text or clock is None:
        raise ReportError(f"no clock {CLOCK} with a period in ns")
    if abs(float(clock[1]) - period_ns) > 2e-3:
        raise ReportError(f"the clock has a period of {clock[1]} ns where {period_ns:.3f} ns was asked for")
    summary = re.search(r"^\s*WNS\((\w+)\).*\n[\s-]*\n\s*(\S+)", text, flags=re.MULTILINE)
    if summary is None:
        raise ReportError("no summary of timing")
    if summary[1] != "ns":
        raise ReportError(f"slack is in {summary[1]}, not in ns")
    try:
        return float(summary[2])
    except ValueError:
        raise ReportError(f"the worst slack is {summary[2]!r}: no path was timed") from None


def _row(rows: dict[str, float], key: str, names: tuple[str, ...]) -> float:
    for name in names:
        if name in rows:
            return rows[name]
    raise ReportError(f"no row for {key} ({' or '.join(names)})")


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError as error:
        raise ReportError(f"{path.name} is missing") from error
