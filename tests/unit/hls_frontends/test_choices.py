"""From what a user asks to the options of a back end, the board's size, and what comes out."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from recurrent_nets import lstm

from dwell.errors import ConfigError, ResourceError
from dwell.hls.choices import choose_io, choose_style, layers, parse_reuse, rtl_options
from dwell.hls.fit import check_fit, estimate
from dwell.hls.frontends.outputs import with_output
from dwell.hls.qmodel import FixedPoint, QModel, run_model, trace_model
from dwell.hls.qmodel.build import Builder
from dwell.hls.rtl.options import RtlOptions

pytestmark = pytest.mark.fast
Make = Callable[..., Any]


def dense(*sizes: int, bits: int = 6, scale: float = 1.0) -> QModel:
    rng = np.random.default_rng(0)
    build = Builder()
    at = build.input("input", (sizes[0],), FixedPoint(True, 8, 4))
    for index, (cin, cout) in enumerate(itertools.pairwise(sizes), start=1):
        weight = rng.integers(-(1 << (bits - 1)), 1 << (bits - 1), (cin, cout))
        at = build.dense(f"dense{index}", at, weight, 4, np.zeros(cout, int), 0)
        if index < len(sizes) - 1:
            at = build.relu(f"relu{index}", at)
    return build.finish("n", build.scaled(at, scale))


def frames() -> QModel:
    build = Builder()
    at = build.input("input", (8, 8, 1), FixedPoint(False, 8, 8))
    return build.finish("n", build.conv2d("conv1", at, np.ones((3, 3, 1, 2), int), 0, np.zeros(2, int), 0))


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (None, 1),
        ("4", 4),
        (8, 8),
        ("dense1=16", {"dense1": 16}),
        (" a = 2 , b=3", {"a": 2, "b": 3}),
        ({"a": 2}, {"a": 2}),
    ],
)
def test_reuse_is_a_number_or_a_number_for_each_layer(given: Any, found: Any) -> None:
    assert parse_reuse(given) == found


@pytest.mark.parametrize("given", ["", "0", "-1", "2.5", "a=", "=2", "a=2,a=3", "a=0", 0, {"a": 0}, "a=2,b"])
def test_what_is_no_reuse_is_refused(given: Any) -> None:
    with pytest.raises(ConfigError, match="no reuse factor") as caught:
        parse_reuse(given)
    assert "--reuse dense1=16,dense2=8" in caught.value.hint


def test_the_style_follows_the_network_and_what_is_asked() -> None:
    assert choose_io(frames(), "auto") == "stream" and choose_io(dense(4, 3), "auto") == "parallel"
    assert choose_io(frames(), "parallel") == "parallel"
    assert choose_style(dense(4, 3), "parallel", None, 1) == "unrolled"
    assert choose_style(dense(4, 3), "parallel", None, {"dense1": 2}) == "folded"
    assert choose_style(frames(), "stream", None, 4) == "stream"
    assert layers(dense(4, 3, 2)) == ("dense1", "dense2")


def test_options_arrive() -> None:
    args = {"io": "stream", "reuse": "conv1=4", "pixels_per_clock": 2, "multiplier": "dsp", "reload": True}
    made = rtl_options(frames(), {**args, "clock_mhz": 50, "max_width": 64, "latency_cutoff": 3}, "board")
    assert made == RtlOptions("stream", 3.0, 64, 50.0, "board", 2, {"conv1": 4}, "dsp", True)
    assert rtl_options(dense(4, 3), {}, "board").style == "unrolled"
    with pytest.raises(ConfigError, match="no layer 'dense7'") as caught:
        rtl_options(dense(4, 3, 2), {"reuse": "dense7=2"}, "b")
    assert "dense1, dense2" in caught.value.hint


# ---- the board


def board(**resources: int) -> Any:
    have = {"lut": 53200, "dsp": 220, "bram36": 140} | resources
    return SimpleNamespace(name="small", resources=SimpleNamespace(**have))


def test_a_network_that_cannot_fit_is_refused_with_the_resource_and_by_how_much() -> None:
    model = dense(64, 1024, 1024, 10)
    with pytest.raises(ResourceError) as caught:
        check_fit(model, RtlOptions(style="unrolled"), board())
    text = caught.value.message
    assert "small has 53200 LUT" in text and "times as many" in text and "an estimate" in text
    assert caught.value.place == "dense2" and "--reuse" in caught.value.hint and caught.value.exit_code == 6
    check_fit(model, RtlOptions(style="folded", reuse=8192), board())


@pytest.mark.parametrize(
    ("options", "resource"),
    [
        (RtlOptions(style="folded", reuse=64, multiplier="dsp"), "DSP"),
        (RtlOptions(style="folded", reuse=1 << 14), "memories of 36 kbit"),
    ],
)
def test_each_resource_is_looked_at(options: RtlOptions, resource: str) -> None:
    with pytest.raises(ResourceError, match=resource):
        check_fit(dense(256, 1024, 256), options, board(bram36=4))


def test_an_estimate_grows_with_the_network_and_shrinks_with_reuse() -> None:
    small, large = dense(16, 16), dense(16, 64)
    unrolled = RtlOptions(style="unrolled")
    assert 0 < estimate(small, unrolled).lut < estimate(large, unrolled).lut
    folded = RtlOptions(style="folded", reuse=4)
    assert estimate(large, folded).lut < estimate(large, replace(folded, reuse=1)).lut
    assert estimate(frames(), RtlOptions(pixels_per_clock=4)).lut == 4 * estimate(frames(), RtlOptions()).lut
    assert estimate(small, unrolled).to_json()["evidence"] == "estimated"


# ---- what comes out


def test_the_class_is_that_of_the_largest_logit() -> None:
    model = dense(5, 7, scale=0.3)
    made = with_output(model, "class")
    x = np.random.default_rng(1).normal(0, 2, (200, 5))
    assert np.array_equal(run_model(made, x)[:, 0], np.argmax(run_model(model, x), axis=1))
    assert made.tensors[made.output].type == FixedPoint(False, 3, 0) and "class" in made.notes[-1]
    assert with_output(model, "logits") is model


@pytest.mark.parametrize("scale", [1.0, 0.3, 2.0**-6])
def test_probabilities_are_within_the_error_that_is_stated(scale: float) -> None:
    model = dense(5, 7, scale=scale)
    made = with_output(model, "probabilities")
    x = np.random.default_rng(1).normal(0, 1, (2000, 5))
    logits = model.to_real(model.output, run_model(model, x))
    real = np.exp(logits - logits.max(axis=1, keepdims=True))
    real /= real.sum(axis=1, keepdims=True)
    found = made.to_real(made.output, run_model(made, x))
    stated = float(made.notes[-1].split("within ")[1].split()[0])
    assert np.abs(found - real).max() <= stated < 0.01
    assert np.abs(found - real).max() > stated / 100  # the statement says something


@pytest.mark.parametrize("frac", [0, 4])
@pytest.mark.parametrize("output", ["class", "probabilities"])
def test_classes_of_unequal_scales_are_brought_to_one(frac: int, output: str) -> None:
    scale, offset = np.array([0.0731, 0.3, 0.11, 0.25]), np.array([0.5, -0.3, 0.0, 1.7])
    build = Builder()
    at = build.input("input", (5,), FixedPoint(True, 8, frac))
    weight = np.random.default_rng(3).integers(-7, 8, (5, 4))
    at = build.dense("d", at, weight, 0, np.zeros(4, int), 0)
    model = build.finish("n", build.scaled(at, tuple(scale), tuple(offset)))
    made = with_output(model, output)
    x = np.random.default_rng(1).normal(0, 40 / 2**frac, (3000, 5))
    logits = model.to_real(model.output, run_model(model, x))
    stated = float(made.notes[0].split("within ")[1].split()[0])
    assert 0 < stated < 0.01
    near = made.to_real("rescaled", trace_model(made, x)["rescaled"])
    assert 0 < np.abs(near - logits).max() <= stated * 1.05  # the note has two digits
    if output == "class":
        ordered = np.sort(logits, axis=1)
        clear = ordered[:, -1] - ordered[:, -2] > 2.1 * stated
        assert clear.mean() > 0.9
        assert np.array_equal(run_model(made, x)[clear, 0], np.argmax(logits, axis=1)[clear])


def test_scales_too_far_apart_are_refused() -> None:
    build = Builder()
    at = build.input("input", (2,), FixedPoint(True, 16, 0))
    at = build.dense("d", at, np.eye(2, dtype=int), 0, np.zeros(2, int), 0)
    model = build.finish("n", build.scaled(at, (1.0, 2.0**-40)))
    with pytest.raises(ConfigError, match="too far apart"):
        with_output(model, "class")


def test_a_recurrent_layer_stands_for_the_layers_of_its_body() -> None:
    model = lstm()
    assert layers(model) == ("cell/gates", "dense", "cell")
    whole = rtl_options(model, {"reuse": "cell=4,dense=2"}, "pynq-z2")
    assert whole.style == "folded" and whole.reuse == {"cell/gates": 4, "dense": 2}
    own = rtl_options(model, {"reuse": "cell=4,cell/gates=7"}, "pynq-z2")
    assert own.reuse == {"cell/gates": 7}
    with pytest.raises(ConfigError, match="no layer 'cell/other'"):
        rtl_options(model, {"reuse": "cell/other=4"}, "pynq-z2")


def test_a_body_is_estimated_once_or_once_a_step() -> None:
    model = lstm(steps=5)
    once, each = (estimate(model, RtlOptions(style=style)).lut for style in ("stream", "unrolled"))
    rest = estimate(lstm(steps=1), RtlOptions(style="unrolled")).lut
    assert once == rest and each > 3 * once
