"""Rung 4: the golden model against the Verilated core, in bulk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from dwell.sim.compare import compare, measure, mismatch_error, require_timing
from dwell.sim.dut import Dut
from dwell.sim.results import RungResult
from dwell.sim.toolchain import find_verilator
from dwell.sim.verilated import Pauses, build_core, run_core
from dwell.sim.workload import Codes, Frame, Workload

STALL_WINDOWS = 100_000
"""Decisions that are run again with gaps and stalls, when asked for: on top of the run at full speed."""

_PAUSES = Pauses(gap_percent=30, stall_percent=30)

Progress = Callable[[float, str], None]


def _quiet(fraction: float, text: str) -> None:
    return None


def climb_core(
    dut: Dut,
    frames: Sequence[Frame],
    *,
    seed: int,
    stalls: bool,
    extremes: int = 0,
    progress: Progress = _quiet,
) -> RungResult:
    """Send `frames` through the Verilated `dut` and compare every decision with the QModel's.

    A first run at full speed measures latency and interval, which must be those of design.json; with
    `stalls` part of the frames go through again with gaps and back-pressure. Raises `VerificationError`
    with the first mismatch, on a protocol fault and on a deadlock.
    """
    verilator = find_verilator()
    by = verilator.label
    progress(0.02, "building the simulator")
    driver = build_core(dut.top, dut.sources, progress=lambda text: progress(0.02, f"building: {text}"))
    work = Workload(dut, frames)
    golden = work.golden(lambda fraction: progress(0.1 + 0.4 * fraction, "golden model"))
    expected = work.expected_beats(golden)
    run = run_core(
        driver, work.beats, out_bytes=dut.output.size, expected=len(expected), seed=seed,
        progress=lambda fraction: progress(0.5 + 0.4 * fraction, "Verilated core"),
    )  # fmt: skip
    found = compare(work, expected, run.beats)
    if found.mismatches or run.fault:
        raise mismatch_error(dut, found, by=by, fault=_at(run.fault, run.fault_clock))
    timing = measure(work, run)
    require_timing(dut, timing, by=by)
    detail: dict[str, object] = {
        "frames": len(frames),
        "windows_at_extremes": extremes,
        "latency_least": timing.latency_least,
        "seed": seed,
    }
    if stalls:
        progress(0.92, "with gaps and back-pressure")
        detail["windows_with_stalls"] = _with_stalls(work, golden, driver, seed, by)
    return RungResult(
        4, "QModel against the Verilated core", "core", found.compared, 0,
        timing.latency_cycles, timing.ii_cycles, run.clocks, run.seconds, by, detail,
    )  # fmt: skip


def _with_stalls(work: Workload, golden: Sequence[Codes], driver: Path, seed: int, by: str) -> int:
    """The first frames again with pauses on both sides. Returns how many decisions were compared."""
    count, windows = 0, 0
    while count < len(work.frames) and windows < STALL_WINDOWS:
        windows += golden[count][..., 0].size
        count += 1
    part = Workload(work.dut, work.frames[:count])
    expected = part.expected_beats(golden[:count])
    size = work.dut.output.size
    run = run_core(driver, part.beats, out_bytes=size, expected=len(expected), seed=seed, pauses=_PAUSES)
    found = compare(part, expected, run.beats)
    if found.mismatches or run.fault:
        raise mismatch_error(
            work.dut, found, by=f"{by} with gaps and stalls", fault=_at(run.fault, run.fault_clock)
        )
    return found.compared


def _at(fault: str, clock: int) -> str:
    return f"{fault} (clock {clock})" if fault else ""
