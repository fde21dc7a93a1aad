"""Rung 5: sound designs climb it, weights change under load, planted faults fail."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hand_designs import box3_dut, sums4_dut
from ladder_designs import broken, private_cache, stream_design, unrolled_design

from dwell.errors import ToolFailedError, VerificationError
from dwell.hls.qmodel import FixedPoint, Overflow, Rounding
from dwell.hls.qmodel.build import Builder
from dwell.hls.rtl import RtlOptions, write_design
from dwell.sim.bench.plan import bench_frames, make_plans
from dwell.sim.bench.run import build_bench, icarus_simulator, run_bench, verilator_simulator
from dwell.sim.bench_rung import _check, climb_bench
from dwell.sim.dut import load_dut
from dwell.sim.toolchain import find_icarus

pytestmark = pytest.mark.rtl


needs_icarus = pytest.mark.skipif(find_icarus() is None, reason="Icarus Verilog is not installed")


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Simulators built by these tests go with them."""
    with private_cache(tmp_path_factory.mktemp("cache")) as folder:
        yield folder


@pytest.fixture(scope="module")
def stream(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stream_design(tmp_path_factory.mktemp("stream"))


@pytest.fixture(scope="module")
def unrolled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unrolled_design(tmp_path_factory.mktemp("unrolled"))


def test_a_sound_design_climbs_rung_5_on_verilator(stream: Path, tmp_path: Path) -> None:
    dut = load_dut(stream)
    result = climb_bench(
        dut, bench_frames(dut, 2, 1), seed=1, stalls=True, simulators=["verilator"], out=tmp_path
    )
    assert result.mismatches == 0
    assert result.windows > 3_000
    assert (result.latency_cycles, result.ii_cycles) == (dut.latency_cycles, 1)
    assert "Verilator 5." in result.simulator
    suites = list(ElementTree.parse(tmp_path / "junit.xml").getroot().iter("testsuite"))
    assert [suite.get("name") for suite in suites] == ["verilator"]
    assert len(list(suites[0].iter("testcase"))) == 7
    assert not list(tmp_path.glob("waves*"))


@needs_icarus
@pytest.mark.parametrize("style", ["stream", "unrolled"])
def test_a_sound_design_climbs_rung_5_on_icarus(
    style: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    dut = load_dut(request.getfixturevalue(style))
    result = climb_bench(
        dut, bench_frames(dut, 1, 1), seed=1, stalls=True, simulators=["icarus"], out=tmp_path
    )
    assert (result.mismatches, result.latency_cycles) == (0, dut.latency_cycles)
    assert (tmp_path / "junit.xml").is_file()


@pytest.mark.parametrize("simulator", ["verilator", pytest.param("icarus", marks=needs_icarus)])
def test_frames_of_one_size_climb_rung_5(simulator: str, tmp_path: Path) -> None:
    dut = sums4_dut()
    result = climb_bench(
        dut, bench_frames(dut, 1, 1), seed=1, stalls=True, simulators=[simulator], out=tmp_path
    )
    assert (result.mismatches, result.latency_cycles, result.frame_cycles) == (0, 3, 4)
    phases = result.detail["phases"][simulator]  # type: ignore[index]
    assert phases["frame_cut_short"] > phases["gaps"] >= 100


SUM_BENCH_FAULTS = {
    "beats of no frame": (
        "&& (open || s_axis_tuser);", ";", "phase frame_cut_short"
    ),
    "what a cut leaves": ("done ? next0 : sum0", "next0", "phase frame_cut_short"),
    "a cut that is not closed": ("wire close = s_axis_tvalid && cut && room;", "wire close = 1'b0;", "deadlock"),
}  # fmt: skip


@needs_icarus
@pytest.mark.parametrize("fault", SUM_BENCH_FAULTS)
def test_a_planted_fault_in_frames_cut_short_fails_rung_5(fault: str, tmp_path: Path) -> None:
    old, new, message = SUM_BENCH_FAULTS[fault]
    dut = broken(tmp_path, old, new, sums4_dut)
    with pytest.raises(VerificationError) as caught:
        climb_bench(
            dut, bench_frames(dut, 1, 1), seed=1, stalls=False, simulators=["icarus"], out=tmp_path / "out"
        )
    assert message in caught.value.message


BENCH_FAULTS = {
    "a shift": ("<<< 3", "<<< 2", "phase full_speed"),
    "no credits": ("in_flight != FULL", "1'b1", "phase back_pressure"),
    "a lost decision": ("v2 <= v1;", "v2 <= v1 && next_col != 30;", "deadlock"),
    "an unknown output": ("sum <= ", "sum <= 16'hx + ", "X or Z"),
    "state that a reset leaves": (
        "head <= {(DEPTH_LOG2 + 1){1'b0}};\n", "head <= (^head === 1'bx) ? 0 : head;\n", "reset"
    ),
}  # fmt: skip


@needs_icarus
@pytest.mark.parametrize("fault", BENCH_FAULTS)
def test_a_planted_fault_fails_rung_5_and_leaves_waves(fault: str, tmp_path: Path) -> None:
    old, new, message = BENCH_FAULTS[fault]
    dut = broken(tmp_path, old, new)
    out = tmp_path / "out"
    with pytest.raises(VerificationError) as caught:
        climb_bench(dut, bench_frames(dut, 1, 1), seed=1, stalls=True, simulators=["icarus"], out=out)
    assert message in caught.value.message
    assert caught.value.first_mismatch
    cases = list(ElementTree.parse(out / "junit.xml").getroot().iter("testcase"))
    assert any(case.find("failure") is not None or case.find("error") is not None for case in cases)
    waves = list(out.glob("waves_icarus.*"))
    assert len(waves) == 1
    assert waves[0].stat().st_size > 500
    assert waves[0].name in caught.value.hint


@needs_icarus
def test_corrupted_expectations_fail_inside_the_simulator_too(tmp_path: Path) -> None:
    dut = box3_dut()
    simulator = icarus_simulator()
    plans = make_plans(dut, bench_frames(dut, 1, 1), stalls=False)
    plans[0].phase.expected.data[-1, 0] ^= 1
    build = build_bench(dut, simulator)
    phases = [plan.phase for plan in plans]
    outcome = run_bench(dut, simulator, phases, build=build, folder=tmp_path, seed=1)
    assert set(outcome.failures) == {"full_speed"}
    assert "expected data, flags" in outcome.failures["full_speed"]
    assert outcome.passed == {"reset_in_mid_frame", "frame_cut_short"}
    with pytest.raises(VerificationError, match="1 of"):
        _check(dut, plans, outcome, "a test")


@pytest.mark.slow
def test_a_planted_fault_leaves_waves_on_verilator(tmp_path: Path) -> None:
    dut = broken(tmp_path, "<<< 3", "<<< 2")
    with pytest.raises(VerificationError, match="phase full_speed"):
        climb_bench(
            dut, bench_frames(dut, 1, 1), seed=1, stalls=True, simulators=["verilator"], out=tmp_path / "out"
        )
    assert len(list((tmp_path / "out").glob("waves_verilator.*"))) == 1


@needs_icarus
def test_a_simulator_that_crashes_is_told(tmp_path: Path) -> None:
    dut = box3_dut()
    simulator = replace(icarus_simulator(), environ={**os.environ, "PYTHONHOME": str(tmp_path)})
    build = build_bench(dut, icarus_simulator())
    plans = make_plans(dut, bench_frames(dut, 1, 1), stalls=False)
    with pytest.raises(ToolFailedError, match="bench on Icarus"):
        run_bench(dut, simulator, [plans[0].phase], build=build, folder=tmp_path / "run", seed=1)


def test_verilator_for_cocotb_is_ours(stream: Path) -> None:
    assert verilator_simulator().version >= "5.048"


@pytest.fixture(scope="module")
def writable(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folded network whose weights can be written."""
    build, rng = Builder(), np.random.default_rng(3)
    at = build.input("x", (8,), FixedPoint(True, 5, 2))
    at = build.dense("first", at, rng.integers(-8, 8, (8, 6)), 2, rng.integers(-30, 31, 6), 4)
    at = build.cast("act", at, [FixedPoint(True, 4, 0)], Rounding.RND, Overflow.SAT)
    at = build.dense("second", at, rng.integers(-8, 8, (6, 4)), 2, rng.integers(-9, 10, 4), 2)
    at = build.cast("out", at, [FixedPoint(True, 6, 0)], Rounding.TRN, Overflow.SAT)
    options = RtlOptions(style="folded", reuse={"first": 12, "second": 6}, reload=True)
    folder = tmp_path_factory.mktemp("writable") / "design"
    return write_design(build.finish("writable", at), options, folder).path


def test_weights_are_swapped_under_load_on_rung_5(writable: Path, tmp_path: Path) -> None:
    dut = load_dut(writable)
    result = climb_bench(
        dut, bench_frames(dut, 1, 1), seed=1, stalls=False, simulators=["verilator"], out=tmp_path
    )
    phases = result.detail["phases"]["verilator"]  # type: ignore[index]
    assert phases["reload_under_load"] > 50
    assert result.mismatches == 0


@pytest.mark.slow
def test_a_frame_of_two_networks_fails_rung_5(writable: Path, tmp_path: Path) -> None:
    """The planted fault: the bank changes wherever a frame stands."""
    copy = Path(shutil.copytree(writable, tmp_path / "design"))
    source = copy / "rtl" / "dwell_bank_frames.v"
    text = source.read_text()
    right = "assign bank   = first ? select : current;"
    assert right in text
    source.write_text(text.replace(right, "assign bank   = !select;"))
    dut = load_dut(copy, allow_edited=True)
    with pytest.raises(VerificationError) as caught:
        climb_bench(
            dut, bench_frames(dut, 1, 1), seed=1, stalls=False, simulators=["verilator"], out=tmp_path / "out"
        )
    assert caught.value.first_mismatch
