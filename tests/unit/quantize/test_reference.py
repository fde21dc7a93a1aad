"""The frames whose codes are kept."""

from __future__ import annotations

import numpy as np
import pytest

from dwell.quantize.reference import reference_frames


@pytest.mark.parametrize("side", [16, 32, 96])
def test_frames_reach_the_ends_of_the_input(side: int) -> None:
    scans = np.random.default_rng(0).integers(40, 120, (5, side, side)).astype(np.float32) / 256
    frames = reference_frames(scans, window=11, seed=3)
    assert frames.shape == (25, 32, 32) and frames.dtype == np.float32
    codes = frames * 256
    assert frames[16].max() == 0 and frames[17].min() == 255 / 256
    assert (codes[:23] == np.rint(codes[:23])).all() and codes[:23].max() <= 255
    assert (codes[23] % 1 == 0.5).any()  # ties
    assert frames[24].min() < 0 and frames[24].max() >= 1  # beyond the input's type


def test_cut_outs_are_of_the_scans_and_of_the_seed() -> None:
    scans = np.random.default_rng(0).random((20, 64, 64)).astype(np.float32)
    first, same, other = (reference_frames(scans, 11, seed) for seed in (1, 1, 2))
    assert np.array_equal(first, same) and not np.array_equal(first, other)
    values = set(scans.ravel().tolist())
    assert set(first[:16].ravel().tolist()) <= values
