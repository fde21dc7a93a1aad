"""The library's assertions, kept through flattening as instances of `dwell_check`.

Plain Verilog has no assertions. Of each one that fires in an instance a line of the simulator's output says where
in which layer it stands and what it says; synthesis drops them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

#: The reset of a top, active low: of FINN's layers, or of a harness round them.
RESETS = ("ap_rst_n", "aresetn")

_PLACE = re.compile(r"^(?P<file>[^|]+?):(?P<line>\d+)\.\d+-(?P<last>\d+)\.\d+")
_TEXT = re.compile(r'\$(?:error|warning|fatal)\s*\(\s*(?:\d+\s*,\s*)?"(?P<text>[^"]*)"')
_SCOPE = re.compile(r"^%m(?:\s*\[[^\]]*\])?:?\s*")
_VALUE = re.compile(r"%\d*[a-z]")


@dataclass
class _Check:
    """Assertions of one text in one instance: as many as loops and lanes make of it."""

    name: str
    cells: list[Any] = field(default_factory=list)


def keep_checks(module: Any) -> None:
    """Replace, in place, the assertions of a flat Yosys module by instances of `dwell_check`, one for each
    place of the sources in each instance of the graph."""
    from pyosys import libyosys as yosys

    names = {wire.name.str() for wire in module.wires_.values()}
    reset = yosys.SigSpec(
        module.wire(yosys.IdString(next(f"\\{name}" for name in RESETS if f"\\{name}" in names)))
    )
    found: dict[tuple[str, str], _Check] = {}
    for cell in list(module.cells_.values()):
        if cell.type.str() == "$check":
            instance, place = _instance(cell.name.str()), cell.get_src_attribute()
            found.setdefault((instance, place), _Check(f"{instance}: {says(place)}")).cells.append(cell)
    for number, (_, check) in enumerate(sorted(found.items())):
        made = module.addCell(yosys.IdString(f"\\check_{number}"), yosys.IdString("\\dwell_check"))
        made.setParam(yosys.IdString("\\NAME"), yosys.Const(check.name))
        made.setParam(yosys.IdString("\\COUNT"), yosys.Const(len(check.cells), 32))
        made.setPort(yosys.IdString("\\clk"), check.cells[0].getPort(yosys.IdString("\\TRG")))
        made.setPort(yosys.IdString("\\rst_n"), reset)
        for port, pin in (("enable", "\\EN"), ("holds", "\\A")):
            joined = yosys.SigSpec()
            for cell in check.cells:
                joined.append(cell.getPort(yosys.IdString(pin)))
            made.setPort(yosys.IdString(f"\\{port}"), joined)
        for cell in check.cells:
            module.remove(cell)


def _instance(cell: str) -> str:
    """The instance in the top that holds a flattened cell; `X_X` is FINN's block X with the cell X in it."""
    name = cell.removeprefix("$flatten").lstrip("\\").split(".")[0]
    half = len(name) // 2
    return name[:half] if name[:half] == name[half + 1 :] else name


def says(place: str) -> str:
    """What the assertion at a place of the sources (`FILE:LINE.COLUMN-LINE.COLUMN`) says, and the place."""
    found = _PLACE.match(place)
    if found is None:
        return place
    file = Path(found["file"])
    lines = file.read_text().splitlines()[int(found["line"]) - 1 : int(found["last"]) + 1]
    text = _TEXT.search("\n".join(lines))
    said = _VALUE.sub("#", _SCOPE.sub("", text["text"])) if text else "assertion failed"
    return f"{said} ({file.name}:{found['line']})"
