"""Thresholds of FINN's that are not what the network's quantizer says, and are moved."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import finn_dense
import numpy as np
import pytest
from finn_room import PART, needs_finn

from dwell.commands import run_command
from dwell.hls.finn.convert import FinnOptions, convert
from dwell.hls.finn.quantizers import with_tables
from dwell.hls.finn.thresholds import moved_thresholds
from dwell.hls.finn.weights import Matrix
from dwell.hls.frontends.network import network_from_file
from dwell.hls.qmodel import FixedPoint, Overflow, QModel, Rounding, run_codes
from dwell.hls.qmodel.build import Builder
from dwell.progress import reporter
from dwell.sim.bench.plan import bench_frames
from dwell.sim.bench_rung import climb_bench
from dwell.sim.dut import load_dut

UNIT = Matrix("MVAU_rtl_0", "dense", 2, 3, 1, 1, 3, -3, 1)
WEIGHTS = np.array([[1, 2, -3], [3, -1, 1]])


def model(rounding: Rounding, weights: np.ndarray = WEIGHTS, bias: tuple[int, ...] = (0, 1, -2)) -> QModel:
    """Sums of 2 fraction bits, rounded to codes 0 to 3 of none behind a ReLU."""
    build = Builder()
    build.input("x", (2,), FixedPoint(True, 4, 1), Rounding.RND_CONV, Overflow.SAT)
    sums = build.dense("dense", "x", weights, 1, np.array(bias), 2)
    codes = build.cast("act", build.relu("relu", sums), [FixedPoint(False, 2, 0)], rounding, Overflow.SAT)
    return build.finish("net", codes, [("act", codes)])


@pytest.mark.fast
@pytest.mark.parametrize("rounding", list(Rounding))
def test_every_sum_gets_the_code_of_the_network(rounding: Rounding) -> None:
    ties_upwards = np.array([[2, 6, 10], [1, 5, 9], [4, 8, 12]])  # code k from (k - 1/2) * 4, less the bias
    given = model(rounding)
    moved = moved_thresholds(given, [UNIT], {"MVAU_rtl_0": 0}, {"MVAU_rtl_0": ties_upwards})
    thresholds = moved.get("MVAU_rtl_0", ties_upwards)
    frames = np.stack(np.meshgrid(np.arange(-8, 8), np.arange(-8, 8)), axis=-1).reshape(-1, 2)
    codes = (thresholds[None] <= (frames @ WEIGHTS)[..., None]).sum(axis=-1)
    assert np.array_equal(codes, run_codes(given, frames))
    assert bool(moved) == (rounding not in (Rounding.RND, Rounding.RND_INF))


@pytest.mark.fast
def test_what_is_right_for_all_sums_that_occur_stays() -> None:
    beyond = np.array([[2, 6, 10], [1, 5, 9], [4, 8, 12]])
    assert moved_thresholds(model(Rounding.RND), [UNIT], {"MVAU_rtl_0": 0}, {"MVAU_rtl_0": beyond}) == {}


@pytest.mark.fast
def test_other_weights_get_the_codes_of_a_quantizer_that_is_a_formula() -> None:
    given = model(Rounding.RND_CONV, np.array([[1], [0]]), (0,))  # sums from -8 to 7
    table = with_tables(given)
    assert [type(node).__name__ for node in table.nodes] == ["Input", "Dense", "Table"]
    frames = np.stack(np.meshgrid(np.arange(-8, 8), np.arange(-8, 8)), axis=-1).reshape(-1, 2)
    assert np.array_equal(run_codes(table, frames), run_codes(given, frames))
    unit = replace(UNIT, mh=1)

    def moved(asked: QModel, any_weights: bool) -> list[int]:
        ties_upwards = {"MVAU_rtl_0": np.array([[2, 6, 10]])}
        found = moved_thresholds(asked, [unit], {"MVAU_rtl_0": 0}, ties_upwards, any_weights=any_weights)
        return list(found["MVAU_rtl_0"][0])

    assert moved(given, any_weights=False) == [3, 6, 10]
    assert moved(given, any_weights=True) == [3, 6, 11]
    assert moved(table, any_weights=True) == [3, 6, 10], "a table knows the sums of its own network only"


@needs_finn
@pytest.mark.rtl
@pytest.mark.slow
def test_a_network_whose_sums_lie_half_way_is_converted_exactly(tmp_path: Path) -> None:
    path = finn_dense.export_power_of_two(tmp_path / "net.onnx")
    args = {
        "model": str(path),
        "out": str(tmp_path / "plain"),
        "part": PART,
        "clock_mhz": 100.0,
        "target_fps": 1,
    }
    with reporter(quiet=True) as report:
        plain = run_command("finn", "dwell.hls.finn.generate:generate", args, report, environment="finn")
    assert plain["execution"]["largest_difference"] > plain["execution"]["allowed"]
    work = tmp_path / "work"
    work.mkdir()
    network = network_from_file(path, None).reading("net").model
    design = convert(path, network, FinnOptions(PART, "pynq-z2", reload=True), tmp_path / "design", work)
    dut = load_dut(design.path)
    result = climb_bench(
        dut, bench_frames(dut, 1, 1), seed=1, stalls=True, simulators=["verilator"], out=tmp_path / "bench"
    )
    assert result.detail["phases"]["verilator"]["reload_under_load"] > 40  # type: ignore[index]
    assert [note for note in design.notes if note.startswith("thresholds of the network's own rounding")]
