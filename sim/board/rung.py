"""Rung 6: the golden model against a board, through the real PYNQ API."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dwell.errors import ConfigError, VerificationError
from dwell.firmware.client import BoardClient, BoardFrame
from dwell.firmware.links import open_board
from dwell.firmware.package.build import package_design
from dwell.hls.design import Design
from dwell.sim.dut import Dut, load_dut
from dwell.sim.packing import pack
from dwell.sim.results import RungResult
from dwell.sim.toolchain import find_verilator
from dwell.sim.workload import Codes, Frame, Workload

FIRING_SHARE = 0.02
"""Threshold of the check: about so many of the decisions fire."""

DEAD_TIME = 3
_PAUSE_PERCENT = 30

Progress = Callable[[float, str], None]
Events = npt.NDArray[np.int64]


def _quiet(fraction: float, text: str) -> None:
    return None


@dataclass(frozen=True)
class _Expected:
    """What a frame has to give: scores, mask, and the places of its events, all from the golden model."""

    scores: Codes
    mask: npt.NDArray[np.bool_]
    events: Events


def climb_board(
    design: Path,
    frames: Sequence[Frame],
    *,
    board: str,
    seed: int,
    stalls: bool,
    allow_edited: bool = False,
    progress: Progress = _quiet,
) -> RungResult:
    """Package a design, load it onto a simulated board and send `frames` through PYNQ's DMA.

    Scores, mask, events (with a dead time) and counters must be those of the QModel; with `stalls` pixels
    come with gaps and memory answers late. Raises `VerificationError` with the first mismatch, `ConfigError`
    for a design that the firmware cannot carry, `DeviceError` when the board fails.
    """
    dut = load_dut(design, allow_edited=allow_edited)
    if not dut.any_size:
        raise ConfigError(
            f"the firmware's shell takes frames of any size, a pixel a beat, and one score a decision; "
            f"{dut.name} takes {dut.input.elements} codes a beat of a fixed {dut.input.shape}",
            hint="simulate it with --level core or bench; a chain of valid convolutions of stride 1 in style "
            "'stream' goes into the shell",
            place=str(design),
        )
    with tempfile.TemporaryDirectory(prefix="dwell-overlay-") as name:
        overlay = Path(name) / "overlay"
        progress(0.02, "packaging")
        package_design(Design.load(design, allow_edited=allow_edited), board, overlay)
        golden = Workload(dut, frames).golden(lambda part: progress(0.05 + 0.35 * part, "golden model"))
        progress(0.4, "building the simulated board")
        with open_board("sim", overlay, extra=("--seed", str(seed))) as link:
            if stalls:
                link.simulation(gap=_PAUSE_PERCENT, stall=_PAUSE_PERCENT, seed=seed)
            return _climb(dut, frames, golden, link, seed, stalls, progress)


def _climb(
    dut: Dut, frames: Sequence[Frame], golden: Sequence[Codes], link: BoardClient, seed: int, stalls: bool,
    progress: Progress,
) -> RungResult:  # fmt: skip
    threshold = _threshold(golden)
    link.clear()
    before, started, busy = link.simulation()["clocks"], time.perf_counter(), 0.0
    compared = fired = pixels = 0
    for index, (frame, scores) in enumerate(zip(frames, golden, strict=True)):
        expected = _expect(dut, index, scores[..., 0], threshold)
        beats = _beats(dut, frame)
        link.configure(threshold, DEAD_TIME, lines=beats.shape[0], pixels=beats.shape[1])
        found = link.process_frame(beats)
        busy += link.board_seconds
        _compare(dut, index, frame, expected, found)
        compared, fired, pixels = compared + scores.size, fired + len(expected.events), pixels + beats.size
        progress(0.5 + 0.5 * (index + 1) / len(frames), "simulated board")
    clocks = link.simulation()["clocks"] - before
    _check_counters(dut, link.counters(), len(frames), pixels, compared, fired)
    return RungResult(
        6, "QModel against the simulated board through PYNQ", "board", compared, 0,
        dut.latency_cycles, dut.ii_cycles, clocks, busy or time.perf_counter() - started,
        find_verilator().label,
        {
            "frames": len(frames), "events": fired, "threshold": threshold, "dead_time": DEAD_TIME,
            "clocks_a_pixel": round(clocks / pixels, 4), "stalls": stalls, "seed": seed,
            "latency_and_ii": "of design.json, measured on rungs 4 and 5",
            "build_digest": link.info["build_digest"],
        },
    )  # fmt: skip


def expected_events(scores: Codes, threshold: int, dead_time: int) -> Events:
    """Rows (line, pixel) of the decisions (H, W) that trigger: each silences the `dead_time` after it."""
    width = scores.shape[1]
    chosen, free = [], 0
    for at in np.flatnonzero(scores.reshape(-1) >= threshold).tolist():
        if at >= free:
            chosen.append((at // width, at % width))
            free = at + dead_time + 1
    return np.array(chosen, dtype=np.int64).reshape(-1, 2)


def _threshold(golden: Sequence[Codes]) -> int:
    scores = np.concatenate([g.reshape(-1) for g in golden])
    return int(np.quantile(scores, 1.0 - FIRING_SHARE, method="higher"))


def _expect(dut: Dut, index: int, scores: Codes, threshold: int) -> _Expected:
    places = expected_events(scores, threshold, DEAD_TIME)
    centre = ((dut.window[0] - 1) // 2, (dut.window[1] - 1) // 2)
    events = np.column_stack(
        [
            np.full(len(places), index),
            places + centre,
            scores[tuple(places.T)],
        ]
    )
    return _Expected(scores, scores >= threshold, events)


def _beats(dut: Dut, frame: Frame) -> npt.NDArray[np.unsignedinteger]:
    height, width = frame.codes.shape[:2]
    raw = pack(frame.codes.reshape(height * width, -1), dut.input)
    return raw.view(f"<u{dut.input.size}").reshape(height, width)


def _compare(dut: Dut, index: int, frame: Frame, expected: _Expected, found: BoardFrame) -> None:
    for what, wanted, got in (
        ("score", expected.scores, found.scores),
        ("mask", expected.mask, found.mask),
    ):
        wrong = np.argwhere(wanted != got)
        if len(wrong):
            line, pixel = (int(n) for n in wrong[0])
            raise _mismatch(
                dut, f"{len(wrong)} of {wanted.size} in {what}",
                {"frame": index, "origin": frame.origin, "what": what, "line": line, "pixel": pixel,
                 "expected": int(wanted[line, pixel]), "found": int(got[line, pixel])},
            )  # fmt: skip
    names = ("frame", "line", "pixel", "score")
    got_events = np.column_stack([found.events[name].astype(np.int64) for name in names])
    if not np.array_equal(expected.events, got_events):
        common = min(len(got_events), len(expected.events))
        differ = np.flatnonzero((expected.events[:common] != got_events[:common]).any(axis=1))
        at = int(differ[0]) if len(differ) else common
        raise _mismatch(
            dut, f"events: {len(got_events)} where {len(expected.events)} were due",
            {"frame": index, "origin": frame.origin, "what": "event", "event": at,
             "expected": expected.events[at : at + 1].tolist(), "found": got_events[at : at + 1].tolist()},
        )  # fmt: skip


def _check_counters(
    dut: Dut, counters: dict[str, int], frames: int, pixels: int, decisions: int, events: int
) -> None:
    wanted = {
        "frames": frames, "pixels": pixels, "pixels_decided": pixels, "pixels_dropped": 0,
        "decisions": decisions, "decisions_dropped": 0,
        "triggers": events, "events": events, "events_dropped": 0,
    }  # fmt: skip
    wrong = {
        name: {"expected": value, "found": counters[name]}
        for name, value in wanted.items()
        if counters[name] != value
    }
    if wrong:
        raise _mismatch(dut, f"counters: {', '.join(wrong)}", {"what": "counters", **wrong})


def _mismatch(dut: Dut, what: str, first: dict[str, object]) -> VerificationError:
    return VerificationError(
        f"'{dut.name}' on the simulated board differs from its golden model: {what}",
        first_mismatch=first,
        hint="is the design what was converted? `dwell simulate --level core` looks at the network alone",
        place=dut.name,
    )
