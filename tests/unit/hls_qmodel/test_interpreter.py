"""The interpreter against a slow one in Python integers, over random networks."""

from __future__ import annotations

import time
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dwell.errors import ConfigError
from dwell.hls.qmodel import Cast, Conv2D, Dense, FixedPoint, Input, Node, Overflow, QModel, Relu, Rounding
from dwell.hls.qmodel.build import Builder
from dwell.hls.qmodel.random_models import DETECTOR, RandomFamily, random_conv_model
from dwell.hls.qmodel.ranges import round_int

Grid = dict[tuple[int, ...], int]


def slow_run(model: QModel, frame: np.ndarray) -> dict[str, Grid]:
    """All tensors of one frame of codes, element by element, in Python integers."""
    grids: dict[str, Grid] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    for node in model.nodes:
        if isinstance(node, Input):
            grids[node.output] = {i: int(frame[i]) for i in np.ndindex(frame.shape)}
            shapes[node.output] = frame.shape
            continue
        grid, shape = grids[node.inputs[0]], shapes[node.inputs[0]]
        frac = model.tensors[node.inputs[0]].type.frac
        grids[node.output], shapes[node.output] = _slow_node(node, grid, shape, frac)
    return grids


def _slow_node(node: Node, grid: Grid, shape: tuple[int, ...], frac: int) -> tuple[Grid, tuple[int, ...]]:
    if isinstance(node, Relu):
        return {i: max(0, v) for i, v in grid.items()}, shape
    if isinstance(node, Cast):
        return {i: _slow_cast(node, v, frac, i[-1]) for i, v in grid.items()}, shape
    if isinstance(node, Dense):
        found = {}
        for index in np.ndindex(*shape[:-1], node.weight.shape[1]):
            terms = [grid[(*index[:-1], c)] * int(node.weight[c, index[-1]]) for c in range(shape[-1])]
            found[index] = _slow_sum(node, terms, frac, index[-1])
        return found, (*shape[:-1], node.weight.shape[1])
    assert isinstance(node, Conv2D)
    kh, kw, cin, cout = node.weight.shape
    top, bottom, left, right = node.padding
    rows = (shape[0] + top + bottom - (kh - 1) * node.dilation[0] - 1) // node.stride[0] + 1
    columns = (shape[1] + left + right - (kw - 1) * node.dilation[1] - 1) // node.stride[1] + 1
    found = {}
    for y, x, k in np.ndindex(rows, columns, cout):
        terms = []
        for i, j, c in np.ndindex(kh, kw, cin):
            at = (
                y * node.stride[0] + i * node.dilation[0] - top,
                x * node.stride[1] + j * node.dilation[1] - left,
            )
            terms.append(grid.get((*at, c), 0) * int(node.weight[i, j, c, k]))
        found[(y, x, k)] = _slow_sum(node, terms, frac, k)
    return found, (rows, columns, cout)


def _slow_sum(node: Conv2D | Dense, terms: list[int], frac: int, channel: int) -> int:
    exact = Fraction(sum(terms)) / Fraction(2) ** (frac + node.weight_type.frac)
    exact += Fraction(int(node.bias[channel])) / Fraction(2) ** node.bias_frac
    scaled = exact * Fraction(2) ** max(frac + node.weight_type.frac, node.bias_frac)
    assert scaled.denominator == 1
    return int(scaled)


def _slow_cast(node: Cast, value: int, frac: int, channel: int) -> int:
    kind = node.types[channel if len(node.types) > 1 else 0]
    if kind.width == 0:
        return 0
    code = round_int(value, frac - kind.frac, node.rounding)
    if node.overflow is Overflow.WRAP:
        code = (code - kind.lo) % 2**kind.width + kind.lo
    elif node.overflow is Overflow.SAT_ZERO:
        code = code if kind.lo <= code <= kind.hi else 0
    else:
        low = -kind.hi if node.overflow is Overflow.SAT_SYM and kind.signed else kind.lo
        code = min(max(code, low), kind.hi)
    return code * 2 ** (node.frac - kind.frac)


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
    traced = model.trace_codes(codes)
    for index in range(2):
        for name, grid in slow_run(model, codes[index]).items():
            assert traced[name].shape[1:] == model.tensors[name].shape
            assert {i: int(traced[name][index][i]) for i in grid} == grid, name


@pytest.mark.fast
@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(FAMILIES))
def test_no_code_leaves_its_interval_or_its_type(seed: int, family: RandomFamily) -> None:
    model = random_conv_model(seed, family)
    entry = model.tensors[model.input]
    rng = np.random.default_rng(seed)
    codes = rng.choice([entry.type.lo, entry.type.hi], (8, *entry.shape))
    for name, values in model.trace_codes(codes).items():
        lo, hi = model.value_range(name)
        assert (values >= lo).all() and (values <= hi).all(), name
        kind = model.tensors[name].type
        assert kind.lo <= values.min() and values.max() <= kind.hi


@pytest.mark.fast
def test_the_interval_of_a_convolution_is_reached() -> None:
    build = Builder()
    at = build.input("x", (3, 3, 1), FixedPoint(False, 8, 8))
    weight = np.array([3, -2, 0, 5, -7, 1, 0, 0, -1]).reshape(3, 3, 1, 1)
    model = build.finish("n", build.conv2d("c", at, weight, 2, [11], 3))
    lo, hi = model.value_range("c")
    frame = np.where(weight[..., 0] > 0, 255, 0)[None]
    assert model.run_codes(frame).item() == hi[0] == 9 * 255 + 11 * 2 ** (10 - 3)
    assert model.run_codes(255 - frame).item() == lo[0] == -10 * 255 + 11 * 2 ** (10 - 3)


@pytest.mark.fast
def test_sums_beyond_float64_stay_exact() -> None:
    build = Builder()
    at = build.input("x", (1, 1, 2), FixedPoint(True, 30, 0))
    weight = np.array([2**29 - 1, -(2**29) + 3]).reshape(1, 1, 2, 1)
    model = build.finish("n", build.conv2d("c", at, weight, 0, [1], 0))
    a, b = 2**29 - 5, 2**29 - 1
    want = a * (2**29 - 1) - b * (2**29 - 3) + 1
    assert model.run_codes(np.array([[[[a, b]]]])).item() == want


@pytest.mark.fast
def test_windows_and_whole_frames_give_the_same_decisions() -> None:
    model = random_conv_model(3, DETECTOR)
    rows, columns = model.window
    assert (rows, columns) == (11, 11) and model.centre == (5, 5) and model.stride == (1, 1)
    frame = np.random.default_rng(0).random((1, 20, 17, 1))
    whole = model.run(frame)
    assert whole.shape == (1, 10, 7, 1)
    windows = np.lib.stride_tricks.sliding_window_view(frame[0, :, :, 0], (11, 11)).reshape(-1, 11, 11, 1)
    assert np.array_equal(model.run(windows).reshape(whole.shape), whole)


@pytest.mark.fast
def test_dense_flatten_and_reshape() -> None:
    build = Builder()
    at = build.input("x", (2, 2, 3), FixedPoint(True, 6, 3), Rounding.RND, Overflow.SAT)
    at = build.flatten("flat", at)
    rng = np.random.default_rng(1)
    at = build.dense("dense", at, rng.integers(-8, 8, (12, 4)), 2, rng.integers(-9, 9, 4), 5)
    at = build.reshape("shape", at, (2, 1, 2))
    model = build.finish("n", at)
    assert not model.fully_convolutional and model.window == (2, 2)
    codes = rng.integers(-32, 32, (5, 2, 2, 3))
    dense = model.nodes[2]
    assert isinstance(dense, Dense)
    want = codes.reshape(5, 12) @ dense.weight + dense.bias
    assert np.array_equal(model.run_codes(codes), want.reshape(5, 2, 1, 2))
    slow = slow_run(
        replace(model, nodes=model.nodes[:1], tensors={"x": model.tensors["x"]}, output="x"), codes[0]
    )
    assert slow["x"][(1, 1, 2)] == codes[0, 1, 1, 2]


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
        random_conv_model(0, DETECTOR).run(frames)
    assert words in caught.value.hint


@pytest.mark.fast
def test_the_place_of_a_nan_is_named() -> None:
    frames = np.zeros((3, 12, 12, 1))
    frames[2, 4, 7, 0] = np.inf
    with pytest.raises(ConfigError, match=r"frame 2 holds inf at \(4, 7, 0\); 1 values"):
        random_conv_model(0, DETECTOR).run(frames)


@pytest.mark.fast
@pytest.mark.parametrize(
    "codes", [np.full((1, 11, 11, 1), 256), np.full((1, 11, 11, 1), -1), np.zeros((1, 11, 11, 1))]
)
def test_wrong_codes_are_refused(codes: np.ndarray) -> None:
    with pytest.raises(ConfigError):
        random_conv_model(0, DETECTOR).run_codes(codes)


@pytest.mark.slow
def test_a_million_windows_take_less_than_a_minute() -> None:
    model = random_conv_model(1, DETECTOR)
    codes = np.random.default_rng(0).integers(0, 256, (1_000_000, 11, 11, 1), dtype=np.uint8)
    begin = time.process_time()
    out = model.run_codes(codes)
    assert out.shape == (1_000_000, 1, 1, 1) and np.unique(out).size > 50
    assert time.process_time() - begin < 60
