"""Folded kernels in a stream of frames of any size: codes, exact latency and interval, sizes, breaks, resources."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from rtl_lint import lint
from rtl_streams import decisions, expect_frames, frame_beats, run_beats

from dwell.errors import ConfigError
from dwell.hls.design import Design
from dwell.hls.qmodel import Conv2D, QModel
from dwell.hls.qmodel.random_models import DETECTOR, RandomFamily, random_conv_model
from dwell.hls.rtl import RtlOptions, write_design
from dwell.hls.rtl.folded.folding import reuse_for_clocks
from dwell.hls.rtl.folded.window_kernel import window_matrix
from dwell.hls.synthesis import load_board, synthesize_design
from dwell.sim.core_rung import climb_core
from dwell.sim.dut import load_dut
from dwell.sim.vectors import default_frames

pytestmark = pytest.mark.rtl

Codes = npt.NDArray[np.int64]
WIDEST = 20


def family(per_channel: bool = False) -> RandomFamily:
    return RandomFamily(kernels=(3, 2), channels=(3, 1), input_width=6, per_channel=per_channel)


CASES = {
    "folded": (2, {"conv1": 9, "conv2": 6}, True),
    "one_multiplier": (3, {"conv1": 27, "conv2": 12}, False),
    "adder_graph_first": (4, {"conv2": 4}, False),
    "dsp": (5, {"conv1": 3, "conv2": 3}, True),
}


@pytest.fixture(scope="module", params=CASES)
def design(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Design:
    seed, reuse, per_channel = CASES[request.param]
    options = RtlOptions(
        style="stream", reuse=reuse, max_width=WIDEST, multiplier="dsp" if request.param == "dsp" else "lut"
    )
    return write_design(
        random_conv_model(seed, family(per_channel)), options, tmp_path_factory.mktemp("d") / "d"
    )


def frames(seed: int, *sizes: tuple[int, int]) -> list[Codes]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 64, (*size, 1)) for size in sizes]


@pytest.mark.parametrize(("gap", "stall"), [(0, 0), (30, 90)])
def test_frames_of_different_sizes(design: Design, tmp_path: Path, gap: int, stall: int) -> None:
    parts = frames(gap, (4, 4), (5, WIDEST), (3, 9), (9, 7), (4, 11))
    beats = [beat for part in parts for beat in frame_beats(part, 6)]
    run = run_beats(design, tmp_path, beats, gap_percent=gap, stall_percent=stall, seed=gap + 1)
    codes, marks = decisions(design, run)
    wanted, wanted_marks = expect_frames(design, design.qmodel(), [p for p in parts if p.shape[0] > 3])
    assert not run.faults
    np.testing.assert_array_equal(codes, wanted)
    np.testing.assert_array_equal(marks, wanted_marks)


def test_latency_and_interval_are_those_of_the_design(design: Design, tmp_path: Path) -> None:
    rows, columns = 7, 11
    run = run_beats(design, tmp_path, frame_beats(frames(1, (rows, columns))[0], 6))
    assert set(np.diff(run.in_clocks)) == {design.ii_cycles}
    last_pixels = np.arange(rows * columns).reshape(rows, columns)[3:, 3:].ravel()
    assert set(run.out_clocks - run.in_clocks[last_pixels]) == {design.latency_cycles}


def test_lints(design: Design) -> None:
    lint(design.sources, design.top)


def test_factors_that_do_not_exist_are_listed(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="conv1: 7 is not possible; 1 "):
        write_design(random_conv_model(2, family()), RtlOptions(reuse=7), tmp_path / "d")


def detector(clocks: int) -> tuple[QModel, RtlOptions]:
    """A network of the vacancy detector's shape, folded to a pixel every `clocks` clocks."""
    model = random_conv_model(1, DETECTOR)
    matrices = [window_matrix(node) for node in model.nodes if isinstance(node, Conv2D)]
    return model, RtlOptions(style="stream", reuse=reuse_for_clocks(matrices, clocks), reload=True)


@pytest.mark.slow
def test_the_detector_in_bulk_and_its_size(tmp_path: Path) -> None:
    """II 64 at most, 10,000 windows through the Verilated core, 5,000 LUT and 40 DSP at most by Yosys."""
    model, options = detector(64)
    design = write_design(model, options, tmp_path / "d")
    assert design.ii_cycles <= 64
    dut = load_dut(design.path)
    sent, extremes = default_frames(dut, 10_000, 1)
    result = climb_core(dut, sent, seed=1, stalls=True, extremes=extremes)
    assert result.mismatches == 0 and result.compared >= 10_000
    cells = synthesize_design(design, load_board("pynq-z2")).cells
    assert cells.lut <= 5000 and cells.dsp <= 40
