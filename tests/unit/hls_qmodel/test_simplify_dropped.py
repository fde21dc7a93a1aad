"""What passes over the integer graph take away: idle nodes, channels, bits, steps and rows of tables, side branches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from simplified import SIX, assert_same, constants, dense

from dwell.hls.qmodel import Conv2D, FixedPoint, Overflow, Pooling, QModel, Rounding, Table, run_codes
from dwell.hls.qmodel import nodes as n
from dwell.hls.qmodel.build import Builder
from dwell.hls.qmodel.simplify import (
    Report,
    drop_idle_nodes,
    drop_side_branches,
    narrow_types,
    prune_channels,
    simplify,
    trim_tables,
)

pytestmark = pytest.mark.fast


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
            assert np.array_equal(run_codes(model, every), run_codes(after, every)), (low, high, kind)
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
