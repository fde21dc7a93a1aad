"""Rung 4: the golden model against the Verilated core, in bulk."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dwell.sim.beats import Beats
from dwell.sim.compare import compare, fault_text, measure, mismatch_error, require_timing
from dwell.sim.dut import Dut
from dwell.sim.results import RungResult
from dwell.sim.toolchain import find_verilator
from dwell.sim.verilated import Core, CoreRun, Pauses, RunOptions, VerilatedCore, build_core
from dwell.sim.workload import Codes, Frame, Workload

STALL_WINDOWS = 100_000
"""Decisions that are run again with gaps and stalls, when asked for: on top of the run at full speed."""

STALL_CLOCKS = 5_000_000
"""Clocks at full speed of what is run again so, at most."""

TIMED_FRAMES = 32
"""Frames of one size that are sent at least, the given ones again if need be: latency and interval settle."""

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
    core: Core | None = None,
    progress: Progress = _quiet,
) -> RungResult:
    """Send `frames` through the Verilated `dut` and compare every decision with the QModel's.

    A first run at full speed measures latency and interval, which must be those of design.json; with
    `stalls` part of the frames go through again with gaps and back-pressure. Raises `VerificationError`
    with the first mismatch, on a protocol fault and on a deadlock. `core` is the built design, where the
    caller has it already.
    """
    verilator = find_verilator()
    by = verilator.label
    if core is None:
        progress(0.02, "building the simulator")
        driver = build_core(dut.top, dut.sources, progress=lambda text: progress(0.02, f"building: {text}"))
        core = VerilatedCore(driver)
    work = Workload(dut, _enough(dut, frames))
    golden = work.golden(lambda fraction: progress(0.1 + 0.4 * fraction, "golden model"))
    expected = work.expected_beats(golden)
    run = core.run(
        work.beats, _run_options(work, expected, seed),
        progress=lambda fraction: progress(0.5 + 0.4 * fraction, "Verilated core"),
    )  # fmt: skip
    found = compare(work, expected, run.beats)
    if found.mismatches or _fault(run):
        raise mismatch_error(dut, found, by=by, fault=_fault(run))
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
        detail["windows_with_stalls"] = _with_stalls(work, golden, core, seed, by)
    compared = sum(dut.decisions(frame.codes.shape) for frame in frames)
    return RungResult(
        4, "QModel against the Verilated core", "core", compared, 0,
        timing.latency_cycles, timing.ii_cycles, run.clocks, run.seconds, by, detail, timing.frame_cycles,
    )  # fmt: skip


def _enough(dut: Dut, frames: Sequence[Frame]) -> Sequence[Frame]:
    """The frames, and of one size so many times that buffers fill and the interval shows."""
    least = TIMED_FRAMES if dut.frame_clocks(dut.input.shape) * TIMED_FRAMES < STALL_CLOCKS else 8
    return frames if dut.any_size else [*frames] * -(-least // len(frames))


def _run_options(work: Workload, expected: Beats, seed: int, pauses: Pauses | None = None) -> RunOptions:
    dut = work.dut
    return RunOptions(
        dut.output.size, len(expected), seed, work.clocks, pauses or Pauses(), settle_clocks=dut.settle_clocks
    )


def _with_stalls(work: Workload, golden: Sequence[Codes], core: Core, seed: int, by: str) -> int:
    """The first frames again with pauses on both sides. Returns how many decisions were compared."""
    count, windows, clocks = 0, 0, 0
    while count < len(work.frames) and windows < STALL_WINDOWS and clocks < STALL_CLOCKS:
        shape = work.frames[count].codes.shape
        windows += work.dut.decisions(shape)
        clocks += work.dut.frame_clocks(shape)
        count += 1
    part = Workload(work.dut, work.frames[:count])
    expected = part.expected_beats(golden[:count])
    run = core.run(part.beats, _run_options(part, expected, seed, _PAUSES))
    found = compare(part, expected, run.beats)
    if found.mismatches or _fault(run):
        raise mismatch_error(work.dut, found, by=f"{by} with gaps and stalls", fault=_fault(run))
    return found.compared


def _fault(run: CoreRun) -> str:
    at = f"{run.fault} (clock {run.fault_clock})" if run.fault else ""
    return fault_text(at, run.assertions)
