"""Every node against a slow reference in exact fractions and against PyTorch; intervals; planted faults."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from single_nodes import CODES, one
from slow_network import slow_codes, slow_trace

from dwell.errors import ConfigError
from dwell.hls.qmodel import (
    FixedPoint,
    Overflow,
    Pooling,
    QModel,
    Rounding,
    is_fully_convolutional,
    model_digest,
    quantize_input,
    run_codes,
    run_model,
    stride_of,
    trace_codes,
    value_range,
    window_of,
)
from dwell.hls.qmodel import nodes as n
from dwell.hls.qmodel.build import Builder
from dwell.hls.qmodel.random_models import STYLE_NODES, GraphPlan, models, random_model

pytestmark = pytest.mark.fast


STYLES = sorted(STYLE_NODES)


def some_codes(model: QModel, seed: int, count: int) -> np.ndarray:
    """Random input codes, and frames at both ends of the input's range."""
    rng = np.random.default_rng(seed)
    lo, hi = (int(v[0]) for v in value_range(model, model.input))
    shape = model.tensors[model.input].shape
    ends = rng.choice([lo, hi], (count, *shape))
    return np.concatenate(
        [rng.integers(lo, hi + 1, (count, *shape)), ends, np.full((1, *shape), lo), np.full((1, *shape), hi)]
    )


def assert_as_slow(model: QModel, codes: np.ndarray) -> None:
    traced = trace_codes(model, codes)
    for index, frame in enumerate(codes):
        for name, grid in slow_trace(model, frame).items():
            assert np.array_equal(slow_codes(grid, model.tensors[name]), traced[name][index]), name
    assert np.array_equal(run_codes(model, codes), traced[model.output])


@pytest.mark.parametrize("style", STYLES)
def test_every_tensor_of_random_networks_is_as_defined(style: str) -> None:
    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(models(GraphPlan(style=style, frame=5, layers=(1, 4))), st.integers(0, 100))
    def check(model: QModel, seed: int) -> None:
        assert_as_slow(model, some_codes(model, seed, 1))

    check()


def test_the_random_networks_hold_every_node() -> None:
    seen = {
        type(node) for seed in range(150) for node in random_model(seed, GraphPlan(style="unrolled")).nodes
    }
    assert seen == {n.Input, *STYLE_NODES["unrolled"]}


@pytest.mark.parametrize("style", STYLES)
def test_styles_hold_their_nodes_only(style: str) -> None:
    for seed in range(60):
        model = random_model(seed, GraphPlan(style=style))
        assert {type(node) for node in model.nodes} <= {n.Input, *STYLE_NODES[style]}
        again = random_model(np.random.default_rng(seed), GraphPlan(style=style))
        assert model_digest(replace(again, name=model.name)) == model_digest(model)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(STYLES))
def test_no_code_leaves_its_interval(seed: int, style: str) -> None:
    model = random_model(seed, GraphPlan(style=style))
    for name, values in trace_codes(model, some_codes(model, seed, 200)).items():
        lo, hi = value_range(model, name)
        assert (values >= lo).all() and (values <= hi).all(), name
        assert values.shape[1:] == model.tensors[name].shape
        kind = model.tensors[name].type
        assert kind.lo <= values.min() and values.max() <= kind.hi


ELEMENTWISE: list[tuple[str, dict[str, Any]]] = [
    ("relu", {}),
    ("affine", {"weight": [-3], "weight_frac": 1, "bias": [5], "bias_frac": 4}),
    ("leaky_relu", {"slope": [-3], "slope_frac": 2}),
    ("leaky_relu", {"slope": [3], "slope_frac": 5}),
    ("clip", {"lo": -7, "hi": 3}),
    ("table", {"breaks": [[-20, -3, -3, 4, 15, 16]], "levels": [[9, 2, 60, -7, 3, 5, 99]], "frac": 1}),
    ("cast", {"types": [FixedPoint(True, 3, 1)], "rounding": Rounding.RND, "overflow": Overflow.WRAP}),
    ("cast", {"types": [FixedPoint(True, 3, 1)], "rounding": Rounding.TRN, "overflow": Overflow.SAT_SYM}),
]


@pytest.mark.parametrize(("kind", "given_"), ELEMENTWISE)
def test_intervals_of_single_elements_are_reached(kind: str, given_: dict[str, Any]) -> None:
    model = one(kind, CODES, **given_)
    every = np.arange(CODES.lo, CODES.hi + 1)[:, None]
    assert_as_slow(model, every)
    out = run_codes(model, every)
    lo, hi = value_range(model, "y")
    assert (out.min(), out.max()) == (lo[0], hi[0])


def test_table_levels_that_no_code_takes_do_not_widen_the_type() -> None:
    # The first level lies below every code, the third between two equal breaks, the last above every code.
    model = one("table", FixedPoint(False, 3, 0), breaks=[[0, 4, 4, 8]], levels=[[99, 1, 99, 2, 99]])
    assert model.tensors["y"].type == FixedPoint(False, 2, 0)
    assert run_codes(model, np.arange(8)[:, None])[:, 0].tolist() == [1, 1, 1, 1, 2, 2, 2, 2]


def test_of_equal_codes_the_lowest_index_comes_first() -> None:
    model = one("topk", CODES, 5, k=3)
    got = run_codes(model, np.array([[3, 7, 7, -1, 7], [-16, -16, -16, -16, -16], [1, 2, 3, 4, 5]]))
    assert got.tolist() == [[1, 2, 4], [0, 1, 2], [4, 3, 2]]
    assert model.tensors["y"].type == FixedPoint(False, 3, 0)


def test_softmax_is_near_the_real_one() -> None:
    table = np.round(np.exp(-np.arange(32) / 4) * 4096).astype(np.int64)
    model = one("softmax", CODES, 4, exponentials=table, frac=10)
    rng = np.random.default_rng(0)
    codes = rng.integers(CODES.lo, CODES.hi + 1, (2000, 4))
    powers = np.exp(model.to_real("x", codes))
    real = powers / powers.sum(axis=1, keepdims=True)
    assert np.abs(model.to_real("y", run_codes(model, codes)) - real).max() < 2 / 1024
    # One class far ahead: its share saturates at the highest code, the others get nothing.
    assert run_codes(model, np.array([[15, -16, -16, -16]]))[0, 0] == 1022
    sharp = one("softmax", CODES, 2, exponentials=[1, 0], frac=10)
    assert run_codes(sharp, np.array([[3, 1], [2, 2]])).tolist() == [[1023, 0], [512, 512]]


def test_convolutions_and_pools_are_pytorchs() -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(2)
    for groups, stride, dilation, pad in [(1, 1, 1, 0), (2, 2, 1, 1), (4, 1, 2, 2), (4, 2, 1, 1)]:
        build = Builder()
        build.input("x", (9, 11, 4), FixedPoint(True, 8, 0))
        weight = rng.integers(-8, 8, (3, 2, 4 // groups, 8))
        bias = rng.integers(-99, 99, 8)
        build.conv2d(
            "c",
            "x",
            weight,
            0,
            bias,
            0,
            stride=(stride, stride),
            dilation=(dilation, dilation),
            padding=(pad,) * 4,
            groups=groups,
        )
        build.pool2d("m", "c", Pooling.MAX, (2, 2), (2, 2), (1, 1, 1, 1))
        build.pool2d("s", "c", Pooling.SUM, (2, 2), (1, 1), (1, 1, 1, 1), shift=2)
        build.concat(
            "both",
            [
                "m",
                build.slice(
                    "cut",
                    build.slice("rows", "s", 0, 0, build.tensor("m").shape[0]),
                    1,
                    0,
                    build.tensor("m").shape[1],
                ),
            ],
        )
        model = build.finish("n", "both")
        codes = rng.integers(-128, 128, (3, 9, 11, 4))
        traced = trace_codes(model, codes)
        x = torch.from_numpy(codes.transpose(0, 3, 1, 2).astype(np.float64))
        w = torch.from_numpy(weight.transpose(3, 2, 0, 1).astype(np.float64))
        b = torch.from_numpy(bias.astype(np.float64))
        y = torch.nn.functional.conv2d(x, w, b, stride, pad, dilation, groups)
        assert np.array_equal(traced["c"], y.numpy().transpose(0, 2, 3, 1))
        assert np.array_equal(
            traced["m"], torch.nn.functional.max_pool2d(y, 2, 2, 1).numpy().transpose(0, 2, 3, 1)
        )
        mean = torch.nn.functional.avg_pool2d(y, 2, 1, 1).numpy().transpose(0, 2, 3, 1)
        assert np.array_equal(model.to_real("s", traced["s"]), mean)


def residual(padding: tuple[int, int, int, int], stride: int = 1) -> QModel:
    build = Builder()
    at = build.input("x", (8, 8, 2), FixedPoint(False, 4, 0))
    rng = np.random.default_rng(0)
    conv = build.conv2d(
        "c", at, rng.integers(-3, 4, (3, 3, 2, 2)), 0, [0, 1], 0, padding=padding, stride=(stride, stride)
    )
    other = at if stride == 1 else build.pool2d("p", at, Pooling.MAX, (1, 1), (stride, stride))
    return build.finish("n", build.relu("r", build.add("a", conv, other)), [("c", "c")])


def test_a_residual_takes_frames_of_any_size() -> None:
    model = residual((1, 1, 1, 1))
    assert is_fully_convolutional(model) and window_of(model) == (3, 3) and stride_of(model) == (1, 1)
    assert not model.is_chain and [r.name for r in model.readers("x")] == ["c", "a"]
    assert model.maker("a").name == "a" and model.order() == model.nodes
    frames = np.random.default_rng(0).integers(0, 16, (2, 13, 5, 2))
    assert_as_slow(model, frames)
    strided = residual((1, 1, 1, 1), 2)
    assert is_fully_convolutional(strided) and stride_of(strided) == (2, 2)
    assert_as_slow(strided, np.random.default_rng(0).integers(0, 16, (2, 7, 6, 2)))


def test_branches_that_cut_the_frame_differently_fix_its_size() -> None:
    # On 8 x 8 both branches give 4 x 4: on 9 x 9, (9 - 1) // 2 + 1 = 5 and (9 - 2) // 2 + 1 = 4 differ.
    build = Builder()
    at = build.input("x", (8, 8, 1), FixedPoint(False, 4, 0))
    first = build.pool2d("p", at, Pooling.MAX, (1, 1), (2, 2))
    second = build.pool2d("q", at, Pooling.MAX, (2, 2), (2, 2))
    model = build.finish("n", build.add("a", first, second))
    assert not is_fully_convolutional(model) and window_of(model) == (8, 8)
    with pytest.raises(ConfigError, match="frames of shape"):
        run_codes(model, np.zeros((1, 9, 9, 1), dtype=int))


def test_pools_count_as_windows() -> None:
    build = Builder()
    at = build.input("x", (16, 16, 1), FixedPoint(False, 4, 0))
    at = build.conv2d("c", at, np.ones((3, 3, 1, 1), dtype=int), 0, [0], 0)
    at = build.pool2d("p", at, Pooling.SUM, (2, 3))
    at = build.conv2d("d", at, np.ones((2, 2, 1, 1), dtype=int), 0, [0], 0)
    model = build.finish("n", at)
    assert window_of(model) == (3 + 1 + 2, 3 + 2 + 3) and stride_of(model) == (2, 3) and model.is_chain
    assert run_codes(model, np.ones((1, 6, 8, 1), dtype=int)).item() == 9 * 6 * 4


def test_side_branches_that_only_quantizers_watch_are_allowed_and_left_out_of_the_order() -> None:
    build = Builder()
    build.input("x", (3,), CODES)
    build.relu("watched", "x")
    model = build.finish("n", build.clip("y", "x", -3, 3), [("q", "watched")])
    assert [node.name for node in model.order()] == ["x", "y"] and not model.is_chain
    assert set(trace_codes(model, np.zeros((1, 3), dtype=int))) == {"x", "watched", "y"}
    assert run_codes(model, np.array([[9, -9, 1]])).tolist() == [[3, -3, 1]]


def test_scales_and_offsets_per_channel_mean_what_they_say() -> None:
    build = Builder()
    build.scaled(build.input("x", (2,), FixedPoint(False, 8, 0), Rounding.RND), (0.5, 0.1), (1.0, -2.0))
    build.cast("y", "x", [FixedPoint(False, 8, 0)], Rounding.RND, Overflow.SAT)
    model = build.finish("n", "y")
    x = np.array([[1.0, -2.0], [3.5, 0.0], [200.0, 23.4]])
    assert quantize_input(model, x).tolist() == [[0, 0], [5, 20], [255, 254]]
    assert np.allclose(model.to_real("y", run_model(model, x)), [[1, -2], [3.5, 0], [128.5, 23.4]])
    assert model.tensors["y"].scale == (0.5, 0.1) and model.tensors["y"].offset == (1.0, -2.0)


def test_float32_frames_are_divided_as_their_framework_does() -> None:
    build = Builder()
    build.scaled(build.input("x", (1,), FixedPoint(True, 8, 0), Rounding.RND_CONV), 0.1)
    model = build.finish("n", build.relu("y", "x"))
    x = np.linspace(-3, 3, 1000, dtype=np.float32)[:, None]
    assert np.array_equal(quantize_input(model, x), np.rint(x / np.float32(0.1)).astype(int))


def planted(model: QModel, name: str, **change: Any) -> QModel:
    nodes = tuple(replace(node, **change) if node.name == name else node for node in model.nodes)
    return replace(model, nodes=nodes)


@pytest.mark.parametrize(
    ("kind", "given_", "change"),
    [
        ("affine", {"weight": [3], "weight_frac": 1, "bias": [5], "bias_frac": 4}, {"bias": np.array([4])}),
        ("leaky_relu", {"slope": [3], "slope_frac": 2}, {"slope": np.array([2])}),
        ("clip", {"lo": -7, "hi": 3}, {"lo": -6}),
        ("table", {"breaks": [[0]], "levels": [[1, 2]]}, {"breaks": np.array([[1]])}),
        ("table", {"breaks": [[0]], "levels": [[1, 2]]}, {"levels": np.array([[1, 3]])}),
    ],
)
def test_one_code_of_difference_is_seen(kind: str, given_: dict[str, Any], change: dict[str, Any]) -> None:
    model = one(kind, CODES, **given_)
    wide = replace(model.tensors["y"], type=replace(model.tensors["y"].type, width=20))
    model = replace(model, tensors={**model.tensors, "y": wide})
    every = np.arange(CODES.lo, CODES.hi + 1)[:, None]
    assert not np.array_equal(run_codes(planted(model, "y", **change), every), run_codes(model, every))


def test_wide_sums_stay_exact_in_every_group() -> None:
    build = Builder()
    build.input("x", (1, 1, 4), FixedPoint(True, 30, 0), overflow=Overflow.SAT_SYM)
    weight = np.array([2**29 - 1, -(2**29) + 3, 5, 7]).reshape(1, 1, 2, 2)
    model = build.finish("n", build.conv2d("c", "x", weight, 0, [1, -1], 1, groups=2))
    assert_as_slow(model, some_codes(model, 0, 3))
