"""Golden beats against those that came out, and what the clocks say about latency and rate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dwell.errors import VerificationError
from dwell.sim.dut import Dut
from dwell.sim.packing import unpack
from dwell.sim.verilated import Beats, CoreRun
from dwell.sim.verilated.run import LAST, USER
from dwell.sim.workload import Workload

_WINDOW_SHOWN = 1024
"""Codes of a window that a mismatch shows at most."""


@dataclass(frozen=True)
class Comparison:
    """How many decisions were compared, how many differed, and the first that did."""

    compared: int
    mismatches: int
    first: Mapping[str, object] | None


@dataclass(frozen=True)
class Timing:
    """Clocks from a window's last pixel to its decision, and between accepted beats, without pauses."""

    latency_cycles: int
    latency_least: int
    ii_cycles: int


def compare(work: Workload, expected: Beats, got: Beats) -> Comparison:
    """Compare beat by beat, padding and flags included; decisions that are missing count as mismatches."""
    count = min(len(expected), len(got))
    differs = (expected.data[:count] != got.data[:count]).any(axis=1)
    differs |= expected.flags[:count] != got.flags[:count]
    missing = len(expected) - count
    mismatches = int(differs.sum()) + missing
    first = None
    if differs.any():
        first = _describe(work, expected, got, int(np.argmax(differs)))
    elif missing:
        first = _place(work, count) | {"expected": _shown(work.dut, expected, count), "got": "no decision"}
    return Comparison(len(expected), mismatches, first)


def measure(work: Workload, run: CoreRun) -> Timing:
    """Latency and initiation interval of a whole run whose source and sink never paused."""
    latency = run.out_clocks.astype(np.int64) - run.in_clocks[work.last_pixels()].astype(np.int64)
    between = np.diff(run.in_clocks.astype(np.int64))
    interval = int(between.max()) if len(between) else 1
    return Timing(int(latency.max()), int(latency.min()), interval)


def require_timing(dut: Dut, timing: Timing, *, by: str) -> None:
    """Raise `VerificationError` unless latency and interval are those that design.json promises."""
    promised = {"latency_cycles": dut.latency_cycles, "ii_cycles": dut.ii_cycles}
    measured = {"latency_cycles": timing.latency_cycles, "ii_cycles": timing.ii_cycles}
    for key, value in promised.items():
        if measured[key] != value:
            raise VerificationError(
                f"{dut.name}: {key} is {value} by design.json and {measured[key]} measured by {by}",
                first_mismatch={"what": key, "expected": value, "got": measured[key]},
                hint="convert the network again; if it stays, the converter counts its stages wrongly",
                place=key,
            )


def mismatch_error(dut: Dut, found: Comparison, *, by: str, fault: str = "") -> VerificationError:
    """The error for a comparison that failed, or for a protocol fault with no wrong decision before it."""
    if found.first is None or (fault and found.first.get("got") == "no decision"):
        return VerificationError(
            f"{dut.name} in {by}: {fault or 'the comparison failed'}",
            first_mismatch={**(found.first or {}), "fault": fault},
            hint="simulate again with --level bench: it keeps the waves of a failing run",
            place=str(dut.sources[0].parent),
        )
    first = found.first
    return VerificationError(
        f"{dut.name} in {by}: {found.mismatches} of {found.compared} decisions differ from the golden model, "
        f"the first at frame {first['frame']}, row {first['row']}, column {first['column']}: "
        f"expected {first['expected']}, got {first['got']}" + (f"; {fault}" if fault else ""),
        first_mismatch=first,
        hint="if the design was not edited, this is a fault of the converter: keep the design and report it",
        place=str(dut.sources[0].parent),
    )


def _place(work: Workload, decision: int) -> dict[str, object]:
    frame, row, column = work.locate(decision)
    return {"frame": frame, "row": row, "column": column, "origin": work.frames[frame].origin}


def _describe(work: Workload, expected: Beats, got: Beats, index: int) -> dict[str, object]:
    """Where the first difference lies and what it is: code, padding or flags."""
    found = _place(work, index)
    wanted, seen = _shown(work.dut, expected, index), _shown(work.dut, got, index)
    if wanted == seen:
        if expected.flags[index] != got.flags[index]:
            wanted, seen = _flag_text(expected.flags[index]), _flag_text(got.flags[index])
        else:
            wanted, seen = expected.data[index].tobytes()[::-1].hex(), got.data[index].tobytes()[::-1].hex()
            found["what"] = "padding of m_axis_tdata"
    found |= {"expected": wanted, "got": seen}
    window = work.window(index)
    if window.size <= _WINDOW_SHOWN:
        found["window"] = (window[..., 0] if window.ndim == 3 and window.shape[-1] == 1 else window).tolist()
    return found


def _shown(dut: Dut, beats: Beats, index: int) -> object:
    codes: npt.NDArray[np.int64] = unpack(
        beats.data[index : index + 1], dut.output.widths, dut.output.signed
    )[0]
    return int(codes[0]) if len(codes) == 1 else codes.tolist()


def _flag_text(flags: int) -> str:
    return f"tuser={int(bool(flags & USER))} tlast={int(bool(flags & LAST))}"
