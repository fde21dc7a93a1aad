"""Nodes, groups, sizes and scales that mean nothing are refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from single_nodes import CODES, one

from dwell.errors import ConfigError
from dwell.hls.qmodel import Pooling, QModel, checked
from dwell.hls.qmodel import nodes as n
from dwell.hls.qmodel.build import Builder

pytestmark = pytest.mark.fast


WRONG: list[tuple[str, dict[str, Any], str]] = [
    (
        "affine",
        {"weight": [1, 2], "weight_frac": 0, "bias": [0], "bias_frac": 0},
        r"weight of shape \(2,\) for 3",
    ),
    ("leaky_relu", {"slope": [1], "slope_frac": -1}, "slope_frac -1"),
    ("leaky_relu", {"slope": [[1]], "slope_frac": 1}, "slope of shape"),
    ("clip", {"lo": 3, "hi": 2}, "bounds 3 to 2"),
    ("table", {"breaks": [[3, 1]], "levels": [[1, 2, 3]]}, "not in order"),
    ("table", {"breaks": [[1]], "levels": [[1, 2, 3]]}, "breaks of shape"),
    ("table", {"breaks": [[1], [1]], "levels": [[1, 2], [1, 2]]}, "for 3 channels"),
    ("topk", {"k": 4}, "the 4 largest of 3"),
    ("topk", {"k": 0}, "the 0 largest of 3"),
    ("softmax", {"exponentials": [1, 2], "frac": 4}, "do not fall"),
    ("softmax", {"exponentials": [0], "frac": 4}, "do not fall"),
    ("softmax", {"exponentials": [1 << 40], "frac": 30}, "more than 62 bits"),
    ("transpose", {"axes": (1,)}, "no order of those"),
    ("slice", {"axis": 0, "start": 2, "stop": 2}, "elements 2 to 2 of 3"),
    ("slice", {"axis": 1, "start": 0, "stop": 1}, "axis 1"),
    ("reshape", {"shape": (2, 2)}, "does not reshape"),
    ("upsample", {"factor": (2, 2)}, "rows, columns, channels"),
    ("pool2d", {"pooling": Pooling.MAX, "size": (2, 2)}, "rows, columns, channels"),
]


@pytest.mark.parametrize(("kind", "given_", "words"), WRONG)
def test_a_wrong_node_is_refused(kind: str, given_: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        one(kind, CODES, 3, **given_)


@pytest.mark.parametrize(
    ("given_", "words"),
    [
        ({"pooling": Pooling.MAX, "size": (2, 2), "padding": (2, 0, 0, 0)}, "whole windows"),
        ({"pooling": Pooling.MAX, "size": (2, 2), "shift": 1}, "maximum with a shift"),
        ({"pooling": Pooling.MAX, "size": (9, 2)}, "does not fit"),
        ({"pooling": Pooling.SUM, "size": (2, 2), "stride": (0, 1)}, "stride"),
        (
            {"pooling": Pooling.SUM, "size": (10**9, 1), "stride": (1, 1), "padding": (10**9 - 1, 0, 0, 0)},
            "elements",
        ),
    ],
)
def test_a_wrong_pool_is_refused(given_: dict[str, Any], words: str) -> None:
    build = Builder()
    build.input("x", (4, 4, 1), CODES)
    with pytest.raises(ConfigError, match=words):
        build.finish("n", build.pool2d("p", "x", **given_))


def test_wrong_joins_and_groups_are_refused() -> None:
    build = Builder()
    build.input("x", (4, 4, 2), CODES)
    build.slice("cut", "x", 2, 0, 1)
    for make in (build.add, build.multiply):
        with pytest.raises(ConfigError, match="joins different shapes"):
            make("j", "x", "cut")
    build.slice("rows", "x", 0, 0, 1)
    with pytest.raises(ConfigError, match="differ before the last axis"):
        build.concat("j", ["x", "rows"])
    with pytest.raises(ConfigError, match="two or more"):
        build.finish("n", build.concat("j", ["x"]))
    build.scaled(build.relu("r", "x"), 2.0)
    with pytest.raises(ConfigError, match=r"scales 1\.0 and 2\.0"):
        build.finish("n", build.add("s", "x", "r"))


@pytest.mark.parametrize(
    ("groups", "cin", "words"), [(3, 1, "4 output channels in 3 groups"), (2, 2, "weights for 4 input")]
)
def test_wrong_groups_are_refused(groups: int, cin: int, words: str) -> None:
    build = Builder()
    build.input("x", (4, 4, 2), CODES)
    with pytest.raises(ConfigError, match=words):
        build.finish(
            "n", build.conv2d("c", "x", np.ones((1, 1, cin, 4), dtype=int), 0, [0] * 4, 0, groups=groups)
        )


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((1,) * 9, "more than 8 axes"),
        ((1 << 21,), "last axis"),
        ((1 << 15, 1 << 15), "elements"),
        ((0,), "empty"),
    ],
)
def test_tensors_of_absurd_size_are_refused(shape: tuple[int, ...], words: str) -> None:
    tensor = replace(one("relu", CODES).tensors["x"], shape=shape)
    with pytest.raises(ConfigError, match=words):
        checked(QModel("n", (n.Input("x", (), "x"),), {"x": tensor}, "x", "x"))


@pytest.mark.parametrize(
    "change",
    [
        {"scale": 0.0},
        {"scale": (1.0,)},
        {"scale": (1.0, -1.0)},
        {"offset": float("nan")},
        {"offset": (1.0, 2.0, 3.0)},
    ],
)
def test_a_scale_or_offset_that_says_nothing_is_refused(change: dict[str, Any]) -> None:
    model = one("relu", CODES, 2)
    with pytest.raises(ConfigError, match=r"scale|offset"):
        checked(replace(model, tensors={**model.tensors, "y": replace(model.tensors["y"], **change)}))
