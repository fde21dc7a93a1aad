"""Resources and timing of a design, by Yosys: cells synthesized, timing estimated.

Resources are those of the netlist that Yosys maps to the device's cells. Timing is a static analysis of that
netlist with the cells' delays, DSPs and block RAMs among them, and an allowance for the routing that has not
been done: an estimate, and labelled as one.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol

from dwell.errors import ConfigError, InternalError, ResourceError, ToolFailedError
from dwell.guard import guarded
from dwell.hls.design import Design
from dwell.hls.rtl.design.device_cells import device_sources
from dwell.logs import new_log
from dwell.plugins import load_plugin
from dwell.processes import kill_tree

TIMEOUT_S = 900.0
"""A synthesis that takes longer is given up."""

ROUTING_SHARE = 0.5
"""Part of a clock period that routing is allowed for on a critical path; half is common on 7-series parts."""

_SETUP_NS = 0.1
"""Set-up time of a register, which the analysis of the netlist leaves out."""

#: LUTs that one memory or shift-register cell takes.
_MEMORY_LUTS = {
    "RAM32X1S": 1, "RAM32X1D": 2, "RAM32M": 4, "RAM64X1S": 1, "RAM64X1D": 2, "RAM64M": 4,
    "RAM128X1S": 2, "RAM128X1D": 4, "RAM256X1S": 4,
}  # fmt: skip
_SHIFT_LUTS = {"SRL16E": 1, "SRLC32E": 1, "SRL16": 1, "SRLC16E": 1}
_LUTS = ("LUT1", "LUT2", "LUT3", "LUT4", "LUT5", "LUT6", "LUT6_2", "INV")
_REGISTERS = re.compile(r"FD[CPRS]E(_1)?|LD[CP]E(_1)?")
_FREE = re.compile(r"CARRY4|MUXF[78]|\$scopeinfo|BUFG|GND|VCC")
_DSP = re.compile(r"DSP48E1")


class _Resources(Protocol):
    lut: int
    ff: int
    dsp: int
    bram36: int


class BoardLike(Protocol):
    """What is asked of a board plug-in."""

    @property
    def name(self) -> str: ...
    @property
    def part(self) -> str: ...
    @property
    def family(self) -> str: ...
    @property
    def resources(self) -> _Resources: ...


@dataclass(frozen=True)
class Cells:
    """Cells of a netlist. `lut`: those of logic (an inverter is one), memory and shift registers."""

    lut: int
    ff: int
    dsp: int
    bram36: float
    lutram: int
    srl: int
    carry4: int


@dataclass(frozen=True)
class Timing:
    """The longest path. `logic_ns`: cell delays; `fmax_mhz` allows for routing; `path`: cells, last first."""

    logic_ns: float
    fmax_mhz: float
    path: tuple[str, ...]


@dataclass(frozen=True)
class Synthesis:
    """Cells and timing of a design for a board, by `tool`, in `seconds`."""

    cells: Cells
    timing: Timing
    tool: str
    board: BoardLike
    seconds: float

    def to_json(self, clock_mhz: float) -> dict[str, Any]:
        """The keys of `dwell synthesize --json`; utilisation in per cent of the board."""
        have = self.board.resources
        return {
            "lut": self.cells.lut,
            "ff": self.cells.ff,
            "dsp": self.cells.dsp,
            "bram36": self.cells.bram36,
            "lutram": self.cells.lutram,
            "srl": self.cells.srl,
            "carry4": self.cells.carry4,
            "fmax_mhz": round(self.timing.fmax_mhz, 1),
            "logic_ns": round(self.timing.logic_ns, 3),
            "routing_share": ROUTING_SHARE,
            "critical_path": list(self.timing.path),
            "clock_mhz": clock_mhz,
            "meets_clock": self.timing.fmax_mhz >= clock_mhz,
            "evidence": "synthesized",
            "fmax_evidence": "estimated",
            "tool": self.tool,
            "board": self.board.name,
            "part": self.board.part,
            "utilisation_percent": {
                "lut": _percent(self.cells.lut, have.lut),
                "ff": _percent(self.cells.ff, have.ff),
                "dsp": _percent(self.cells.dsp, have.dsp),
                "bram36": _percent(self.cells.bram36, have.bram36),
            },
            "available": {"lut": have.lut, "ff": have.ff, "dsp": have.dsp, "bram36": have.bram36},
            "seconds": round(self.seconds, 1),
        }


def load_board(name: str) -> BoardLike:
    """The board plug-in `name`. Raises `ConfigError` for an unknown one."""
    board: BoardLike = load_plugin("dwell.boards", name, place="board.name")()
    return board


def synthesize_design(
    design: Design,
    board: BoardLike,
    *,
    tool: str = "yosys",
    log: Path | None = None,
    timeout_s: float = TIMEOUT_S,
) -> Synthesis:
    """Synthesize `design` for `board` and hold it against what the board has.

    Raises `ToolFailedError` when it fails or takes longer than `timeout_s`, `ResourceError` where the design
    is larger than the board. Vivado has a module of its own, `dwell.hls.vivado`.
    """
    if tool != "yosys":
        raise ConfigError(f"no synthesis tool '{tool}' is known", hint="use yosys", place="synthesize.tool")
    result = synthesize_sources(list(design.sources), design.top, board, log=log, timeout_s=timeout_s)
    check_fits(result.cells, board)
    return result


def synthesize_sources(
    sources: list[Path],
    top: str,
    board: BoardLike,
    *,
    log: Path | None = None,
    timeout_s: float = TIMEOUT_S,
    use_dsp: bool = True,
) -> Synthesis:
    """Synthesize Verilog files, multipliers in DSP blocks where `use_dsp`.

    Raises as `synthesize_design` does, the board's size apart.
    """
    _refuse_readmem(sources)
    log = log or new_log("yosys")
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="dwell-yosys-") as name:
        folder = Path(name)
        read = device_sources(sources, board.family)
        job = {
            "sources": [str(p.resolve()) for p in read],
            "top": top,
            "family": board.family,
            "dsp": use_dsp,
        }
        (folder / "job.json").write_text(json.dumps(job))
        _run_worker(folder, log, timeout_s)
        try:
            stat = json.loads((folder / "stat.json").read_text())
            cells = count_cells(stat["design"]["num_cells_by_type"])
            timing = read_timing((folder / "sta.txt").read_text())
        except (OSError, ValueError, KeyError) as error:
            raise ToolFailedError("yosys", log=log, tail=f"its report cannot be read: {error}") from error
    tool = f"Yosys {metadata.version('pyosys')}"
    return Synthesis(cells, timing, tool, board, time.monotonic() - started)


def count_cells(by_type: Mapping[str, int]) -> Cells:
    """Cells from Yosys' statistics. Raises `InternalError` for one that is not known: none goes uncounted."""
    lutram = sum(by_type.get(name, 0) * luts for name, luts in _MEMORY_LUTS.items())
    srl = sum(by_type.get(name, 0) * luts for name, luts in _SHIFT_LUTS.items())
    known = {*_MEMORY_LUTS, *_SHIFT_LUTS, *_LUTS, "RAMB36E1", "RAMB18E1"}
    strange = [
        name
        for name in by_type
        if name not in known and not any(p.fullmatch(name) for p in (_REGISTERS, _FREE, _DSP))
    ]
    if strange:
        raise InternalError(f"Yosys' netlist holds cells that are not counted: {', '.join(sorted(strange))}")
    return Cells(
        lut=sum(by_type.get(name, 0) for name in _LUTS) + lutram + srl,
        ff=sum(n for name, n in by_type.items() if _REGISTERS.fullmatch(name)),
        dsp=sum(n for name, n in by_type.items() if _DSP.fullmatch(name)),
        bram36=by_type.get("RAMB36E1", 0) + by_type.get("RAMB18E1", 0) / 2,
        lutram=lutram,
        srl=srl,
        carry4=by_type.get("CARRY4", 0),
    )


def read_timing(text: str) -> Timing:
    """The longest path from the output of Yosys' `sta` (picoseconds). Raises `ValueError` if it has none."""
    found = re.search(r"Latest arrival time in '.*' is (\d+):", text)
    if found is None:
        raise ValueError("no arrival time in the timing report")
    logic_ns = int(found[1]) / 1000.0
    if logic_ns <= 0:
        raise ValueError("the longest path takes no time")
    path = re.findall(r"^\s+\d+ \S.* \((\S+?\.\S+->\S+)\)\s*$", text, flags=re.MULTILINE)
    period_ns = (logic_ns + _SETUP_NS) / (1.0 - ROUTING_SHARE)
    return Timing(logic_ns, 1000.0 / period_ns, tuple(path))


def check_fits(cells: Cells, board: BoardLike) -> None:
    """Raise `ResourceError`, saying by how much, where `cells` are more than `board` has."""
    have = board.resources
    over = [
        f"{used:g} {name} of {limit} ({used - limit:g} too many)"
        for name, used, limit in (
            ("LUT", cells.lut, have.lut),
            ("FF", cells.ff, have.ff),
            ("DSP", cells.dsp, have.dsp),
            ("BRAM36", cells.bram36, have.bram36),
        )
        if used > limit
    ]
    if over:
        raise ResourceError(
            f"the design does not fit {board.name}: {', '.join(over)}",
            hint="use fewer channels or narrower weights, or style 'stream'",
            place=board.name,
        )


def _percent(used: float, have: int) -> float:
    return round(100.0 * used / have, 2) if have else 0.0


def _refuse_readmem(sources: list[Path]) -> None:
    """A memory image that a tool does not find leaves zeros without a word: none is read at all."""
    for path in sources:
        if re.search(r"\$readmem[bh]", path.read_text(errors="replace")):
            raise ConfigError(
                f"{path.name} loads a memory from a file, which synthesis may leave at zero without an error",
                hint="write constants into the Verilog",
                place=str(path),
            )


def _run_worker(folder: Path, log: Path, timeout_s: float) -> None:
    command = guarded([sys.executable, "-m", "dwell.hls.yosys_worker", str(folder)])
    with log.open("ab") as stream:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            status = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise ToolFailedError(
                "yosys",
                log=log,
                tail=_tail(log),
                hint=f"it was stopped after {timeout_s:.0f} s; its log is {log}",
            ) from None
        finally:
            kill_tree(process.pid)
            process.wait()
    if status != 0:
        raise ToolFailedError("yosys", log=log, tail=_tail(log))


def _tail(log: Path, lines: int = 20) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
