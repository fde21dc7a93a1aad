"""Rung 5: cocotb on the whole design, with gaps, back-pressure, resets and frames cut short."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from dwell.errors import DwellError, ToolFailedError, VerificationError
from dwell.sim.bench.plan import Plan, make_plans
from dwell.sim.bench.reload import ReloadPlan, plan_reload
from dwell.sim.bench.run import (
    Outcome,
    Simulator,
    build_bench,
    icarus_simulator,
    merge_junit,
    run_bench,
    verilator_simulator,
    waves_suffix,
)
from dwell.sim.compare import Timing, fault_text, measure, mismatch_error, require_timing
from dwell.sim.dut import Dut
from dwell.sim.results import RungResult
from dwell.sim.verilated.cache import scratch
from dwell.sim.workload import Frame

ICARUS_CLOCKS = 800
"""Clocks of a phase on Icarus, about, which is some hundred times slower than a Verilated model on a real network."""

ICARUS_LONGEST_FRAME = 4_000
"""Clocks of a frame, the least that a phase can play, beyond which Icarus would run for hours."""

_log = logging.getLogger("dwell.simulate")

Progress = Callable[[float, str], None]
AnyPlan = Plan | ReloadPlan


def _quiet(fraction: float, text: str) -> None:
    return None


@dataclass(frozen=True)
class _Played:
    """One simulator's share of a climbed rung."""

    label: str
    windows: Mapping[str, int]
    timing: Timing
    clocks: int
    seconds: float
    junit: Path
    reload: str


def climb_bench(
    dut: Dut,
    frames: Sequence[Frame],
    *,
    seed: int,
    stalls: bool,
    simulators: Sequence[str],
    out: Path,
    progress: Progress = _quiet,
) -> RungResult:
    """Play `frames` on each of `simulators` and compare every decision with the QModel's.

    Beside Verilator, Icarus is left out, with the reason, where it is not installed or a frame is too long for
    it. `out/junit.xml` is written always, `out/waves_<simulator>.*` when a run fails. Raises `VerificationError`
    with the first mismatch, on a protocol fault, a deadlock, or a latency or interval that is not that of
    design.json.
    """
    chosen, left_out = _choose(dut, simulators)
    out.mkdir(parents=True, exist_ok=True)
    played: dict[str, _Played] = {}
    junit: dict[str, Path] = {}
    with scratch() as working:
        try:
            for index, simulator in enumerate(chosen):

                def say(fraction: float, text: str, at: int = index, label: str = simulator.label) -> None:
                    progress((at + fraction) / len(chosen), f"{label}: {text}")

                folder = working / simulator.name
                junit[simulator.name] = folder / "junit.xml"
                played[simulator.name] = _play(dut, simulator, frames, stalls, folder, out, seed, say)
        finally:
            merge_junit({key: path for key, path in junit.items() if path.is_file()}, out / "junit.xml")
    return _result(played, left_out, stalls, seed)


def _choose(dut: Dut, names: Sequence[str]) -> tuple[list[Simulator], dict[str, str]]:
    """The simulators asked for, and why one of them is left out."""
    chosen = [verilator_simulator()] if "verilator" in names else []
    if "icarus" not in names:
        return chosen, {}
    if chosen and dut.frame_cycles > ICARUS_LONGEST_FRAME:
        return chosen, {"icarus": f"a frame takes {dut.frame_cycles} clocks"}
    try:
        return [*chosen, icarus_simulator()], {}
    except DwellError:
        if not chosen:
            raise
        return chosen, {"icarus": "not installed"}


def _play(
    dut: Dut,
    simulator: Simulator,
    frames: Sequence[Frame],
    stalls: bool,
    folder: Path,
    out: Path,
    seed: int,
    say: Progress,
) -> _Played:
    by = f"cocotb on {simulator.label}"
    plans, reload = _plans(dut, simulator, frames, stalls, seed)
    say(0.05, "building")
    build = build_bench(dut, simulator)
    say(0.5, "running")
    start = time.perf_counter()
    outcome = run_bench(dut, simulator, [plan.phase for plan in plans], build=build, folder=folder, seed=seed)
    seconds = time.perf_counter() - start
    try:
        windows = _check(dut, plans, outcome, by)
        timing = measure(plans[0].work, outcome.records["full_speed"])
        require_timing(dut, timing, by=by)
    except VerificationError as error:
        say(0.8, "keeping the waves of the failure")
        error.hint = _keep_waves(dut, simulator, plans, outcome, folder, out, seed)
        raise
    clocks = sum(record.clocks for record in outcome.records.values())
    return _Played(simulator.label, windows, timing, clocks, seconds, outcome.junit, reload)


def _plans(
    dut: Dut, simulator: Simulator, frames: Sequence[Frame], stalls: bool, seed: int
) -> tuple[list[AnyPlan], str]:
    """The phases for a simulator, and why weights are not reloaded, if they are not."""
    quick = simulator.name != "icarus"
    plans: list[AnyPlan] = [
        *make_plans(dut, frames, stalls=stalls, most_clocks=None if quick else ICARUS_CLOCKS)
    ]
    reload = plan_reload(dut, frames, seed) if quick else "not on Icarus"
    if isinstance(reload, str):
        return plans, reload
    return [*plans, reload], ""


def _check(dut: Dut, plans: Sequence[AnyPlan], outcome: Outcome, by: str) -> dict[str, int]:
    """Decisions compared by phase; raises `VerificationError` at the first phase that is not right.

    The bench has compared inside the simulator; here the records are compared again, and a test that did
    not run, or passed without its decisions, is a failure too.
    """
    windows = {}
    for plan in plans:
        name = plan.phase.name
        record, failure = outcome.records.get(name), outcome.failures.get(name, "")
        where = f"{by}, phase {name}"
        if record is None:
            if failure:
                raise VerificationError(
                    f"{dut.name} in {where}: {failure}", first_mismatch={"phase": name, "fault": failure}
                )
            raise ToolFailedError(by, log=outcome.junit, tail=f"the test {name} left no record")
        found = plan.compare(record)
        if found.mismatches or failure:
            fault = fault_text(failure if _is_fault(failure) else "", outcome.assertions)
            raise mismatch_error(dut, found, by=where, fault=fault)
        if name not in outcome.passed:
            raise ToolFailedError(
                by, log=outcome.junit, tail=f"the test {name} did not pass, and did not fail"
            )
        windows[name] = found.compared
    if outcome.assertions:
        raise VerificationError(
            f"{dut.name} in {by}: {fault_text('', outcome.assertions)}",
            first_mismatch={"fault": outcome.assertions[0]},
        )
    return windows


def _is_fault(failure: str) -> bool:
    """Whether a test failed on a rule of the protocol, not on the comparison, which is told better here."""
    return bool(failure) and "expected data, flags" not in failure


def _keep_waves(
    dut: Dut,
    simulator: Simulator,
    plans: Sequence[AnyPlan],
    outcome: Outcome,
    folder: Path,
    out: Path,
    seed: int,
) -> str:
    """Run the failing phases again with waves. Returns the hint that says where they are."""
    failing = [p.phase for p in plans if p.phase.name not in outcome.passed] or [plans[0].phase]
    kept = out / f"waves_{simulator.name}{waves_suffix(simulator)}"
    try:
        build = build_bench(dut, simulator, waves=True)
        run_bench(
            dut, simulator, failing[:1], build=build, folder=folder / "waves", seed=seed, waves=kept.resolve()
        )
    except DwellError as error:
        _log.warning("the waves of the failure could not be kept: %s", error)
        return f"the waves could not be kept: {error}"
    if not kept.is_file():
        return f"no waves came out of {simulator.label}"
    return f"the waves of phase {failing[0].name} are in {kept.name}, beside junit.xml in {out}"


def _result(
    played: Mapping[str, _Played], left_out: Mapping[str, str], stalls: bool, seed: int
) -> RungResult:
    first = next(iter(played.values()))
    windows = sum(sum(one.windows.values()) for one in played.values())
    labels = ", ".join(one.label for one in played.values())
    detail: dict[str, object] = {
        "phases": {name: dict(one.windows) for name, one in played.items()},
        "latency_least": first.timing.latency_least,
        "stalls": stalls,
        "seed": seed,
        "left_out": dict(left_out),
        **({"not_reloaded": first.reload} if first.reload else {}),
        "junit": "junit.xml",
    }
    return RungResult(
        5,
        "cocotb on the wrapped design",
        "bench",
        windows,
        0,
        first.timing.latency_cycles,
        first.timing.ii_cycles,
        sum(one.clocks for one in played.values()),
        sum(one.seconds for one in played.values()),
        f"cocotb {metadata.version('cocotb')} on {labels}",
        detail,
        first.timing.frame_cycles,
    )
