"""Folded dense networks in simulation: codes, latency and pace as predicted, pauses, broken frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from folded_nets import dense_net
from rtl_frames import check_frames, run_frames, run_tensor_beats, tensor_beats
from rtl_lint import lint

from dwell.hls.design import Design
from dwell.hls.qmodel import FixedPoint, Overflow, QModel, Rounding
from dwell.hls.qmodel.build import Builder
from dwell.hls.rtl import RtlOptions, write_design

pytestmark = pytest.mark.rtl

Codes = np.ndarray


def inputs(model: QModel, count: int, seed: int) -> Codes:
    kind, shape = model.tensors[model.input].type, model.tensors[model.input].shape
    x = np.random.default_rng(seed).integers(kind.lo, kind.hi + 1, (count, *shape))
    x[0], x[1] = kind.lo, kind.hi
    return x


def check_pace(design: Design, x: Codes, folder: Path) -> None:
    """Frames back to back: exact codes, and the largest latency and the pace are the predicted ones."""
    run = run_frames(design, folder, list(x))
    check_frames(design, design.qmodel(), run, x)
    beats, results = design.input.line_beats, design.output.line_beats
    assert set(np.diff(run.out_clocks[::results])[-8:]) == {design.frame_cycles}
    late = run.out_clocks[results - 1 :: results] - run.in_clocks[beats - 1 :: beats]
    assert int(late.max()) == design.latency_cycles


CASES = {
    "small": ((16, 8, 8, 5), RtlOptions(style="folded", reuse=4), "plain"),
    "logic": ((24, 12, 6), RtlOptions(style="folded", reuse=6, multiplier="lut"), "plain"),
    "per_channel": ((24, 12, 6), RtlOptions(style="folded", reuse=12), "per_channel"),
    "one_multiplier": ((12, 6, 3), RtlOptions(style="folded", reuse={"dense0": 72, "dense1": 18}), "plain"),
    "adder_graph_between": (
        (12, 8, 8, 4), RtlOptions(style="folded", reuse={"dense0": 8, "dense2": 32}), "plain"
    ),
    "tables": ((16, 12, 10), RtlOptions(style="folded", reuse={"dense0": 48, "dense1": 40}), "table"),
    "slow_end": ((24, 12, 6), RtlOptions(style="folded", reuse={"dense0": 2, "dense1": 72}), "plain"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_exact_at_the_predicted_pace(case: str, tmp_path: Path) -> None:
    sizes, options, kind = CASES[case]
    model = dense_net(sizes, seed=3, per_channel=kind == "per_channel", table=kind == "table")
    design = write_design(model, options, tmp_path / "d")
    check_pace(design, inputs(model, 80, 1), tmp_path)
    x = inputs(model, 25, 2)
    run = run_frames(design, tmp_path, list(x), gap_percent=30, stall_percent=50, seed=5)
    check_frames(design, model, run, x)


@pytest.mark.parametrize("case", ["small", "tables", "adder_graph_between"])
def test_lints(case: str, tmp_path: Path) -> None:
    sizes, options, kind = CASES[case]
    design = write_design(dense_net(sizes, table=kind == "table"), options, tmp_path / "d")
    lint(design.sources, design.top)


def test_argmax_and_several_vectors_a_frame(tmp_path: Path) -> None:
    """A frame of three vectors, an element-wise node before the first layer, a softmaxed argmax after the last."""
    rng = np.random.default_rng(1)
    build = Builder()
    at = build.input("x", (3, 8), FixedPoint(True, 5, 2))
    at = build.cast("enter", at, [FixedPoint(True, 3, 1)], Rounding.RND, Overflow.SAT)
    at = build.dense("dense", at, rng.integers(-7, 8, (8, 6)), 1, rng.integers(-9, 9, 6), 2)
    at = build.topk("best", at, 1)
    model = build.finish("net", at)
    design = write_design(model, RtlOptions(style="folded", reuse=12), tmp_path / "d")
    lint(design.sources, design.top)
    check_pace(design, inputs(model, 80, 1), tmp_path)


@pytest.mark.parametrize("cut", [1, 3])
def test_a_frame_that_breaks_off_is_completed_with_zeros(cut: int, tmp_path: Path) -> None:
    model = dense_net((16, 8, 4))
    design = write_design(model, RtlOptions(style="folded", reuse=8), tmp_path / "d")
    x = inputs(model, 4, 3)
    port = design.input
    stray = [(False, False, 5), (False, True, 6)]
    beats = stray + tensor_beats(design, x[2])[:cut] + tensor_beats(design, x[3])
    run = run_tensor_beats(design, tmp_path, beats, stall_percent=20, seed=2)
    filled = x[2].copy().reshape(-1)
    filled[cut * port.elements :] = 0
    check_frames(design, model, run, np.stack([filled.reshape(x[2].shape), x[3]]))


def test_branches_are_folded_as_a_stream(tmp_path: Path) -> None:
    """A residual block of dense layers."""
    rng = np.random.default_rng(1)
    build = Builder()

    def layer(name: str, at: str, size: int) -> str:
        weight = rng.integers(-8, 8, (build.tensor(at).shape[-1], size))
        at = build.relu(f"{name}_relu", build.dense(name, at, weight, 2, rng.integers(-9, 10, size), 3))
        return build.cast(f"{name}_cast", at, [FixedPoint(False, 5, 1)], Rounding.RND, Overflow.SAT)

    first = layer("first", build.input("x", (12,), FixedPoint(True, 5, 2)), 8)
    total = build.add("total", layer("second", first, 8), first)
    model = build.finish("net", layer("third", total, 4))
    chosen = RtlOptions(style="folded", reuse={"first": 12, "second": 8, "third": 4})
    design = write_design(model, chosen, tmp_path / "d")
    assert [entry["kernel"]["reuse"] for entry in design.layers if "reuse" in entry["kernel"]] == [12, 8, 4]
    x = inputs(model, 20, 1)
    run = run_frames(design, tmp_path, list(x), gap_percent=20, stall_percent=40, seed=3)
    check_frames(design, model, run, x)
