"""What is sent when nobody gives vectors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dwell.hls.qmodel import Overflow, run_codes, value_range
from dwell.sim.dut import Dut
from dwell.sim.vectors import LEAST_FRAMES, default_frames

pytestmark = pytest.mark.fast


def test_a_full_run_has_its_extremes_and_many_sizes(box3: Dut) -> None:
    frames, extremes = default_frames(box3, 60_000, seed=1)
    total = sum(box3.decisions(f.codes.shape) for f in frames)
    at_limits = [f for f in frames if np.isin(f.codes, (0, 255)).all()]
    assert 60_000 <= total < 61_000
    assert 10_000 <= extremes <= sum(box3.decisions(f.codes.shape) for f in at_limits)
    names = {f.origin for f in frames}
    assert {"all lowest", "all highest", "checkerboard of 1", "signs of score filter 0", "noise"} <= names
    shapes = {f.codes.shape[:2] for f in frames}
    assert len(shapes) > 5
    assert min(h for h, _ in shapes) == 3
    assert {3, 32} <= {w for _, w in shapes}
    assert max(w for _, w in shapes) == 32
    assert any((f.codes == 0).all() for f in frames)
    assert any((f.codes == 255).all() for f in frames)


def test_the_signs_of_the_weights_drive_the_sum_to_its_limits(box3: Dut) -> None:
    frames, _ = default_frames(box3, 30_000, seed=1)
    lo, hi = value_range(box3.model, "score")
    results = [run_codes(box3.model, f.codes[None]) for f in frames]
    assert min(int(r.min()) for r in results) == int(lo[0])
    assert max(int(r.max()) for r in results) == int(hi[0])


def test_same_seed_same_frames(box3: Dut) -> None:
    first, second = default_frames(box3, 3_000, seed=5)[0], default_frames(box3, 3_000, seed=5)[0]
    other = default_frames(box3, 3_000, seed=6)[0]
    assert all(np.array_equal(a.codes, b.codes) for a, b in zip(first, second, strict=True))
    assert not all(np.array_equal(a.codes, b.codes) for a, b in zip(first, other, strict=False))


def test_a_small_run_is_half_extremes(box3: Dut) -> None:
    frames, extremes = default_frames(box3, 100, seed=1)
    assert 50 <= extremes < 100 <= sum(box3.decisions(f.codes.shape) for f in frames)


def test_signed_inputs_reach_both_ends(box3: Dut) -> None:
    model = box3.model
    tensor = model.tensors["x"]
    signed = replace(tensor, type=replace(tensor.type, signed=True, frac=7))
    score = model.tensors["score"]
    wide = replace(score, type=replace(score.type, frac=7, width=14))
    other = replace(
        model,
        tensors={"x": signed, "score": wide},
        nodes=(model.nodes[0], replace(model.nodes[1], bias_frac=7)),
    )
    frames, _ = default_frames(replace(box3, model=other), 20_000, seed=1)
    assert min(int(f.codes.min()) for f in frames) == -128
    assert max(int(f.codes.max()) for f in frames) == 127


def test_frames_of_one_size_are_of_that_size(sums4: Dut) -> None:
    frames, extremes = default_frames(sums4, 25_000, seed=1)
    assert len(frames) == 25_000
    assert extremes == 10_000
    assert {f.codes.shape for f in frames} == {(2, 2, 3)}
    lo, hi = value_range(sums4.model, "sums")
    results = run_codes(sums4.model, np.stack([f.codes for f in frames]))
    assert results.min(axis=0).tolist() == lo.tolist()
    assert results.max(axis=0).tolist() == hi.tolist()


def test_large_or_slow_frames_are_fewer_but_never_none(sums4: Dut) -> None:
    slow = replace(sums4, frame_cycles=10_000_000)
    assert len(default_frames(slow, 1000, seed=1)[0]) == LEAST_FRAMES
    assert len(default_frames(sums4, 1, seed=1)[0]) == LEAST_FRAMES


def test_only_codes_that_the_first_cast_gives_are_sent(box3: Dut) -> None:
    model = box3.model
    tensor = model.tensors["x"]
    score = model.tensors["score"]
    other = replace(
        model,
        tensors={
            "x": replace(tensor, type=replace(tensor.type, signed=True, frac=7)),
            "score": replace(score, type=replace(score.type, frac=7, width=14)),
        },
        nodes=(replace(model.nodes[0], overflow=Overflow.SAT_SYM), replace(model.nodes[1], bias_frac=7)),
    )
    frames, _ = default_frames(replace(box3, model=other), 20_000, seed=1)
    assert min(int(f.codes.min()) for f in frames) == -127
