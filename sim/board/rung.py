"""Rung 6: the golden model against a board, through the real PYNQ API."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from dwell.errors import ConfigError, VerificationError
from dwell.firmware.client import BoardClient, BoardFrame
from dwell.firmware.links import open_board
from dwell.firmware.package.build import package_design
from dwell.firmware.package.plan import plan_shell
from dwell.hls.design import Design
from dwell.plugins import load_plugin
from dwell.sim.board.reload import Swap, plan_swaps
from dwell.sim.board.rounds import DEAD_TIME, Kind, Round, kind_of
from dwell.sim.dut import Dut, load_dut
from dwell.sim.results import RungResult
from dwell.sim.toolchain import find_verilator
from dwell.sim.workload import Codes, Frame, Workload

NAME = "QModel against the simulated board through PYNQ"
_PAUSE_PERCENT = 30
_LEAST_WAIT_S = 10.0
_SLOWEST_CLOCKS_S = 2_000
"""Clocks a second that a simulated board makes at least, or it is taken to hang."""

Progress = Callable[[float, str], None]


def _quiet(fraction: float, text: str) -> None:
    return None


def refusal(design: Path, board: str) -> str:
    """Why a design has no overlay for a board, empty where it has one. Raises `ConfigError` if it is none."""
    loaded = Design.load(design)
    if load_plugin("dwell.boards", board, place="board.name")().system is None:
        return f"board '{board}' has no [system]: only synthesis knows it"
    try:
        plan_shell(loaded)
    except ConfigError as error:
        return error.message
    return ""


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

    Scores, mask, events (with a dead time) and counters must be those of the QModel; with `stalls` frames
    come with gaps and memory answers late. Raises `VerificationError` with the first mismatch, `ConfigError`
    for a design that the firmware cannot carry, `DeviceError` when the board fails.
    """
    dut = load_dut(design, allow_edited=allow_edited)
    with tempfile.TemporaryDirectory(prefix="dwell-overlay-") as name:
        overlay = Path(name) / "overlay"
        progress(0.02, "packaging")
        package_design(Design.load(design, allow_edited=allow_edited), board, overlay)
        golden = Workload(dut, frames).golden(lambda part: progress(0.05 + 0.35 * part, "golden model"))
        progress(0.4, "building the simulated board")
        wait_s = _wait_s(dut, frames)
        options = ("--seed", str(seed), "--timeout", f"{wait_s:g}")
        with open_board("sim", overlay, extra=options, timeout_s=wait_s) as link:
            if stalls:
                link.simulation(gap=_PAUSE_PERCENT, stall=_PAUSE_PERCENT, seed=seed)
            return _climb(dut, frames, golden, link, seed, stalls, progress)


def _wait_s(dut: Dut, frames: Sequence[Frame]) -> float:
    clocks = max(dut.frame_clocks(frame.codes.shape) for frame in frames) + dut.settle_clocks
    return max(_LEAST_WAIT_S, clocks / _SLOWEST_CLOCKS_S)


class _Run:
    """Rounds on a board, compared one by one, and what went through, as the counters have to have it."""

    def __init__(self, dut: Dut, kind: Kind, link: BoardClient) -> None:
        self.dut, self.kind, self.link = dut, kind, link
        self.frames = self.beats = self.decisions = self.events = 0
        self.busy_s = 0.0

    def play(self, rounds: Sequence[Round], progress: Callable[[int], None]) -> None:
        """Send rounds. Raises `VerificationError` with the first mismatch."""
        for round_ in rounds:
            found = self.kind.send(self.link, round_)
            self.busy_s += self.link.board_seconds
            _compare(self.dut, self.kind, round_, found)
            self.frames += len(round_.frames)
            self.beats += sum(frame.codes.size for frame in round_.frames) // self.dut.input.elements
            self.decisions += sum(self.dut.decisions(frame.codes.shape) for frame in round_.frames)
            self.events += len(found.events)
            progress(self.frames)

    def swap(self, swaps: Sequence[Swap], progress: Callable[[int], None]) -> None:
        """Send frames before and after each swap of weights. Raises `VerificationError`."""
        for swap in swaps:
            self.link.write_weights(swap.writes)
            self.play(swap.before, progress)
            self.link.swap_weights()
            self.play(swap.after, progress)


def _climb(
    dut: Dut, frames: Sequence[Frame], golden: Sequence[Codes], link: BoardClient, seed: int, stalls: bool,
    progress: Progress,
) -> RungResult:  # fmt: skip
    kind = kind_of(dut)
    rounds = kind.rounds(frames, golden)
    swaps = plan_swaps(dut, kind, frames, len(frames), seed)
    run = _Run(dut, kind, link)
    link.clear()
    before, started = link.simulation()["clocks"], time.perf_counter()

    def say(sent: int) -> None:
        progress(min(1.0, 0.5 + 0.5 * sent / len(frames)), "simulated board")

    run.play(rounds, say)
    clocks, beats = link.simulation()["clocks"] - before, run.beats
    if not isinstance(swaps, str):
        run.swap(swaps, say)
    _check_counters(dut, link.counters(), run)
    return RungResult(
        6, NAME, "board", run.decisions, 0,
        dut.latency_cycles, dut.ii_cycles, clocks, run.busy_s or time.perf_counter() - started,
        find_verilator().label,
        {
            "kind": link.info["kind"], "frames": run.frames, "rounds": len(rounds), "events": run.events,
            "dead_time": DEAD_TIME, "clocks_a_beat": round(clocks / beats, 4),
            "swaps": swaps if isinstance(swaps, str) else {"swaps": len(swaps), "words": len(swaps[0].writes)},
            "stalls": stalls, "seed": seed,
            "latency_and_intervals": "of design.json, measured on rungs 4 and 5",
            "build_digest": link.info["build_digest"],
        },
        dut.frame_cycles,
    )  # fmt: skip


def _compare(dut: Dut, kind: Kind, round_: Round, found: BoardFrame) -> None:
    shape = round_.golden[0].shape
    for what, wanted, got in (
        ("score", np.stack([kind.scores(codes) for codes in round_.golden]), found.scores),
        ("mask", round_.mask(), found.mask),
    ):
        wrong = np.argwhere(wanted != got)
        if len(wrong):
            at = tuple(int(n) for n in wrong[0])
            raise _mismatch(
                dut, f"{len(wrong)} of {wanted.size} in {what}",
                {**_frame(round_, at[0]), "what": what, **kind.locate(at[1:], shape),
                 "expected": int(wanted[at]), "found": int(got[at])},
            )  # fmt: skip
    _compare_events(dut, kind, round_, found)


def _compare_events(dut: Dut, kind: Kind, round_: Round, found: BoardFrame) -> None:
    expected = round_.events(kind.centre)
    names = ("frame", "line", "pixel", "score")
    got = np.column_stack([found.events[name].astype(np.int64) for name in names])
    if np.array_equal(expected, got):
        return
    common = min(len(got), len(expected))
    differ = np.flatnonzero((expected[:common] != got[:common]).any(axis=1))
    at = int(differ[0]) if len(differ) else common
    number = int((expected if at < len(expected) else got)[at, 0]) - round_.first
    raise _mismatch(
        dut, f"events: {len(got)} where {len(expected)} were due",
        {**_frame(round_, number), "what": "event", "event": at,
         "expected": expected[at : at + 1].tolist(), "found": got[at : at + 1].tolist()},
    )  # fmt: skip


def _frame(round_: Round, number: int) -> dict[str, object]:
    known = 0 <= number < len(round_.frames)
    return {"frame": round_.first + number, "origin": round_.frames[number].origin if known else ""}


def _check_counters(dut: Dut, counters: dict[str, int], run: _Run) -> None:
    wanted = {
        "frames": run.frames, "pixels": run.beats, "pixels_decided": run.beats, "pixels_dropped": 0,
        "decisions": run.decisions, "decisions_dropped": 0,
        "triggers": run.events, "events": run.events, "events_dropped": 0,
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
