"""Rung 4, and the command: sound designs pass, each planted fault is found and told."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hand_designs import box3_dut, sums4_dut
from ladder_designs import broken, private_cache, stream_design, unrolled_design

from dwell.errors import DwellError, ToolFailedError, VerificationError
from dwell.hls.qmodel import FixedPoint
from dwell.hls.qmodel.build import Builder
from dwell.hls.rtl import RtlOptions, write_design
from dwell.sim.bench.plan import bench_frames
from dwell.sim.bench_rung import climb_bench
from dwell.sim.commands import simulate
from dwell.sim.core_rung import climb_core
from dwell.sim.dut import load_dut
from dwell.sim.toolchain import find_icarus
from dwell.sim.vectors import default_frames
from dwell.sim.verilated import RunOptions, build_core, run_core
from dwell.sim.verilated import run as core_run
from dwell.sim.workload import Workload

pytestmark = pytest.mark.rtl


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


def test_a_sound_design_climbs_rung_4(stream: Path, tmp_path: Path) -> None:
    dut = load_dut(stream)
    frames, extremes = default_frames(dut, 50_000, 1)
    result = climb_core(dut, frames, seed=1, stalls=True, extremes=extremes)
    assert result.mismatches == 0
    assert result.windows >= 50_000
    assert extremes >= 10_000
    assert (result.latency_cycles, result.ii_cycles) == (dut.latency_cycles, 1)
    assert result.detail["windows_with_stalls"] == result.windows
    result.write(tmp_path)
    rung = json.loads((tmp_path / "rungs" / "4.json").read_text())
    assert (rung["rung"], rung["ok"], rung["mismatches"]) == (4, True, 0)
    assert rung["compared"] == result.windows
    assert rung["tool"].startswith("Verilator 5.")


def test_an_unrolled_design_climbs_rung_4(unrolled: Path) -> None:
    dut = load_dut(unrolled)
    frames, extremes = default_frames(dut, 5_000, 1)
    result = climb_core(dut, frames, seed=1, stalls=True, extremes=extremes)
    assert (result.windows, result.mismatches) == (5_000, 0)
    assert result.latency_cycles == dut.latency_cycles


FAULTS = {
    "a shift": ("<<< 3", "<<< 2", "decisions differ from the golden model, the first at frame 0, row"),
    "a constant": ("16'sd37", "16'sd38", "decisions differ"),
    "line ends": ("l2 <= l1;", "l2 <= 1'b0;", "tlast=1, got tuser=0 tlast=0"),
    "a lost decision": ("v2 <= v1;", "v2 <= v1 && col != 17;", "deadlock: no handshake"),
    "too many decisions": ("(row == 2'd2)", "(row != 2'd0)", "more decisions came out"),
    "no credits": ("in_flight != FULL", "1'b1", "gaps and stalls"),
    "a beat let go": ("if (give) tail", "if (m_axis_tvalid) tail", "gaps and stalls: m_axis_t"),
    "valid waits for ready": ("head != tail", "head != tail && m_axis_tready", "depends on m_axis_tready"),
    "rubbish after reset": ("head <= {(DEPTH_LOG2 + 1){1'b0}};", "head <= head;", "during reset"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_fails_rung_4(fault: str, tmp_path: Path) -> None:
    old, new, message = FAULTS[fault]
    dut = broken(tmp_path, old, new)
    frames, _ = default_frames(dut, 4_000, 1)
    with pytest.raises(VerificationError) as caught:
        climb_core(dut, frames, seed=1, stalls=True)
    assert message in caught.value.message
    assert caught.value.first_mismatch
    assert caught.value.exit_code == 4


def test_a_wrong_golden_model_fails_rung_4() -> None:
    dut = box3_dut()
    conv = dut.model.nodes[1]
    other = replace(dut.model, nodes=(dut.model.nodes[0], replace(conv, bias=np.array([-36]))))
    frames, _ = default_frames(dut, 500, 1)
    with pytest.raises(VerificationError) as caught:
        climb_core(replace(dut, model=other), frames, seed=1, stalls=False)
    first = caught.value.first_mismatch
    assert first is not None
    assert first["expected"] == first["got"] + 1  # type: ignore[operator]
    assert first["window"] == frames[0].codes[:3, :3, 0].tolist()


@pytest.mark.parametrize("promise", [{"latency_cycles": 4}, {"ii_cycles": 2}])
def test_timing_that_is_not_as_promised_fails_rung_4(promise: dict[str, int]) -> None:
    dut = replace(box3_dut(), **promise)
    frames, _ = default_frames(dut, 500, 1)
    with pytest.raises(VerificationError, match=f"{next(iter(promise))} is"):
        climb_core(dut, frames, seed=1, stalls=False)


def test_a_core_is_built_once(cache: Path) -> None:
    dut = box3_dut()
    said: list[str] = []
    driver = build_core(dut.top, dut.sources)
    assert build_core(dut.top, dut.sources, progress=said.append) == driver
    assert said == []
    assert driver.is_relative_to(cache)
    assert sorted(p.name for p in driver.parent.iterdir()) == ["build.log", "driver"]


def test_verilog_that_is_none_is_told_and_leaves_nothing(tmp_path: Path, cache: Path) -> None:
    before = sorted(p.name for p in (cache / "verilated").iterdir() if p.is_dir())
    dut = broken(tmp_path, "endmodule", "endmodul")
    with pytest.raises(ToolFailedError, match="Verilator failed") as caught:
        build_core(dut.top, dut.sources)
    assert "syntax error" in caught.value.tail
    assert caught.value.log_path.is_file()
    assert sorted(p.name for p in (cache / "verilated").iterdir() if p.is_dir()) == before


@pytest.mark.parametrize(
    ("script", "message"), [("kill -SEGV $$", "exit status 139"), ("sleep 100", "stopped after")]
)
def test_a_core_that_crashes_or_hangs_does_not_take_us_along(
    script: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(core_run, "LIMIT_S", 1.0)
    driver = tmp_path / "driver"
    driver.write_text(f"#!/bin/sh\n{script}\n")
    driver.chmod(0o755)
    dut = box3_dut()
    work = Workload(dut, default_frames(dut, 50, 1)[0])
    with pytest.raises(ToolFailedError) as caught:
        run_core(driver, work.beats, RunOptions(2, 50, 1))
    assert message in caught.value.tail


def test_frames_of_one_size_climb_rung_4() -> None:
    dut = sums4_dut()
    frames, extremes = default_frames(dut, 5_000, 1)
    result = climb_core(dut, frames, seed=1, stalls=True, extremes=extremes)
    assert (result.windows, result.mismatches, result.detail["windows_with_stalls"]) == (5_000, 0, 5_000)
    assert (result.latency_cycles, result.ii_cycles, result.frame_cycles) == (3, 1, 4)
    one = climb_core(dut, frames[:1], seed=1, stalls=False)
    assert (one.windows, one.latency_cycles, one.frame_cycles) == (1, 3, 4)


SUM_FAULTS = {
    "a weight": (
        "+ a - c",
        "+ a + c",
        "decisions differ from the golden model, the first at frame 1: expected ",
    ),
    "a constant": ("10'sd7", "10'sd8", "decisions differ"),
    "marks": ("left == 2'd1;", "left == 2'd2;", "expected tuser=0 tlast=0, got tuser=0 tlast=1"),
    "padding": ("{6{out0[9]}}", "6'd0", "decisions differ"),
    "a lost result": ("left <= 2'd3;", "left <= 2'd2;", "deadlock"),
    "overtaken": ("(room || !(open && (beat == 2'd3)))", "1'b1", "with gaps and stalls: "),
}


@pytest.mark.parametrize("fault", SUM_FAULTS)
def test_a_planted_fault_in_frames_of_one_size_fails_rung_4(fault: str, tmp_path: Path) -> None:
    old, new, message = SUM_FAULTS[fault]
    dut = broken(tmp_path, old, new, sums4_dut)
    with pytest.raises(VerificationError) as caught:
        climb_core(dut, default_frames(dut, 300, 1)[0], seed=1, stalls=True)
    assert message in caught.value.message


@pytest.mark.parametrize("promise", [{"latency_cycles": 4}, {"frame_cycles": 5}, {"ii_cycles": 2}])
def test_timing_of_frames_that_is_not_as_promised_fails_rung_4(promise: dict[str, int]) -> None:
    dut = replace(sums4_dut(), **promise)
    with pytest.raises(VerificationError, match=f"{next(iter(promise))} is"):
        climb_core(dut, default_frames(dut, 50, 1)[0], seed=1, stalls=False)
    bound = replace(dut, latency_exact=False)
    result = climb_core(bound, default_frames(dut, 50, 1)[0], seed=1, stalls=False)
    assert (result.latency_cycles, result.ii_cycles, result.frame_cycles) == (3, 1, 4)


def test_a_wide_beat_climbs_rungs_4_and_5(tmp_path: Path) -> None:
    """16x16 codes of 16 bits in one beat: 4,096 bits."""
    build, rng = Builder(), np.random.default_rng(1)
    at = build.flatten("flat", build.input("x", (16, 16, 1), FixedPoint(True, 16, 8)))
    weight = rng.integers(-3, 4, (256, 5)) * (rng.random((256, 5)) < 0.03)
    model = build.finish("wide", build.dense("out", at, weight, 0, [1, 2, 3, 4, 5], 8))
    dut = load_dut(write_design(model, RtlOptions(style="unrolled"), tmp_path / "design").path)
    assert (dut.input.size, dut.input.elements) == (512, 256)
    result = climb_core(dut, default_frames(dut, 1_000, 1)[0], seed=1, stalls=True)
    assert (result.windows, result.mismatches, result.frame_cycles) == (1_000, 0, 1)
    bench = climb_bench(
        dut, bench_frames(dut, 1, 1), seed=1, stalls=True, simulators=["verilator"], out=tmp_path / "out"
    )
    assert (bench.mismatches, bench.latency_cycles) == (0, dut.latency_cycles)
    assert bench.windows >= 600


def _edited(design: Path, folder: Path) -> Path:
    """The design with one constant changed: a shift, an adder that subtracts, a bias."""
    copy = Path(shutil.copytree(design, folder / "design"))
    kernel = next(p for p in sorted((copy / "rtl").glob("*conv1.v")))
    text = kernel.read_text()
    assert "SUBTRACT(0)" in text
    kernel.write_text(text.replace("SUBTRACT(0)", "SUBTRACT(1)", 1))
    return copy


@pytest.mark.parametrize("level", ["core", "bench"])
def test_an_edited_design_ends_as_a_failed_verification(level: str, stream: Path, tmp_path: Path) -> None:
    if level == "bench" and find_icarus() is None:
        pytest.skip("Icarus Verilog is not installed")
    args = {
        "design": str(_edited(stream, tmp_path)),
        "level": level,
        "allow_edited": True,
        "count": 1000,
        "seed": 1,
        "simulator": "verilator" if level == "core" else "icarus",
        "out": str(tmp_path / "out"),
    }
    with pytest.raises(VerificationError) as caught:
        simulate(args)
    assert caught.value.exit_code == 4
    first = caught.value.first_mismatch
    assert first is not None
    assert {"frame", "row", "column", "expected", "got"} <= set(first)
    with pytest.raises(DwellError, match="edited"):
        simulate({**args, "allow_edited": False})


def test_the_command_line_gives_the_promised_keys(stream: Path, tmp_path: Path) -> None:
    x = np.random.default_rng(1).random((3, 12, 20)).astype(np.float32)
    np.savez(tmp_path / "v.npz", x=x)
    command = [sys.executable, "-c", "import sys; from dwell.cli import main; sys.exit(main())"]
    command += ["simulate", str(stream), "--vectors", str(tmp_path / "v.npz"), "--stalls", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=300)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["level"] == "core"
    assert result["vectors"] == 3 * 9 * 17
    assert result["mismatches"] == 0
    keys = {"latency_cycles", "ii_cycles", "cycles_per_second", "simulator"}
    assert keys <= set(result)
