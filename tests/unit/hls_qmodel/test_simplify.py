"""Passes over the integer graph: the same codes from every input, and what each one takes away."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dwell.hls.qmodel import Conv2D, Dense, FixedPoint, Overflow, Pooling, QModel, Rounding, Table
from dwell.hls.qmodel import nodes as n
from dwell.hls.qmodel.build import Builder
from dwell.hls.qmodel.factors import signed_digits
from dwell.hls.qmodel.random_models import (
    STYLE_NODES,
    GraphPlan,
    RandomFamily,
    models,
    random_conv_model,
    random_model,
)
from dwell.hls.qmodel.simplify import (
    PASSES,
    Report,
    drop_idle_nodes,
    drop_side_branches,
    fold_affine,
    fold_moves,
    merge_moves,
    narrow_types,
    prune_channels,
    simplify,
    sink_moves,
    tables_to_casts,
    trim_tables,
)

pytestmark = pytest.mark.fast

SIX = FixedPoint(True, 6, 2)
U4 = FixedPoint(False, 4, 0)
STYLES = sorted(STYLE_NODES)


def some_codes(model: QModel, seed: int, count: int) -> np.ndarray:
    """Random input codes, random extremes, and frames at both ends of the input's range."""
    rng = np.random.default_rng(seed)
    lo, hi = (int(v[0]) for v in model.value_range(model.input))
    shape = model.tensors[model.input].shape
    ends = rng.choice([lo, hi], (count, *shape))
    flat = [np.full((1, *shape), v) for v in (lo, hi, min(max(0, lo), hi))]
    return np.concatenate([rng.integers(lo, hi + 1, (count, *shape)), ends, *flat])


def assert_same(before: QModel, after: QModel, seed: int = 0, count: int = 500) -> None:
    """Output codes, what they stand for, and the codes of the quantizers that are left."""
    codes = some_codes(before, seed, count)
    assert np.array_equal(before.run_codes(codes), after.run_codes(codes))
    first, second = before.tensors[before.output], after.tensors[after.output]
    assert replace(second, name=first.name, type=first.type) == first and first.type.frac == second.type.frac
    assert before.tensors[before.input] == after.tensors[after.input]
    old, new, tensors = before.trace_codes(codes[:10]), after.trace_codes(codes[:10]), dict(before.quantizers)
    for source, name in after.quantizers:
        assert np.array_equal(new[name], old[tensors[source]]), source


@pytest.mark.parametrize("style", STYLES)
def test_random_networks_keep_their_function(style: str) -> None:
    @settings(max_examples=40, deadline=None)
    @given(models(GraphPlan(style=style)), st.integers(0, 99))
    def check(model: QModel, seed: int) -> None:
        for one in PASSES:
            after, report = one(model)
            assert_same(model, after, seed)
            assert bool(report) == (after.digest() != model.digest())
        after, _ = simplify(model)
        assert_same(model, after, seed)
        assert simplify(after)[1] == ()

    check()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 5), st.integers(0, 5))
def test_frames_of_any_size_give_the_same(seed: int, rows: int, columns: int) -> None:
    model = random_conv_model(seed, RandomFamily(dilations=(1, 2), strides=(1, 2), input_channels=2))
    after, _ = simplify(model)
    assert after.fully_convolutional
    assert (after.window, after.stride) == (model.window, model.stride)
    shape = (3, model.window[0] + rows, model.window[1] + columns, 2)
    codes = np.random.default_rng(seed).integers(0, 256, shape)
    codes = np.clip(codes, *(int(v[0]) for v in model.value_range(model.input)))
    assert np.array_equal(model.run_codes(codes), after.run_codes(codes))


@pytest.mark.slow
@pytest.mark.parametrize("style", STYLES)
def test_many_random_networks_keep_their_function(style: str) -> None:
    for seed in range(1000):
        model = random_model(seed, GraphPlan(style=style, layers=(1, 8), channels=8))
        assert_same(model, simplify(model)[0], seed, 2000)


def dense(build: Builder, source: str, outputs: int, seed: int = 0, name: str = "dense") -> str:
    rng = np.random.default_rng(seed)
    cin = build.tensor(source).shape[-1]
    weight = rng.integers(1, 8, (cin, outputs)) * rng.choice([-1, 1], (cin, outputs))
    return build.dense(name, source, weight, 2, rng.integers(-9, 9, outputs), 3)


def test_a_transpose_before_a_dense_goes_into_its_weights() -> None:
    build = Builder()
    at = build.input("x", (3, 4, 2), SIX)
    at = build.transpose("t", at, (2, 0, 1))  # a framework with channels first flattens like this
    at = build.relu("r", at)
    at = build.cast("q", at, [FixedPoint(False, 4, 1)], Rounding.RND, Overflow.SAT)
    model = build.finish("n", dense(build, build.flatten("f", at), 3), [("quant", "q")])
    sunk, report = sink_moves(model)
    assert report.counts == {"swaps": 2} and [m.name for m in sunk.nodes] == [
        "x",
        "r",
        "q",
        "t",
        "f",
        "dense",
    ]
    assert sunk.quantizers == model.quantizers  # the codes of `q` are where they were
    assert_same(model, sunk)
    folded, report = fold_moves(sunk)
    assert report.counts == {"nodes": 2}
    assert [type(m).__name__ for m in folded.nodes] == ["Input", "Relu", "Cast", "Flatten", "Dense"]
    assert_same(model, folded)
    assert folded.quantizers == ()  # no tensor has the codes of `q` in their old order


def test_a_dense_after_slices_and_upsampling_takes_them_up() -> None:
    build = Builder()
    at = build.input("x", (2, 3, 2), SIX)
    at = build.upsample("u", at, (2, 2))
    at = build.slice("s", at, 1, 1, 5)
    model = build.finish("n", dense(build, build.flatten("f", at), 2))
    after, report = fold_moves(model)
    assert report.counts == {"nodes": 3} and len(after.nodes) == 3
    assert_same(model, after)


def test_a_vector_moved_about_needs_no_flatten() -> None:
    build = Builder()
    at = build.input("x", (6,), SIX)
    at = build.flatten("f", build.transpose("t", build.reshape("r", at, (2, 3)), (1, 0)))
    model = build.finish("n", dense(build, at, 2))
    after, _ = fold_moves(model)
    assert [type(m).__name__ for m in after.nodes] == ["Input", "Dense"]
    assert_same(model, after)


def test_moves_that_leave_the_order_become_one_reshape() -> None:
    build = Builder()
    at = build.input("x", (1, 5, 1), SIX)
    at = build.flatten("f", build.transpose("t", at, (2, 1, 0)))
    at = build.relu("r", at)
    at = build.transpose("swap", build.reshape("wide", at, (5, 1)), (1, 0))
    model = build.finish("n", at)
    after, report = merge_moves(model)
    assert report.counts == {"nodes": 4}
    assert [type(m).__name__ for m in after.nodes] == ["Input", "Flatten", "Relu", "Reshape"]
    assert after.nodes[-1] == n.Reshape("swap", ("r",), "swap", (1, 5))
    assert_same(model, after)


def test_moves_that_change_the_order_stay() -> None:
    build = Builder()
    at = build.input("x", (2, 3), SIX)
    model = build.finish("n", build.flatten("f", build.transpose("t", at, (1, 0))))
    assert merge_moves(model)[0] is model


@pytest.mark.parametrize(
    ("factor", "goes"),
    [([1], True), ([-1, 2, 0], True), ([-4], True), ([3, 1, 1], False), ([23, 45, 91], False)],
)
def test_factors_go_into_weights_where_that_costs_no_more(factor: list[int], goes: bool) -> None:
    for frac, bias_frac in ((0, 2), (2, -1), (1, 9)):
        build = Builder()
        build.input("x", (8, 8, 2), SIX)
        weight = np.arange(36).reshape(3, 3, 2, 2).repeat(2, 3)[..., :3] * 37 % 63 - 31
        weight[..., 0] = np.sign(weight[..., 0])  # 3 times one costs two digits where the product costs one
        weight[1:, :, :, 0] = 0
        build.conv2d("c", "x", weight, 3, [4, -50, 7], 1, padding=(1, 0, 1, 0))
        build.affine("a", "c", factor, frac, [3] * len(factor), bias_frac)
        model = build.finish("n", build.relu("r", "a"), [("q", "c"), ("p", "a")])
        after, report = fold_affine(model)
        assert report.counts == {"nodes": int(goes)}
        if goes:
            assert [m.name for m in after.nodes] == ["x", "c", "r"] and after.quantizers == (("p", "a"),)
        assert_same(model, after)


def test_a_factor_that_others_see_the_sum_of_stays() -> None:
    build = Builder()
    build.input("x", (3,), SIX)
    dense(build, "x", 2)
    model = build.finish("n", build.concat("both", ["dense", build.affine("a", "dense", [-1], 0, [0], 0)]))
    assert fold_affine(model)[0] is model


def test_signed_digits_are_those_of_the_shortest_sum_of_powers_of_two() -> None:
    fewest = {0: 0}
    reach = {0}
    for digits in range(1, 5):
        reach = {v + s * (1 << p) for v in reach for p in range(9) for s in (1, -1)}
        fewest |= {v: digits for v in reach if v not in fewest}
    codes = np.arange(-128, 129)
    assert signed_digits(codes).tolist() == [fewest[int(v)] for v in codes]


def linear_table(seed: int, bottom: int, top: int, bits: int) -> QModel:
    """What a float scale and a quantizer make of a sum, as a table with a row for each channel."""
    rng = np.random.default_rng(seed)
    kind = FixedPoint(True, bits, 3)
    codes = np.arange(kind.lo, kind.hi + 1)
    found = []
    for _ in range(3):
        slope = np.float32(rng.uniform(0.4, 1.5) * (top - bottom) / len(codes) * rng.choice([-1, 1]))
        levels = np.clip(
            np.rint(slope * codes.astype(np.float32) + np.float32(rng.uniform(bottom, top))), bottom, top
        )
        at = np.flatnonzero(np.diff(levels)) + 1
        found.append((codes[at], np.concatenate([levels[:1], levels[at]]).astype(np.int64)))
    longest = max(len(at) for at, _ in found)
    breaks = [np.pad(at, (0, longest - len(at)), constant_values=kind.hi + 1) for at, _ in found]
    levels = [np.pad(v, (0, longest + 1 - len(v)), mode="edge") for _, v in found]
    build = Builder()
    build.input("x", (3,), kind)
    build.table("t", "x", breaks, levels, 1, scale=0.3, offset=-1.0)
    return build.finish("n", build.affine("end", "t", [-3], 0, [2], 0), [("q", "t")])


@pytest.mark.parametrize(("bottom", "top"), [(0, 31), (-16, 15), (-15, 15), (3, 40), (0, 1)])
def test_tables_of_even_steps_become_a_factor_and_a_cast(bottom: int, top: int) -> None:
    replaced = 0
    for seed in range(12):
        model = linear_table(seed, bottom, top, bits=6 + seed % 5)
        after, report = tables_to_casts(model, min_steps=1)
        every = np.arange(model.value_range("x")[0][0], model.value_range("x")[1][0] + 1)[:, None].repeat(
            3, 1
        )
        assert np.array_equal(model.trace_codes(every)["t"], after.trace_codes(every)["t"])
        assert after.tensors["t"] == model.tensors["t"] and after.quantizers == model.quantizers
        assert_same(model, after)
        replaced += report.counts["tables"]
    assert replaced >= 10  # float32 rounds some into steps that no line goes through


def test_tables_of_uneven_steps_stay() -> None:
    for breaks, levels in ([[-20, -3, 4]], [[0, 1, 2, 1]]), ([[-30, 0, 1]], [[0, 1, 2, 3]]):
        build = Builder()
        build.input("x", (1,), SIX)
        model = build.finish("n", build.table("t", "x", breaks, levels))
        assert tables_to_casts(model, min_steps=1)[0] is model


@pytest.mark.parametrize("shift", range(4))
def test_a_line_is_found_wherever_there_is_one(shift: int) -> None:
    """Every factor and offset of three bits, cut by `shift`: the steps they make are recognised."""
    for factor in (1, 2, 3, 5, 7, -3, -8):
        for offset in (-7, 0, 5):
            codes = np.arange(-32, 32)
            levels = np.clip((factor * codes + offset) >> shift, -8, 7)
            at = np.flatnonzero(np.diff(levels)) + 1
            build = Builder()
            build.input("x", (1,), SIX)
            build.table("t", "x", [codes[at]], [[levels[0], *levels[at]]])
            model = build.finish("n", "t")
            after, report = tables_to_casts(model, min_steps=1)
            assert report.counts == {"tables": 1}
            assert np.array_equal(after.run_codes(codes[:, None])[:, 0], levels)


IDLE: list[Callable[[Builder], str]] = [
    lambda b: b.relu("y", b.relu("r", "x")),
    lambda b: b.clip("y", "x", -32, 31),
    lambda b: b.cast("y", "x", [FixedPoint(True, 9, 2)], Rounding.RND, Overflow.SAT),
    lambda b: b.affine("y", "x", [1], 0, [0], 0),
    lambda b: b.table("y", "x", [range(-31, 32)], [range(-32, 32)], 2),
    lambda b: b.pool2d("y", "x", Pooling.MAX, (1, 1)),
    lambda b: b.pool2d("y", "x", Pooling.SUM, (1, 1)),
    lambda b: b.upsample("y", "x", (1, 1)),
    lambda b: b.transpose("y", "x", (0, 1, 2)),
    lambda b: b.slice("y", "x", 0, 0, 2),
    lambda b: b.reshape("y", "x", (2, 2, 2)),
    lambda b: b.add("y", "x", b.clip("zero", "x", 0, 0)),
]
BUSY: list[Callable[[Builder], str]] = [
    lambda b: b.relu("y", "x"),
    lambda b: b.clip("y", "x", -32, 30),
    lambda b: b.clip("y", "x", -31, 31),
    lambda b: b.cast("y", "x", [FixedPoint(True, 5, 2)], Rounding.TRN, Overflow.SAT),
    lambda b: b.cast("y", "x", [FixedPoint(True, 6, 2)], Rounding.TRN, Overflow.SAT_SYM),
    lambda b: b.cast("y", "x", [FixedPoint(True, 6, 1)], Rounding.TRN, Overflow.SAT),
    lambda b: b.affine("y", "x", [1], 0, [1], 0),
    lambda b: b.table("y", "x", [range(-31, 32)], [[*range(-32, 31), 30]], 2),
    lambda b: b.table("y", "x", [range(-31, 32)], [range(-32, 32)], 3),
    lambda b: b.table("y", "x", [range(-31, 32)], [range(-32, 32)], 2, scale=0.5),
    lambda b: b.pool2d("y", "x", Pooling.MAX, (1, 1), (2, 1)),
    lambda b: b.pool2d("y", "x", Pooling.SUM, (1, 1), shift=1),
    lambda b: b.transpose("y", "x", (1, 0, 2)),
    lambda b: b.add("y", "x", "x"),
]


def framed(last: Callable[[Builder], str]) -> QModel:
    """Input, the node in question and one more, so that neither end of the graph is it."""
    build = Builder()
    build.input("x", (2, 2, 2), SIX)
    at = last(build)
    return build.finish("n", build.affine("end", at, [-3, 5], 1, [1, 2], 0), [("q", at)])


@pytest.mark.parametrize("last", IDLE)
def test_idle_nodes_go(last: Callable[[Builder], str]) -> None:
    model = framed(last)
    after, report = drop_idle_nodes(model)
    assert report and not [m for m in after.nodes if m.name == "y"]
    assert dict(after.quantizers)["q"] in after.tensors
    assert_same(model, after)


@pytest.mark.parametrize("last", BUSY)
def test_busy_nodes_stay(last: Callable[[Builder], str]) -> None:
    model = framed(last)
    assert drop_idle_nodes(model) == (model, Report("drop_idle_nodes", {"nodes": 0}))


def test_the_type_of_the_output_stays_when_its_node_is_idle() -> None:
    build = Builder()
    build.input("x", (3,), SIX)
    dense(build, "x", 2)
    wide = build.tensor("dense").type
    narrow = replace(wide, width=wide.width + 2)
    model = build.finish("n", build.cast("y", "dense", [narrow], Rounding.TRN, Overflow.SAT))
    after, report = drop_idle_nodes(model)
    assert report.counts == {"nodes": 1} and after.output == "dense"
    assert after.tensors[after.output].type == narrow
    assert_same(model, after)


def test_codes_that_are_only_moved_to_the_output_keep_its_type() -> None:
    build = Builder()
    build.input("x", (2, 3), SIX)
    build.append(n.Clip("c", ("x",), "c", 0, 3), FixedPoint(True, 9, 2))
    model = build.finish("n", build.transpose("t", "c", (1, 0)))
    after, _ = simplify(model)
    assert after.tensors["t"].type == model.tensors["t"].type == after.tensors["c"].type
    assert_same(model, after)


def constants() -> QModel:
    """Two layers: of the first's five channels one is constant by its bias, one by a clip, and one unused."""
    build = Builder()
    at = build.input("x", (4, 4, 2), SIX)
    weight = np.random.default_rng(0).integers(1, 8, (1, 1, 2, 5))
    weight[..., 1] = 0
    at = build.conv2d("first", at, weight, 2, [3, 50, -1, 0, 2], 4)
    at = build.relu("r", at)
    types = [FixedPoint(False, 4, 1)] * 5
    types[3] = FixedPoint(False, 0, 1)
    at = build.cast("q", at, types, Rounding.RND, Overflow.SAT)
    at = build.pool2d("p", at, Pooling.SUM, (2, 2))
    weight = np.random.default_rng(1).integers(1, 8, (1, 1, 5, 3))
    weight[:, :, 4] = 0
    at = build.conv2d("second", at, weight, 1, [1, 2, 3], 0)
    return build.finish("n", at, [("in", "x"), ("act", "q")])


def test_constant_and_unused_channels_go() -> None:
    model = constants()
    after, report = prune_channels(model)
    first, second = after.maker("first"), after.maker("second")
    assert isinstance(first, Conv2D) and first.weight.shape == (1, 1, 2, 2)
    assert isinstance(second, Conv2D) and second.weight.shape == (1, 1, 2, 3)
    assert report.counts == {"channels": 3, "constants folded into biases": 1}
    # Channel 1 is 50/16 = 3.125, rounded to 3.0, and 4 of them are summed: 12 times its weights.
    source = model.maker("second")
    assert isinstance(source, Conv2D)
    shift = 2.0**-second.bias_frac
    assert (second.bias * shift == source.bias + 12.0 * source.weight[0, 0, 1] / 2).all()
    assert after.quantizers == (("in", "x"),)  # `q` has lost channels
    assert_same(model, after)


def test_a_constant_before_padding_stays_unless_it_is_zero() -> None:
    for bias, width in ((50, 2), (-50, 1)):
        build = Builder()
        at = build.input("x", (4, 4, 1), SIX)
        at = build.relu("r", build.conv2d("a", at, np.array([1, 0]).reshape(1, 1, 1, 2), 0, [0, bias], 4))
        at = build.conv2d("b", at, np.ones((3, 3, 2, 1), dtype=int), 0, [0], 0, padding=(1, 1, 1, 1))
        model = build.finish("n", at)
        after, _ = prune_channels(model)
        assert after.tensors["a"].shape[-1] == width
        assert_same(model, after)


def test_channels_tied_by_a_join_or_a_flatten_go_together_or_not_at_all() -> None:
    for dead in (True, False):
        build = Builder()
        at = build.input("x", (2, 2, 2), SIX)
        one = build.conv2d("one", at, np.array([[1, 0], [2, 0]]).reshape(1, 1, 2, 2), 0, [0, 3], 0)
        other = np.array([[1, 0], [2, 0]]) if dead else np.array([[1, 1], [2, 2]])
        two = build.conv2d("two", at, other.reshape(1, 1, 2, 2), 0, [0, 4], 0)
        at = build.flatten("f", build.add("sum", one, two))
        model = build.finish("n", dense(build, at, 3))
        after, _ = prune_channels(model)
        assert after.tensors["sum"].shape[-1] == (1 if dead else 2)
        assert_same(model, after)


def test_an_input_channel_or_an_output_is_never_pruned() -> None:
    build = Builder()
    build.input("x", (3,), SIX)
    model = build.finish("n", build.dense("d", "x", np.array([[0, 1], [0, 0], [0, 2]]), 0, [5, 0], 0))
    assert prune_channels(model)[0] is model


@pytest.mark.parametrize("rounding", list(Rounding))
@pytest.mark.parametrize("overflow", list(Overflow))
def test_casts_are_narrowed_without_changing_a_code(rounding: Rounding, overflow: Overflow) -> None:
    saved = 0
    for low, high in [(0, 50), (-3, 3), (-32, -1), (0, 0), (-7, 31), (5, 6), (-20, 60), (0, 63)]:
        for kind in (
            FixedPoint(True, 6, 1),
            FixedPoint(True, 4, 1),
            FixedPoint(False, 4, 0),
            FixedPoint(True, 9, 4),
        ):
            part = Builder()
            part.input("x", (1,), FixedPoint(True, 8, 2))
            part.clip("c", "x", low, high)
            part.cast("y", "c", [kind], rounding, overflow)
            model = part.finish("n", part.affine("end", "y", [1], 0, [1], 0))
            after, report = narrow_types(model)
            every = np.arange(-128, 128)[:, None]
            assert np.array_equal(model.run_codes(every), after.run_codes(every)), (low, high, kind)
            saved += report.counts["bits of casts"]
    assert saved > 10


def test_tensors_and_weights_are_narrowed_and_the_ends_are_not() -> None:
    model = constants()
    wide = {
        name: replace(t, type=replace(t.type, width=t.type.width + 3)) if name in ("r", "first") else t
        for name, t in model.tensors.items()
    }
    nodes = [
        replace(m, weight_type=FixedPoint(True, 20, m.weight_type.frac)) if isinstance(m, Conv2D) else m
        for m in model.nodes
    ]
    loose = replace(model, nodes=tuple(nodes), tensors=wide)
    after, report = narrow_types(loose)
    assert after.tensors["r"].type == model.tensors["r"].type
    assert after.tensors["second"].type == model.tensors["second"].type
    assert all(m.weight_type.width <= 4 for m in after.nodes if isinstance(m, Conv2D))
    assert set(report.counts) == {"bits of tensors", "bits of casts", "bits of weights"} and report
    assert_same(loose, after)


def test_steps_of_a_table_that_nothing_reaches_go() -> None:
    build = Builder()
    build.input("x", (2,), FixedPoint(False, 4, 0))
    breaks = [[-5, 0, 3, 3, 8, 15, 16], [-1, 2, 4, 6, 8, 10, 12]]
    levels = [[9, 9, 1, 7, 2, 2, 3, 8], [0, 5, 5, 5, 5, 5, 6, 6]]
    build.table("t", "x", breaks, levels)
    model = build.finish("n", build.affine("end", "t", [1], 0, [1], 0))
    after, report = trim_tables(model)
    table = after.maker("t")
    assert isinstance(table, Table) and report.counts == {"steps": 10, "rows": 0}
    # Channel 0 is 1 below 3, 2 from there on, 3 at 15 alone; channel 1 steps at 10 only.
    assert table.breaks.tolist() == [[3, 15], [10, 16]]
    assert table.levels.tolist() == [[1, 2, 3], [5, 6, 6]]
    assert_same(model, after)


def test_equal_rows_of_a_table_become_one() -> None:
    build = Builder()
    build.input("x", (3,), FixedPoint(False, 4, 0))
    model = build.finish("n", build.table("t", "x", [[4]] * 3, [[1, 2]] * 3))
    after, report = trim_tables(model)
    assert report.counts == {"steps": 2, "rows": 2}
    assert_same(model, after)


def test_watched_side_branches_go() -> None:
    build = Builder()
    build.input("x", (2,), SIX)
    build.relu("side", "x")
    build.clip("further", "side", 0, 3)
    model = build.finish("n", build.clip("y", "x", -5, 5), [("a", "x"), ("b", "further")])
    after, report = drop_side_branches(model)
    assert report.counts == {"nodes": 2} and after.quantizers == (("a", "x"),)
    assert_same(model, after)


def test_reports_say_what_was_done() -> None:
    assert str(Report("prune_channels", {"channels": 2, "others": 0})) == "prune_channels: 2 channels"
    assert str(Report("trim_tables", {"steps": 0})) == "trim_tables: nothing to do"
    _, reports = simplify(constants())
    assert reports[0].name == "prune_channels" and all(reports)


def test_a_wrong_pass_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison above fails when constants are dropped without going into a bias."""
    from dwell.hls.qmodel import channels

    cut = channels._cut_linear

    def forgetful(model: QModel, node: Conv2D | Dense, inputs: np.ndarray, outputs: np.ndarray) -> n.Node:
        done = cut(model, node, inputs, outputs)
        assert isinstance(done, Conv2D | Dense)
        return replace(done, bias=node.bias[outputs], bias_frac=node.bias_frac)

    monkeypatch.setattr(channels, "_cut_linear", forgetful)
    model = constants()
    with pytest.raises(AssertionError):
        assert_same(model, prune_channels(model)[0])
