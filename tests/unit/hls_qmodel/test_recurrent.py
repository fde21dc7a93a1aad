"""`Recurrent`: its steps, its ranges, its files, and the same graph with a body for each step."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from recurrent_nets import STATE_FRAC, frames_of, lstm, lstm_body, network, rnn, rnn_body
from slow_network import slow_codes, slow_trace

from dwell.errors import ConfigError
from dwell.hls.qmodel import (
    FixedPoint,
    Overflow,
    QModel,
    Recurrent,
    Rounding,
    intervals_of,
    load_model,
    model_digest,
    run_codes,
    save_model,
    trace_codes,
    value_range,
)
from dwell.hls.qmodel.build import Builder
from dwell.hls.qmodel.ranges import steps_interval
from dwell.hls.qmodel.recurrence import unroll_steps
from dwell.hls.qmodel.simplify import simplify

pytestmark = pytest.mark.fast

NETS = [
    pytest.param(make, sequence, id=f"{make.__name__}-{'sequence' if sequence else 'last'}")
    for make in (lstm, rnn)
    for sequence in (False, True)
]


def node_of(model: QModel) -> Recurrent:
    return next(node for node in model.nodes if isinstance(node, Recurrent))


def with_node(model: QModel, node: Recurrent) -> QModel:
    return replace(model, nodes=tuple(node if isinstance(old, Recurrent) else old for old in model.nodes))


@pytest.mark.parametrize(("make", "sequence"), NETS)
def test_a_step_after_the_other(make, sequence) -> None:  # type: ignore[no-untyped-def]
    """Against exact fractions, from the definition."""
    model = make(steps=3, sequence=sequence)
    codes = frames_of(model, 12)
    traced = trace_codes(model, codes)
    for index, frame in enumerate(codes):
        for name, grid in slow_trace(model, frame).items():
            assert np.array_equal(slow_codes(grid, model.tensors[name]), traced[name][index]), name


@pytest.mark.parametrize(("make", "sequence"), NETS)
def test_unrolled_it_gives_the_same_codes(make, sequence) -> None:  # type: ignore[no-untyped-def]
    model = make(sequence=sequence)
    codes = frames_of(model, 400)
    wanted = run_codes(model, codes)
    flat = unroll_steps(model)
    assert not any(isinstance(node, Recurrent) for node in flat.nodes)
    assert np.array_equal(run_codes(flat, codes), wanted)
    assert np.array_equal(run_codes(simplify(flat)[0], codes), wanted)
    assert np.array_equal(run_codes(simplify(model)[0], codes), wanted)
    assert len(np.unique(wanted)) > 50


def test_the_last_step_is_the_end_of_the_sequence() -> None:
    codes = frames_of(lstm(), 100)
    assert np.array_equal(run_codes(lstm(sequence=True), codes)[:, -1], run_codes(lstm(), codes))


def test_a_frame_does_not_know_the_one_before() -> None:
    model = lstm()
    codes = frames_of(model, 60)
    assert np.array_equal(run_codes(model, codes)[::-1], run_codes(model, codes[::-1]))


@pytest.mark.parametrize("make", [lstm, rnn])
def test_no_code_leaves_its_interval_nor_no_state(make) -> None:  # type: ignore[no-untyped-def]
    model = make(steps=12, sequence=True)
    node, codes = node_of(model), frames_of(model, 500)
    lo, hi = value_range(model, "cell")
    found = trace_codes(model, codes)["cell"]
    assert (found >= lo).all() and (found <= hi).all()
    source = model.tensors["x"]
    _, state = steps_interval(node, source.type.frac, intervals_of(model)["x"])
    whole = node.body.tensors[node.body.input].type
    assert whole.lo < state.least and state.greatest < whole.hi
    at = np.tile(node.initial, (len(codes), 1))
    for step in range(codes.shape[1]):
        up = codes[:, step] << (STATE_FRAC - source.type.frac)
        at = run_codes(node.body, np.concatenate([up, at], axis=1))[:, node.results :]
        assert (at >= state.lo).all() and (at <= state.hi).all()


def test_a_state_that_only_shrinks_is_found_to() -> None:
    """The body halves its state: from the declared type down to what the first state reaches."""
    build, wide = Builder(), FixedPoint(True, 12, 4)
    build.input("taken", (2,), wide)
    build.slice("x", "taken", 0, 0, 1)
    build.slice("s", "taken", 0, 1, 2)
    build.cast("half", "s", (FixedPoint(True, 11, 3),), Rounding.TRN_ZERO, Overflow.SAT)
    build.table("less", "half", [[-8, 0, 9]], [[-8, -1, 1, 8]], 4)
    body = build.finish("body", build.concat("given", ("x", "s", "less")))
    outer = Builder()
    outer.input("x", (4, 1), FixedPoint(True, 5, 4))
    outer.recurrent("r", "x", body, [3])
    interval = outer.interval("r")
    assert (interval.lo, interval.hi) == ((-16, 1), (15, 3))


@pytest.mark.parametrize("sequence", [False, True])
def test_it_comes_back_from_its_files(tmp_path: Path, sequence: bool) -> None:
    model = lstm(sequence=sequence)
    save_model(model, tmp_path)
    back = load_model(tmp_path)
    assert (
        model_digest(back) == model_digest(model)
        and node_of(back).body.quantizers == node_of(model).body.quantizers
    )
    codes = frames_of(model, 20)
    assert np.array_equal(run_codes(back, codes), run_codes(model, codes))
    other = with_node(model, replace(node_of(model), initial=node_of(model).initial + 1))
    assert model_digest(other) != model_digest(model)


def test_an_altered_body_is_refused(tmp_path: Path) -> None:
    save_model(lstm(), tmp_path)
    text = (tmp_path / "qmodel.json").read_text()
    (tmp_path / "qmodel.json").write_text(text.replace('"lstm_cell"', '"other_cell"'))
    with pytest.raises(ConfigError, match="digest"):
        load_model(tmp_path)


def _echo(width: int) -> QModel:
    """A body that hands its feature on and keeps its state."""
    build = Builder()
    build.input("taken", (2,), FixedPoint(True, width, STATE_FRAC))
    return build.finish("body", "taken")


WRONG = {
    "no state": (lambda: network(lstm_body(3, 4), 5, np.zeros(0, dtype=int)), "state of shape"),
    "state too long": (
        lambda: network(lstm_body(3, 4), 5, np.zeros(12, dtype=int)),
        "does not|reads|body from",
    ),
    "state too large": (lambda: network(lstm_body(3, 4), 5, np.full(8, 1 << 20)), "its state runs"),
    "input too narrow": (lambda: network(_echo(9), 5, np.zeros(1, dtype=int)), "does not hold the codes"),
}


@pytest.mark.parametrize("case", sorted(WRONG))
def test_what_does_not_fit_is_refused(case: str) -> None:
    make, text = WRONG[case]
    with pytest.raises(ConfigError, match=text):
        make()


def test_steps_inside_steps_are_refused() -> None:
    inner = rnn_body(3, 4, 2)
    build = Builder()
    build.input("taken", (8,), FixedPoint(True, 18, STATE_FRAC))
    build.slice("front", "taken", 0, 0, 6)
    build.slice("s", "taken", 0, 6, 8)
    build.cast("c", "front", (FixedPoint.parse("fixed<6,2>"),), Rounding.TRN, Overflow.WRAP)
    build.reshape("rows", "c", (2, 3))
    build.recurrent("again", "rows", inner, np.zeros(4, dtype=int))
    body = build.finish("body", build.concat("given", ("again", "s")))
    with pytest.raises(ConfigError, match="steps of its own"):
        network(body, 3, np.zeros(2, dtype=int))


def test_fractions_of_a_body_have_to_agree() -> None:
    build = Builder()
    build.input("taken", (4,), FixedPoint(True, 12, 6))
    body = build.finish(
        "body", build.dense("d", "taken", np.ones((4, 3), dtype=int), 2, np.zeros(3, dtype=int), 0)
    )
    outer = Builder()
    outer.input("x", (3, 3), FixedPoint(True, 5, 2))
    with pytest.raises(ConfigError, match="one fraction"):
        outer.recurrent("r", "x", body, [0])
