"""Graphs that no interpreter and no back end should have to bear."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dwell.errors import ConfigError
from dwell.hls.qmodel import (
    Cast,
    Conv2D,
    FixedPoint,
    Input,
    Overflow,
    QModel,
    Relu,
    Rounding,
    Tensor,
    checked,
    run_codes,
    save_model,
    value_range,
)
from dwell.hls.qmodel.build import Builder
from dwell.hls.rtl import RtlOptions, write_design

pytestmark = pytest.mark.fast


def parts() -> dict[str, Any]:
    """input → conv → relu → act, as the arguments of QModel."""
    build = Builder()
    at = build.input("input", (8, 8, 1), FixedPoint(False, 8, 8))
    at = build.conv2d("conv", at, np.arange(-4, 5).reshape(3, 3, 1, 1).repeat(2, 3), 2, [3, -3], 6)
    at = build.relu("relu", at)
    at = build.cast("act", at, [FixedPoint(False, 4, 3)], Rounding.RND_CONV, Overflow.SAT)
    model = build.finish("small", at, [("a.quant", "act")])
    return {
        "name": model.name,
        "nodes": list(model.nodes),
        "tensors": dict(model.tensors),
        "input": model.input,
        "output": model.output,
        "quantizers": model.quantizers,
    }


def retype(name: str, kind: FixedPoint) -> Callable[[dict[str, Any]], None]:
    def change(given: dict[str, Any]) -> None:
        given["tensors"][name] = replace(given["tensors"][name], type=kind)

    return change


def swap(index: int, **new: Any) -> Callable[[dict[str, Any]], None]:
    def change(given: dict[str, Any]) -> None:
        given["nodes"][index] = replace(given["nodes"][index], **new)

    return change


def second_input(given: dict[str, Any]) -> None:
    given["nodes"].append(Input("more", (), "more"))
    given["tensors"]["more"] = Tensor("more", (1,), FixedPoint(False, 1, 0))


def dead_end(given: dict[str, Any]) -> None:
    given["nodes"].append(Relu("dead", ("conv",), "dead"))
    given["tensors"]["dead"] = replace(given["tensors"]["relu"], name="dead")


def cycle(given: dict[str, Any]) -> None:
    given["nodes"][1] = replace(given["nodes"][1], inputs=("act",))


def reshape_output(given: dict[str, Any]) -> None:
    given["tensors"]["conv"] = replace(given["tensors"]["conv"], shape=(6, 6, 3))


WRONG: list[tuple[str, Callable[[dict[str, Any]], None], str]] = [
    ("narrow sum", retype("conv", FixedPoint(True, 10, 10)), r"conv: its codes run from -\d+ to \d+.*fixed<"),
    ("narrow cast", retype("act", FixedPoint(False, 3, 3)), "act: its codes run from 0 to 15"),
    ("wrong fraction", retype("conv", FixedPoint(True, 20, 9)), "9 fraction bits, the exact result has 10"),
    ("signed relu", retype("relu", FixedPoint(True, 20, 10)), "relu: .*not an unsigned"),
    ("too wide", retype("input", FixedPoint(False, 63, 8)), "width 63 is outside 1 to 62"),
    ("odd fraction", retype("input", FixedPoint(False, 8, 70)), "70 fraction bits"),
    ("cycle", cycle, "out of order or form a cycle"),
    ("two inputs", second_input, "2 Input nodes"),
    ("unused", dead_end, r"never used: \['dead'\]"),
    ("shape", reshape_output, r"conv: output shape \(6, 6, 3\)"),
    ("unknown tensor", swap(2, inputs=("nowhere",)), "'nowhere', which is not declared"),
    ("two names", swap(2, name="conv"), "second node of this name"),
    ("stride", swap(1, stride=(0, 1)), r"stride \(0, 1\)"),
    ("window", swap(1, dilation=(5, 1)), "window does not fit"),
    ("weights", swap(1, weight_type=FixedPoint(True, 2, 2)), "do not fit their type"),
    ("bias", swap(1, bias=np.array([1, 2, 3])), r"bias of shape \(3,\)"),
    ("types", swap(3, types=(FixedPoint(False, 4, 3),) * 3), "3 types for 2 channels"),
    ("shift", swap(3, types=(FixedPoint(False, 4, 62),)), "more than 62 bits"),
    (
        "quantizer",
        lambda given: given.update(quantizers=(("q", "gone"),)),
        "quantizer q: names the tensor 'gone'",
    ),
    (
        "two quantizers",
        lambda given: given.update(quantizers=(("q", "act"), ("q", "relu"))),
        "two quantizers of one name",
    ),
    ("output", lambda given: given.update(output="relu", quantizers=()), r"never used: \['act'\]"),
]


@pytest.mark.parametrize(("change", "words"), [w[1:] for w in WRONG], ids=[w[0] for w in WRONG])
def test_a_wrong_graph_is_refused_where_it_is_wrong(
    change: Callable[[dict[str, Any]], None], words: str
) -> None:
    given = parts()
    checked(QModel(**given))
    change(given)
    with pytest.raises(ConfigError, match=words) as caught:
        checked(QModel(**given))
    assert caught.value.hint


def test_arrays_of_a_model_cannot_be_changed() -> None:
    conv = QModel(**parts()).nodes[1]
    assert isinstance(conv, Conv2D)
    with pytest.raises(ValueError, match="read-only"):
        conv.weight[0, 0, 0, 0] = 9


def test_float_weights_are_refused() -> None:
    build = Builder()
    at = build.input("input", (8, 8, 1), FixedPoint(False, 8, 8))
    with pytest.raises(ConfigError, match="integers, not float64"):
        build.conv2d("conv", at, np.ones((3, 3, 1, 1)), 0, [0], 0)


def test_a_cast_that_absorbs_everything_may_be_per_channel_and_absent() -> None:
    build = Builder()
    at = build.input("input", (4, 4, 2), FixedPoint(False, 8, 8))
    kinds = [FixedPoint(False, 0, 3), FixedPoint(True, 5, 2)]
    model = build.finish("n", build.cast("act", at, kinds, Rounding.TRN, Overflow.WRAP))
    assert model.tensors["act"].type == FixedPoint(False, 2, 2)  # 255/256 is below one: codes 0 to 3
    cast = model.nodes[1]
    assert isinstance(cast, Cast) and cast.frac == 2
    assert value_range(model, "act")[1].tolist() == [0, 3]


def test_a_wrong_graph_that_nobody_checked_is_neither_run_nor_kept_nor_built(tmp_path: Path) -> None:
    given = parts()
    (_, change, words), *_ = WRONG
    change(given)
    wrong = QModel(**given)
    frame = np.zeros((1, *wrong.tensors[wrong.input].shape), dtype=np.int64)
    for use in (
        lambda: run_codes(wrong, frame),
        lambda: save_model(wrong, tmp_path / "kept"),
        lambda: write_design(wrong, RtlOptions(), tmp_path / "design"),
    ):
        with pytest.raises(ConfigError, match=words):
            use()
    assert not list(tmp_path.iterdir())
