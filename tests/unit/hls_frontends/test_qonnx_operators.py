"""Operators between a sum and a quantizer, ends of a network, and what is refused: as QONNX' own executor has it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qonnx_nets import ODD, Make, batch_norm, channel, end, exact, frame, int64, kinds

from dwell.errors import UnsupportedLayerError
from dwell.hls.frontends.qonnx import read_qonnx
from dwell.hls.qmodel import Cast, Table

BETWEEN: dict[str, Callable[[Any, str], str]] = {
    "nothing": lambda net, at: at,
    "relu": lambda net, at: net.node("Relu", [at], "y"),
    "leaky relu": lambda net, at: net.node("LeakyRelu", [at], "y", alpha=0.125),
    "odd leaky relu": lambda net, at: net.node("LeakyRelu", [at], "y", alpha=0.1),
    "prelu": lambda net, at: net.node("PRelu", [at, net.const("s", channel([0.25, 0.5, -0.125])[0])], "y"),
    "odd prelu": lambda net, at: net.node("PRelu", [at, net.const("s", channel([0.3, 0.01, 1.7])[0])], "y"),
    "clip": lambda net, at: net.node("Clip", [at, net.const("a", -0.5), net.const("b", 1.5)], "y"),
    "relu6": lambda net, at: net.node("Clip", [at, net.const("a", 0.0), net.const("b", 6.0)], "y"),
    "clip above": lambda net, at: net.node("Clip", [at, "", net.const("b", 0.77)], "y"),
    "sigmoid": lambda net, at: net.node("Sigmoid", [at], "y"),
    "tanh": lambda net, at: net.node("Tanh", [at], "y"),
    "hard sigmoid": lambda net, at: net.node("HardSigmoid", [at], "y", alpha=0.25, beta=0.5),
    "odd hard sigmoid": lambda net, at: net.node("HardSigmoid", [at], "y"),
    "hard tanh": lambda net, at: net.node("Clip", [at, net.const("a", -1.0), net.const("b", 1.0)], "y"),
    "batch norm": batch_norm,
    "batch norm, relu": lambda net, at: net.node("Relu", [batch_norm(net, at)], "y"),
    "add": lambda net, at: net.node("Add", [at, net.const("c", channel([0.5, -1.0, 0.25]))], "y"),
    "odd add": lambda net, at: net.node("Add", [net.const("c", channel([0.3, -1.0, 0.2])), at], "y"),
    "sub": lambda net, at: net.node("Sub", [at, net.const("c", 0.75)], "y"),
    "sub from": lambda net, at: net.node("Sub", [net.const("c", channel([0.5, 1.0, 0.25])), at], "y"),
    "mul": lambda net, at: net.node("Mul", [at, net.const("c", channel([0.5, -0.75, 4.0]))], "y"),
    "odd mul": lambda net, at: net.node("Mul", [at, net.const("c", 0.3)], "y"),
    "div": lambda net, at: net.node("Div", [at, net.const("c", 2.0)], "y"),
    "odd div": lambda net, at: net.node("Div", [at, net.const("c", channel([3.0, 7.0, -5.0]))], "y"),
    "neg": lambda net, at: net.node("Neg", [at], "y"),
    "swish": lambda net, at: net.node("Mul", [at, net.node("Sigmoid", [at], "gate")], "y"),
    "hard swish": lambda net, at: net.node("Mul", [at, net.node("HardSigmoid", [at], "gate")], "y"),
    "identity, dropout": lambda net, at: net.node("Identity", [net.node("Dropout", [at], "d")], "y"),
}


@pytest.mark.parametrize("what", BETWEEN)
@pytest.mark.parametrize("scale", [0.25, pytest.param(0.3, marks=pytest.mark.slow), "channels"])
def test_operators_between_a_convolution_and_a_quantizer(
    empty_net: Make, tmp_path: Path, what: str, scale: float | str
) -> None:
    net, at = frame(empty_net, 1, 2, 6, 6)
    at = net.node("Conv", [at, net.weights((3, 2, 3, 3), "w")], "sum", kernel_shape=[3, 3])
    given = np.array([0.25, 0.3, 0.125]).reshape(1, 3, 1, 1) if scale == "channels" else scale
    exact(net, end(net, BETWEEN[what](net, at), given), tmp_path)


@pytest.mark.parametrize("few", [2, 6])
def test_what_is_exact_stays_arithmetic_unless_a_table_is_smaller(
    empty_net: Make, tmp_path: Path, few: int
) -> None:
    net, at = frame(empty_net, 1, 3)
    at = net.node("MatMul", [at, net.weights((3, 4), "w")], "sum")
    at = net.node("Mul", [at, net.const("c", 0.5)], "y")
    model = exact(net, end(net, at, bits=few), tmp_path)
    assert kinds(model)[2:] == (["Table"] if few == 2 else ["Affine", "Cast"])


@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax", "Sigmoid"])
def test_a_final_softmax_is_left_out_and_said(empty_net: Make, tmp_path: Path, op: str) -> None:
    net, at = frame(empty_net, 1, 6)
    at = net.node("MatMul", [at, net.weights((6, 5), "w")], "sum")
    model = exact(net, net.node(op, [at], "y"), tmp_path)
    assert kinds(model) == ["Input", "Dense"] and f"final {op} is left out" in model.notes[0]


@pytest.mark.parametrize("scale", [0.25, ODD])
def test_a_float_tail_goes_into_scale_and_offset(empty_net: Make, tmp_path: Path, scale: float) -> None:
    net, at = frame(empty_net, 1, 6)
    at = batch_norm(net, net.node("MatMul", [at, net.weights((6, 3), "w", scale)], "sum"))
    at = net.node("Sub", [net.node("Mul", [at, net.const("m", 0.3)], "t"), net.const("c", 0.1)], "y")
    model = exact(net, at, tmp_path, strict=False)
    assert kinds(model) == [
        "Input",
        "Dense",
        "Affine",
    ]  # the second channel is turned, so that its scale is positive
    assert model.nodes[-1].weight.tolist() == [1, -1, 1]  # type: ignore[union-attr]
    end = model.tensors[model.output]
    assert isinstance(end.scale, tuple) and isinstance(end.offset, tuple) and min(end.scale) > 0
    assert any("scale and offset" in note for note in model.notes)


def test_one_table_row_for_all_channels(empty_net: Make, tmp_path: Path) -> None:
    net, at = frame(empty_net, 1, 6)
    at = net.node("Tanh", [net.node("MatMul", [at, net.weights((6, 5), "w")], "sum")], "t")
    model = exact(net, end(net, at, ODD, 5), tmp_path)
    table = next(node for node in model.nodes if isinstance(node, Table))
    assert table.breaks.shape[0] == 1 and not any(isinstance(node, Cast) for node in model.nodes)


REFUSED: dict[str, tuple[Callable[[Any, str], str], str]] = {
    "float before a layer": (
        lambda net, at: net.node("MatMul", [net.node("Tanh", [at], "t"), net.weights((4, 2), "w")], "y"),
        "no quantizer stands between it and 'Tanh_t'",
    ),
    "softmax inside": (
        lambda net, at: net.node("MatMul", [net.node("Softmax", [at], "t"), net.weights((4, 2), "w")], "y"),
        "does not end the network",
    ),
    "float end": (
        lambda net, at: net.node("Tanh", [at], "y"),
        "ends the network without a quantizer",
    ),
    "wide activations": (
        lambda net, at: net.node(
            "MatMul",
            [
                net.node(
                    "MatMul",
                    [
                        net.node("MatMul", [at, net.weights((4, 4), "a", 0.25, 16)], "s"),
                        net.weights((4, 4), "b", 1, 16),
                    ],
                    "t",
                ),
                net.weights((4, 2), "w"),
            ],
            "y",
        ),
        "its input has 3[0-9] bits, 32 are the most",
    ),
    "two moving factors": (lambda net, at: net.node("MatMul", [at, at], "y"), "both factors are computed"),
    "constant first": (
        lambda net, at: net.node("MatMul", [net.weights((2, 1), "w"), at], "y"),
        "its constant comes first",
    ),
    "alpha": (
        lambda net, at: net.node("Gemm", [at, net.weights((4, 2), "w")], "y", alpha=0.5),
        "alpha and beta are not 1",
    ),
    "division by the network": (
        lambda net, at: net.node("Div", [net.const("c", 1.0), at], "y"),
        "divides by a tensor of the network",
    ),
    "frames reshaped": (
        lambda net, at: net.node("Reshape", [at, int64(net, "s", [2, 2])], "y"),
        "does not become",
    ),
    "too many levels": (
        lambda net, at: net.node(
            "MatMul",
            [
                net.quant(
                    net.node("MatMul", [at, net.weights((4, 3), "w", 0.25, 16)], "s"), "q", 1.1, 16, signed=1
                ),
                net.weights((3, 2), "v"),
            ],
            "y",
        ),
        "a table of more than 4096 steps",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_has_no_exact_form_is_refused(empty_net: Make, tmp_path: Path, what: str) -> None:
    net, at = frame(empty_net, 1, 4)
    build, words = REFUSED[what]
    net.output = build(net, at)
    with pytest.raises(UnsupportedLayerError, match=words) as caught:
        read_qonnx(net.save(tmp_path / "n.onnx"))
    assert caught.value.hint and caught.value.layer


@pytest.mark.parametrize(
    ("op", "inputs", "choice", "words"),
    [
        ("MaxPool", [], {"kernel_shape": [2, 2], "dilations": [2, 2]}, "dilations"),
        ("MaxPool", [], {"kernel_shape": [9, 9]}, "does not fit"),
        ("AveragePool", [], {"kernel_shape": [2, 2], "pads": [1, 1, 1, 1]}, "pixels outside do not count"),
        (
            "AveragePool",
            [],
            {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1},
            "hangs over the edge",
        ),
        (
            "Resize",
            ["", ("s", [1.0, 1.0, 1.5, 2.0], np.float32)],
            {"mode": "nearest"},
            "a whole number of times",
        ),
        ("Resize", ["", ("s", [1.0, 1.0, 2.0, 2.0], np.float32)], {"mode": "linear"}, "mode 'linear'"),
        ("Pad", [("s", [0, 1, 0, 0, 0, 0, 0, 0], np.int64)], {}, "rows and columns only"),
        ("Pad", [("s", [0, 0, 1, 1, 0, 0, 1, 1], np.int64)], {"mode": "reflect"}, "mode 'reflect'"),
        ("Transpose", [], {"perm": [1, 0, 2, 3]}, "perm is"),
        ("Add", [("c", np.ones((1, 1, 5, 5)), np.float32)], {}, "not from pixel to pixel"),
    ],
)
def test_forms_of_layers_that_are_refused(
    empty_net: Make, tmp_path: Path, op: str, inputs: list[Any], choice: dict[str, Any], words: str
) -> None:
    net, at = frame(empty_net, 1, 2, 5, 5)
    given = [at, *(one if isinstance(one, str) else net.const(*one) for one in inputs)]
    net.output = net.node(op, given, "y", **choice)
    with pytest.raises(UnsupportedLayerError) as caught:
        read_qonnx(net.save(tmp_path / "n.onnx"))
    assert words in f"{caught.value.reason}, {caught.value.hint}" and caught.value.layer == f"{op}_y"
