"""Golden beats against those that came out, and what the clocks say about latency and rate."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dwell.errors import VerificationError
from dwell.sim.beats import LAST, USER, Beats
from dwell.sim.dut import Dut
from dwell.sim.packing import unpack
from dwell.sim.verilated import CoreRun
from dwell.sim.workload import Workload

_WINDOW_SHOWN = 1024
"""Codes of a window that a mismatch shows at most."""

_LOOSE = 2
_SLACK_CLOCKS = 8
_FULL = 16
"""A promised bound may be that many times, or that many clocks above, what was measured over `_FULL` frames."""


@dataclass(frozen=True)
class Comparison:
    """How many decisions were compared, how many differed, and the first that did."""

    compared: int
    mismatches: int
    first: Mapping[str, object] | None


@dataclass(frozen=True)
class Timing:
    """Measured clocks of a run without pauses.

    Latency is the longest from a window's last pixel to its decision, or from a frame's last beat to its
    last result where frames are of one size; `ii_cycles` is between accepted beats, `frame_cycles` between
    the first beats of frames (0 where they are of any size); there were `frames` of them.
    """

    latency_cycles: int
    latency_least: int
    ii_cycles: int
    frame_cycles: int = 0
    frames: int = 0


def compare(work: Workload, expected: Beats, got: Beats) -> Comparison:
    """Compare beat by beat, padding and flags included; decisions that are missing count as mismatches.

    A decision differs when any of its codes does; padding and flags count for the first one in their beat.
    """
    count = min(len(expected), len(got))
    differs = (expected.data[:count] != got.data[:count]).any(axis=1)
    differs |= expected.flags[:count] != got.flags[:count]
    whole = len(expected) == work.result_starts[-1]
    wrong = np.zeros(work.decisions if whole else int(work.decision_of(len(expected), 0)), dtype=bool)
    if count < len(expected):
        wrong[int(work.decision_of(count, 0)) :] = True
    if not differs.any():
        first = None
        if count < len(expected):
            first = _place(work, int(work.decision_of(count, 0)))
            first |= {"expected": _shown(work, expected, count, 0), "got": "no decision"}
        return Comparison(len(wrong), int(wrong.sum()), first)
    beats = np.flatnonzero(differs)
    port = work.dut.output
    codes = unpack(expected.data[beats], port) != unpack(got.data[beats], port)
    codes[~codes.any(axis=1), 0] = True
    row, code = np.nonzero(codes)
    wrong[work.decision_of(beats[row], code)] = True
    first = _describe(work, expected, got, int(beats[0]), codes[0])
    return Comparison(len(wrong), int(wrong.sum()), first)


def measure(work: Workload, run: CoreRun) -> Timing:
    """Latency and intervals of a whole run whose source and sink never paused."""
    taken, given = run.in_clocks.astype(np.int64), run.out_clocks.astype(np.int64)
    if work.dut.any_size:
        latency = given - taken[work.last_pixels()]
        between = np.diff(taken)
        return Timing(int(latency.max()), int(latency.min()), int(between.max()) if len(between) else 1)
    latency = given[work.result_starts[1:] - 1] - taken[work.starts[1:] - 1]
    between = np.diff(taken[work.starts[:-1]])
    # Buffers fill with the first frames, which are taken faster than what follows.
    steady = between[len(between) // 2 :]
    frame = math.ceil(float(steady.mean()) - 1e-9) if len(steady) else work.dut.frame_cycles
    interval = -(-frame // work.dut.input.frame_beats)
    return Timing(int(latency.max()), int(latency.min()), interval, frame, len(latency))


def require_timing(dut: Dut, timing: Timing, *, by: str) -> None:
    """Raise `VerificationError` unless latency and intervals are those that design.json promises.

    What it promises as a bound has to hold, and to be no more than `_LOOSE` times what was measured, if
    there were frames enough for buffers to fill.
    """
    names = ["latency_cycles", "ii_cycles"] + ([] if dut.any_size else ["frame_cycles"])
    for name in names:
        promised, measured = int(getattr(dut, name)), int(getattr(timing, name))
        if promised == measured:
            continue
        loose = timing.frames >= _FULL and promised > max(_LOOSE * measured, measured + _SLACK_CLOCKS)
        if dut.latency_exact or measured > promised or loose:
            least = "" if dut.latency_exact else ("at most " if measured > promised else "a bound of ")
            raise VerificationError(
                f"{dut.name}: {name} is {least}{promised} by design.json and {measured} measured by {by}",
                first_mismatch={"what": name, "expected": promised, "got": measured},
                hint="convert the network again; if it stays, the converter counts its stages wrongly",
                place=name,
            )


def fault_text(fault: str, broken: Sequence[str]) -> str:
    """What to say of a run: assertions of the design that did not hold, and what broke the protocol."""
    more = f" (and {len(broken) - 1} more)" if len(broken) > 1 else ""
    said = [f"an assertion of the design did not hold: {broken[0]}{more}"] if broken else []
    return "; ".join([*said, *([fault] if fault else [])])


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
        f"the first at {place_text(first)}: "
        f"expected {first['expected']}, got {first['got']}" + (f"; {fault}" if fault else ""),
        first_mismatch=first,
        hint="if the design was not edited, this is a fault of the converter: keep the design and report it",
        place=str(dut.sources[0].parent),
    )


def place_text(first: Mapping[str, object]) -> str:
    """Where a mismatch lies, in words."""
    text = f"frame {first['frame']}"
    if "row" in first:
        return f"{text}, row {first['row']}, column {first['column']}"
    return f"{text}, place {first['place']}" if first.get("place") else text


def _place(work: Workload, decision: int) -> dict[str, object]:
    frame, place = work.locate(decision)
    found: dict[str, object] = {"frame": frame, "place": list(place), "origin": work.frames[frame].origin}
    if len(place) == 2:
        found |= {"row": place[0], "column": place[1]}
    return found


def _describe(
    work: Workload, expected: Beats, got: Beats, beat: int, wrong: npt.NDArray[np.bool_]
) -> dict[str, object]:
    """Where the first difference lies and what it is: code, padding or flags."""
    code = int(np.argmax(wrong))
    decision = int(work.decision_of(beat, code))
    found = _place(work, decision)
    wanted, seen = _shown(work, expected, beat, code), _shown(work, got, beat, code)
    if wanted == seen:
        if expected.flags[beat] != got.flags[beat]:
            wanted, seen = _flag_text(expected.flags[beat]), _flag_text(got.flags[beat])
        else:
            wanted, seen = expected.data[beat].tobytes()[::-1].hex(), got.data[beat].tobytes()[::-1].hex()
            found["what"] = "padding of m_axis_tdata"
    found |= {"expected": wanted, "got": seen, "beat": beat}
    window = work.window(decision)
    if window.size <= _WINDOW_SHOWN:
        found["window"] = (window[..., 0] if window.ndim == 3 and window.shape[-1] == 1 else window).tolist()
    return found


def _shown(work: Workload, beats: Beats, beat: int, code: int) -> object:
    """The codes of the decision at `code` of a beat, as far as they lie in it."""
    codes: npt.NDArray[np.int64] = unpack(beats.data[beat : beat + 1], work.dut.output)[0]
    per = work.codes_a_decision
    if len(codes) % per == 0:
        codes = codes[code // per * per :][:per]
    return int(codes[0]) if len(codes) == 1 else codes.tolist()


def _flag_text(flags: int) -> str:
    return f"tuser={int(bool(flags & USER))} tlast={int(bool(flags & LAST))}"
