"""Folded layers in streams of fixed frames: windows, pixels and flattened frames; weights swapped under full load."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from reload_bench import run_reload
from reload_cases import beats_of, frames_of, other_weights, results_of, swaps, which
from rtl_frames import check_frames, check_timing, run_frames
from rtl_lint import lint
from stream_models import ACT, LAYERS, SAME, SIGNED, Net

from dwell.errors import ConfigError
from dwell.hls.design import Design
from dwell.hls.qmodel import QModel
from dwell.hls.reload import plan_writes
from dwell.hls.rtl import RtlOptions, write_design

pytestmark = pytest.mark.rtl


def padded() -> QModel:
    net = Net((5, 6, 2))
    at = net.cast("q1", net.b.relu("r1", net.conv("c1", net.at, 4)), ACT)
    return net.finish(net.cast("q2", net.conv("c2", at, 2)))


def flattened() -> QModel:
    """A convolution, then dense layers on the whole frame."""
    net = Net((4, 8, 2))
    at = net.cast("q1", net.conv("c1", net.at, 2, stride=(2, 2)), ACT)
    at = net.cast("q2", net.dense("d1", net.b.flatten("flat", at), 6))
    return net.finish(net.dense("d2", at, 3))


def pixelwise() -> QModel:
    net = Net((4, 8, 2))
    return net.finish(net.dense("d2", net.cast("q1", net.dense("d1", net.at, 4)), 3))


CASES: dict[str, tuple[QModel, dict[str, int], int]] = {
    "all": (padded(), {"c1": 6, "c2": 36}, 1),
    "one": (padded(), {"c2": 12}, 2),
    "flat": (flattened(), {"c1": 9, "d1": 32, "d2": 6}, 4),
    "dense": (flattened(), {"d1": 8}, 1),
    "pixels": (pixelwise(), {"d1": 2, "d2": 12}, 1),
    "strided": (LAYERS["strided"](), {"c1": 4}, 2),
    "groups": (LAYERS["grouped"](), {"c": 8}, 1),
    "residual": (LAYERS["residual"](), {"cb": 6}, 1),
}


@pytest.mark.parametrize("case", sorted(CASES))
def test_folded(case: str, tmp_path: Path) -> None:
    model, reuse, lanes = CASES[case]
    design = write_design(model, RtlOptions(reuse=reuse, pixels_per_clock=lanes), tmp_path / "design")
    kind, shape = model.tensors[model.input].type, model.tensors[model.input].shape
    frames = np.random.default_rng(1).integers(kind.lo, kind.hi + 1, (8, *shape))
    frames[0], frames[1] = kind.lo, kind.hi
    for gap, stall in ((0, 0), (30, 40), (0, 70)):
        run = run_frames(design, tmp_path, frames, gap_percent=gap, stall_percent=stall, seed=gap + 1)
        check_frames(design, model, run, frames)
        if (gap, stall) == (0, 0):
            check_timing(design, run)
    folded = {
        layer["name"]: layer["kernel"]["reuse"] for layer in design.layers if "reuse" in layer["kernel"]
    }
    assert folded == reuse


def test_a_reuse_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="c1"):
        write_design(padded(), RtlOptions(reuse={"c1": 7}), tmp_path / "d")
    with pytest.raises(ConfigError, match="c9"):
        write_design(padded(), RtlOptions(reuse={"c9": 2}), tmp_path / "d")


def reloadable(folder: Path) -> tuple[Design, QModel]:
    """Padding, a branch, and folded layers whose sums are cast, so that any weights fit."""
    net = Net((6, 8, 1))
    a = net.cast("qa", net.b.relu("ra", net.conv("ca", net.at, 2)), ACT)
    b = net.cast("qb", net.conv("cb", a, 2, padding=SAME))
    model = net.finish(net.cast("qs", net.b.add("sum", b, a), SIGNED))
    return write_design(model, RtlOptions(reuse={"ca": 9, "cb": 6}, reload=True), folder), model


@pytest.mark.parametrize(("gap", "stall"), [(0, 0), (30, 50)])
def test_every_frame_is_of_one_bank(gap: int, stall: int, tmp_path: Path) -> None:
    """Weights swapped twice under full load, with frames overlapping in the windows: bank A or bank B, no mixture."""
    design, first = reloadable(tmp_path / "d")
    models = [first, other_weights(first, 1), other_weights(first, 2)]
    every = len(plan_writes(design, models[1], 1)) * 3 // design.frame_cycles + 4
    frames = frames_of(design, 3 * every + 8, 4)
    run = run_reload(
        design,
        tmp_path,
        beats_of(design, frames),
        swaps(design, models, every, 0),
        gap_percent=gap,
        stall_percent=stall,
    )
    results = results_of(design, run)
    used = [which(got, frame, models) for got, frame in zip(results, frames, strict=True)]
    assert -1 not in used and used == sorted(used) and set(used) == {0, 1, 2}
    assert all(answer == 0 for _, _, answer in run.wrote)


def test_reloadable_designs_lint(tmp_path: Path) -> None:
    design, _ = reloadable(tmp_path / "d")
    lint(design.sources, design.top)
