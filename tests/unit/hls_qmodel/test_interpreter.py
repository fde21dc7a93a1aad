"""The interpreter against a slow one in Python integers, over random networks."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slow_network import slow_codes, slow_trace

from dwell.errors import ConfigError
from dwell.hls.qmodel import (
    Dense,
    FixedPoint,
    Overflow,
    Rounding,
    centre_of,
    is_fully_convolutional,
    run_codes,
    run_model,
    stride_of,
    trace_codes,
    value_range,
    window_of,
)
from dwell.hls.qmodel.build import Builder
from dwell.hls.qmodel.random_models import DETECTOR, RandomFamily, random_conv_model

FAMILIES = [
    RandomFamily(),
    RandomFamily(dilations=(1, 2), strides=(1, 2), padding=True, input_channels=2),
    RandomFamily(kernels=(3, 2), channels=(3, 2), input_width=12, weight_width=9, activation_width=8),
    RandomFamily(kernels=(2, 2), channels=(2, 1), input_width=26, weight_width=12, activation_width=14),
]


@pytest.mark.fast
@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(FAMILIES))
def test_every_tensor_equals_the_slow_interpreters(seed: int, family: RandomFamily) -> None:
    model = random_conv_model(seed, family)
    rng = np.random.default_rng(seed)
    entry = model.tensors[model.input]
    codes = rng.integers(entry.type.lo, entry.type.hi + 1, (2, *entry.shape))
    codes[0].flat[::3] = entry.type.hi
    traced = trace_codes(model, codes)
    for index in range(2):
        for name, grid in slow_trace(model, codes[index]).items():
            assert traced[name].shape[1:] == model.tensors[name].shape
            assert np.array_equal(traced[name][index], slow_codes(grid, model.tensors[name])), name


@pytest.mark.fast
@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(FAMILIES))
def test_no_code_leaves_its_interval_or_its_type(seed: int, family: RandomFamily) -> None:
    model = random_conv_model(seed, family)
    entry = model.tensors[model.input]
    rng = np.random.default_rng(seed)
    codes = rng.choice([entry.type.lo, entry.type.hi], (8, *entry.shape))
    for name, values in trace_codes(model, codes).items():
        lo, hi = value_range(model, name)
        assert (values >= lo).all() and (values <= hi).all(), name
        kind = model.tensors[name].type
        assert kind.lo <= values.min() and values.max() <= kind.hi


@pytest.mark.fast
def test_the_interval_of_a_convolution_is_reached() -> None:
    build = Builder()
    at = build.input("x", (3, 3, 1), FixedPoint(False, 8, 8))
    weight = np.array([3, -2, 0, 5, -7, 1, 0, 0, -1]).reshape(3, 3, 1, 1)
    model = build.finish("n", build.conv2d("c", at, weight, 2, [11], 3))
    lo, hi = value_range(model, "c")
    frame = np.where(weight[..., 0] > 0, 255, 0)[None]
    assert run_codes(model, frame).item() == hi[0] == 9 * 255 + 11 * 2 ** (10 - 3)
    assert run_codes(model, 255 - frame).item() == lo[0] == -10 * 255 + 11 * 2 ** (10 - 3)


@pytest.mark.fast
def test_sums_beyond_float64_stay_exact() -> None:
    build = Builder()
    at = build.input("x", (1, 1, 2), FixedPoint(True, 30, 0))
    weight = np.array([2**29 - 1, -(2**29) + 3]).reshape(1, 1, 2, 1)
    model = build.finish("n", build.conv2d("c", at, weight, 0, [1], 0))
    a, b = 2**29 - 5, 2**29 - 1
    want = a * (2**29 - 1) - b * (2**29 - 3) + 1
    assert run_codes(model, np.array([[[[a, b]]]])).item() == want


@pytest.mark.fast
def test_windows_and_whole_frames_give_the_same_decisions() -> None:
    model = random_conv_model(3, DETECTOR)
    rows, columns = window_of(model)
    assert (rows, columns) == (11, 11) and centre_of(model) == (5, 5) and stride_of(model) == (1, 1)
    frame = np.random.default_rng(0).random((1, 20, 17, 1))
    whole = run_model(model, frame)
    assert whole.shape == (1, 10, 7, 1)
    windows = np.lib.stride_tricks.sliding_window_view(frame[0, :, :, 0], (11, 11)).reshape(-1, 11, 11, 1)
    assert np.array_equal(run_model(model, windows).reshape(whole.shape), whole)


@pytest.mark.fast
def test_dense_flatten_and_reshape() -> None:
    build = Builder()
    at = build.input("x", (2, 2, 3), FixedPoint(True, 6, 3), Rounding.RND, Overflow.SAT)
    at = build.flatten("flat", at)
    rng = np.random.default_rng(1)
    at = build.dense("dense", at, rng.integers(-8, 8, (12, 4)), 2, rng.integers(-9, 9, 4), 5)
    at = build.reshape("shape", at, (2, 1, 2))
    model = build.finish("n", at)
    assert not is_fully_convolutional(model) and window_of(model) == (2, 2)
    codes = rng.integers(-32, 32, (5, 2, 2, 3))
    dense = model.nodes[2]
    assert isinstance(dense, Dense)
    want = codes.reshape(5, 12) @ dense.weight + dense.bias
    assert np.array_equal(run_codes(model, codes), want.reshape(5, 2, 1, 2))


@pytest.mark.fast
@pytest.mark.parametrize(
    ("frames", "words"),
    [
        (np.zeros((1, 10, 11, 1)), "H >= 11"),
        (np.zeros((1, 11, 11, 2)), "(N, H, W, 1)"),
        (np.zeros((11, 11, 1)), "frames are (N"),
        (np.full((2, 11, 11, 1), np.nan), "replace NaN"),
        (np.array([["a"]]), ""),
    ],
)
def test_wrong_frames_are_refused(frames: np.ndarray, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        run_model(random_conv_model(0, DETECTOR), frames)
    assert words in caught.value.hint


@pytest.mark.fast
def test_the_place_of_a_nan_is_named() -> None:
    frames = np.zeros((3, 12, 12, 1))
    frames[2, 4, 7, 0] = np.inf
    with pytest.raises(ConfigError, match=r"frame 2 holds inf at \(4, 7, 0\); 1 values"):
        run_model(random_conv_model(0, DETECTOR), frames)


@pytest.mark.fast
@pytest.mark.parametrize(
    "codes", [np.full((1, 11, 11, 1), 256), np.full((1, 11, 11, 1), -1), np.zeros((1, 11, 11, 1))]
)
def test_wrong_codes_are_refused(codes: np.ndarray) -> None:
    with pytest.raises(ConfigError):
        run_codes(random_conv_model(0, DETECTOR), codes)


@pytest.mark.slow
def test_a_million_windows_take_less_than_a_minute() -> None:
    model = random_conv_model(1, DETECTOR)
    codes = np.random.default_rng(0).integers(0, 256, (1_000_000, 11, 11, 1), dtype=np.uint8)
    begin = time.process_time()
    out = run_codes(model, codes)
    assert out.shape == (1_000_000, 1, 1, 1) and np.unique(out).size > 50
    assert time.process_time() - begin < 60
