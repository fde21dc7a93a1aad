"""Reading the reports of Vitis HLS: every field has to be there, in the unit that is expected.

A time without a unit, a unit that changed between versions, or a field that is absent is an error, never a 0.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

_TO_NS = {"ps": 1e-3, "ns": 1.0, "us": 1e3, "ms": 1e6, "s": 1e9, "sec": 1e9}
_AREA = ("LUT", "FF", "DSP", "BRAM_18K")
_REAL_TIME_SLACK = 0.02


class ReportError(ValueError):
    """A report that does not say what is asked of it."""


@dataclass(frozen=True)
class CSynthesis:
    """What C synthesis estimates. Times in ns, latencies and intervals in clocks."""

    target_ns: float
    estimated_ns: float
    latency_min: int
    latency_max: int
    interval_min: int
    interval_max: int
    area: dict[str, int]
    available: dict[str, int]


@dataclass(frozen=True)
class CoSimulation:
    """What simulating the RTL has measured, in clocks."""

    rtl: str
    latency_min: int
    latency_max: int
    interval_min: int
    interval_max: int


def read_csynth(path: Path) -> CSynthesis:
    """`<top>_csynth.xml`. Raises `ReportError`."""
    try:
        root = ET.parse(path).getroot()
    except (OSError, ET.ParseError) as error:
        raise ReportError(f"{path.name} cannot be read: {error}") from error
    target = _number(root, "UserAssignments/TargetClockPeriod") * _unit(root, "UserAssignments/unit")
    timing = "PerformanceEstimates/SummaryOfTimingAnalysis"
    overall = "PerformanceEstimates/SummaryOfOverallLatency"
    if _text(root, f"{overall}/unit") != "clock cycles":
        raise ReportError(f"latency is in {_text(root, f'{overall}/unit')!r}, not in clock cycles")
    found = CSynthesis(
        target_ns=target,
        estimated_ns=_number(root, f"{timing}/EstimatedClockPeriod") * _unit(root, f"{timing}/unit"),
        latency_min=_count(root, f"{overall}/Best-caseLatency"),
        latency_max=_count(root, f"{overall}/Worst-caseLatency"),
        interval_min=_count(root, f"{overall}/Interval-min"),
        interval_max=_count(root, f"{overall}/Interval-max"),
        area={key: _area(root, "Resources", key) for key in _AREA},
        available={key: _area(root, "AvailableResources", key) for key in _AREA},
    )
    if not (found.target_ns > 0 and found.estimated_ns > 0 and found.interval_max > 0):
        raise ReportError("a clock period or an interval of 0")
    for case, clocks in (("Best", found.latency_min), ("Worst", found.latency_max)):
        _check_real_time(root, f"{overall}/{case}-caseRealTimeLatency", clocks, target)
    return found


def read_cosim(path: Path) -> CoSimulation:
    """`<top>_cosim.rpt`. Raises `ReportError`, also where the simulation did not pass."""
    try:
        text = path.read_text(errors="replace")
    except OSError as error:
        raise ReportError(f"{path.name} cannot be read: {error}") from error
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) < 8 or cells[0] not in ("Verilog", "VHDL") or cells[1] == "NA":
            continue
        if cells[1] != "Pass":
            raise ReportError(f"co-simulation of the {cells[0]}: {cells[1]}")
        counts = [_whole(cell, path.name) for cell in cells[2:8]]
        return CoSimulation(cells[0], counts[0], counts[2], counts[3], counts[5])
    raise ReportError(f"{path.name} has no line of a simulated RTL")


def _text(root: ET.Element, place: str) -> str:
    node = root.find(place)
    if node is None or not (node.text or "").strip():
        raise ReportError(f"there is no {place}")
    return str(node.text).strip()


def _number(root: ET.Element, place: str) -> float:
    text = _text(root, place)
    try:
        return float(text)
    except ValueError:
        raise ReportError(f"{place} is {text!r}, not a number") from None


def _unit(root: ET.Element, place: str) -> float:
    text = _text(root, place)
    if text not in _TO_NS:
        raise ReportError(f"{place} is {text!r}, not a unit of time")
    return _TO_NS[text]


def _count(root: ET.Element, place: str) -> int:
    return _whole(_text(root, place), place)


def _whole(text: str, place: str) -> int:
    if not text.isdecimal():
        raise ReportError(f"{place} is {text!r}, not a whole number")
    return int(text)


def _area(root: ET.Element, kind: str, key: str) -> int:
    # Vivado HLS calls a DSP by the name of its cell.
    place = f"AreaEstimates/{kind}/{key}"
    if key == "DSP" and root.find(place) is None:
        place = f"AreaEstimates/{kind}/DSP48E"
    return _count(root, place)


def _check_real_time(root: ET.Element, place: str, clocks: int, period_ns: float) -> None:
    """The same latency as a time with its unit: both have to agree."""
    text = _text(root, place)
    found = re.fullmatch(r"([\d.]+)\s*([a-z]+)", text)
    if found is None or found[2] not in _TO_NS:
        raise ReportError(f"{place} is {text!r}, not a time with its unit")
    said = float(found[1]) * _TO_NS[found[2]]
    expected = clocks * period_ns
    if abs(said - expected) > _REAL_TIME_SLACK * expected + period_ns:
        raise ReportError(f"{place} is {text}, but {clocks} clocks of {period_ns:g} ns are {expected:g} ns")
