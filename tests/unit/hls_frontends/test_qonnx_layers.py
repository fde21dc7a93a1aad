"""Layers, poolings, joins and moves as small graphs: the integers are those of QONNX' own executor."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qonnx_nets import ODD, Make, batch_norm, end, exact, frame, int64, kinds

from dwell.errors import UnsupportedLayerError
from dwell.hls.frontends.qonnx import read_qonnx
from dwell.hls.qmodel import Affine, Conv2D, TopK, Transpose


@pytest.mark.parametrize("turned", [0, 1])
@pytest.mark.parametrize("bias", [None, 2.0**-6, ODD, "float"])
def test_gemm(empty_net: Make, tmp_path: Path, turned: int, bias: float | str | None) -> None:
    net, at = frame(empty_net, 1, 5)
    inputs = [at, net.weights((3, 5) if turned else (5, 3), "w")]
    if bias == "float":
        inputs.append(net.const("b", [0.123, -0.456, 0.789]))
    elif bias is not None:
        inputs.append(net.weights((3,), "b", bias, 8))
    at = net.node("Gemm", inputs, "sum", transB=turned)
    exact(net, end(net, at), tmp_path, strict=bias not in (ODD, "float"))


SCALES = {
    "one": 0.25,
    "odd": ODD,
    "channels": np.array([[0.25, 0.5, 0.125]]),
    "odd channels": np.array([[ODD, 0.11, 0.3]]),
}


@pytest.mark.parametrize("what", SCALES)
@pytest.mark.parametrize("scale", [2.0**-4, 0.0413])
@pytest.mark.parametrize("bias", ["none", "sums", "float"])
def test_scales_of_a_dense_layer(empty_net: Make, tmp_path: Path, what: str, scale: float, bias: str) -> None:
    net, at = frame(empty_net, 1, 9, scale=scale, bits=6)
    at = net.node("MatMul", [at, net.weights((9, 3), "w", SCALES[what])], "sum")
    if bias == "sums":  # as Brevitas quantizes it: with the product of the scales
        each = (np.float32(scale) * np.broadcast_to(SCALES[what], (1, 3)).astype(np.float32)).reshape(3)
        at = net.node("Add", [at, net.weights((3,), "b", each, 16)], "biased")
    elif bias == "float":
        at = net.node("Add", [at, net.const("b", [0.123, -0.456, 0.789])], "biased")
    at = net.node("Relu", [at], "r")
    at = net.quant(at, "act", 0.0917 if what != "one" else 0.125, 4)
    at = net.node("MatMul", [at, net.weights((3, 4), "v", 0.25)], "sum2")
    plain = what in ("one", "channels") and scale == 2.0**-4
    model = exact(net, at, tmp_path, strict=plain and what == "one" and bias != "float")
    if what == "one" and plain and bias != "float":
        assert kinds(model) == ["Input", "Dense", "Relu", "Cast", "Dense"]


CONVS = {
    "plain": {},
    "strides": {"strides": [2, 1]},
    "pads": {"pads": [1, 2, 0, 1]},
    "dilations": {"dilations": [2, 1]},
    "same upper": {"auto_pad": "SAME_UPPER", "strides": [2, 2]},
    "same lower": {"auto_pad": "SAME_LOWER", "strides": [2, 2]},
    "valid": {"auto_pad": "VALID"},
    "depthwise": {"group": 4},
    "groups": {"group": 2, "pads": [1, 1, 1, 1]},
}


@pytest.mark.parametrize("what", CONVS)
@pytest.mark.parametrize("scale", [0.25, "odd channels"])
def test_two_dimensional_convolutions(empty_net: Make, tmp_path: Path, what: str, scale: float | str) -> None:
    net, at = frame(empty_net, 1, 4, 7, 6)
    choice = CONVS[what]
    given = np.linspace(0.05, 0.3, 8).reshape(8, 1, 1, 1) if scale == "odd channels" else scale
    weight = net.weights((8, 4 // choice.get("group", 1), 3, 2), "w", given)
    at = net.node("Conv", [at, weight], "sum", kernel_shape=[3, 2], **choice)
    model = exact(net, end(net, at), tmp_path, strict=scale == 0.25)
    assert sum(isinstance(node, Conv2D) for node in model.nodes) == 1
    assert not any(isinstance(node, Transpose) for node in model.nodes)


@pytest.mark.parametrize("what", ["plain", "strides", "pads", "dilations", "groups"])
def test_one_dimensional_convolutions(empty_net: Make, tmp_path: Path, what: str) -> None:
    net, at = frame(empty_net, 1, 4, 12)
    choice = {
        "strides": {"strides": [3]},
        "pads": {"pads": [2, 1]},
        "dilations": {"dilations": [3]},
        "groups": {"group": 4},
    }.get(what, {})
    weight = net.weights((4, 4 // choice.get("group", 1), 3), "w")
    at = net.node("Conv", [at, weight, net.weights((4,), "b", 2.0**-7, 8)], "sum", **choice)
    at = net.quant(net.node("Relu", [at], "r"), "act", 0.25, 4)
    at = net.node("MaxPool", [at], "m", kernel_shape=[2], strides=[2])
    model = exact(net, net.node("Flatten", [at], "f"), tmp_path)
    assert model.tensors[model.input].shape == (12, 4)


def test_a_convolution_then_a_dense_layer_permutes_weights(empty_net: Make, tmp_path: Path) -> None:
    net, at = frame(empty_net, 1, 2, 6, 5)
    at = net.node("Conv", [at, net.weights((3, 2, 3, 3), "w")], "sum")
    at = net.quant(at, "act", 0.25, 4, signed=1)
    at = net.node("Flatten", [at], "flat")
    model = exact(net, net.node("MatMul", [at, net.weights((36, 4), "v")], "y"), tmp_path)
    assert kinds(model) == ["Input", "Conv2D", "Cast", "Flatten", "Dense"]


def test_activations_without_a_quantizer_are_carried_while_they_are_exact(
    empty_net: Make, tmp_path: Path
) -> None:
    net, at = frame(empty_net, 1, 4)
    at = net.node("Relu", [net.node("MatMul", [at, net.weights((4, 4), "w")], "a")], "r")
    exact(net, net.node("MatMul", [at, net.weights((4, 2), "v")], "b"), tmp_path)


@pytest.mark.parametrize("scale", [0.25, ODD])
@pytest.mark.parametrize(
    ("op", "choice"),
    [
        ("MaxPool", {"kernel_shape": [2, 2], "strides": [2, 2]}),
        ("MaxPool", {"kernel_shape": [3, 2], "strides": [1, 2], "pads": [1, 0, 1, 1]}),
        ("MaxPool", {"kernel_shape": [3, 3], "auto_pad": "SAME_UPPER"}),
        ("MaxPool", {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1}),
        ("AveragePool", {"kernel_shape": [2, 2], "strides": [2, 2]}),
        ("AveragePool", {"kernel_shape": [3, 3]}),
        ("AveragePool", {"kernel_shape": [2, 2], "pads": [1, 1, 0, 0], "count_include_pad": 1}),
        ("GlobalMaxPool", {}),
        ("GlobalAveragePool", {}),
        ("ReduceMean", {"keepdims": 1}),
        ("ReduceMean", {"keepdims": 0}),
    ],
)
def test_pooling(empty_net: Make, tmp_path: Path, scale: float, op: str, choice: dict[str, Any]) -> None:
    net, at = frame(empty_net, 1, 3, 6, 6, scale=scale, signed=1)
    inputs = [at, net.const("axes", [2, 3], np.int64)] if op == "ReduceMean" else [at]
    at = net.node(op, inputs, "pooled", **choice)
    count = (
        36 if op in ("GlobalAveragePool", "ReduceMean") else 9 if choice.get("kernel_shape") == [3, 3] else 4
    )
    exact(net, end(net, at, 0.125, 5), tmp_path, strict=scale == 0.25 and (count == 4 or "Max" in op))


def test_a_mean_without_a_quantizer_behind_it(empty_net: Make, tmp_path: Path) -> None:
    net, at = frame(empty_net, 1, 3, 4, 4)
    at = net.node("Flatten", [net.node("GlobalAveragePool", [at], "mean")], "flat")
    model = exact(net, net.node("MatMul", [at, net.weights((3, 2), "w")], "y"), tmp_path)
    assert model.tensors["sumpool1"].type.frac == 8


def test_the_maximum_of_a_float_function(empty_net: Make, tmp_path: Path) -> None:
    net, at = frame(empty_net, 1, 2, 6, 6)
    at = batch_norm(net, net.node("Conv", [at, net.weights((3, 2, 3, 3), "w")], "sum"))
    at = net.node("MaxPool", [net.node("Relu", [at], "r")], "pooled", kernel_shape=[2, 2], strides=[2, 2])
    model = exact(net, end(net, at, ODD, 4, signed=0), tmp_path)
    assert kinds(model) == ["Input", "Conv2D", "Affine", "Pool2D", "Table"]
    assert next(node for node in model.nodes if isinstance(node, Affine)).weight.tolist() == [1, -1, 1]


@pytest.mark.parametrize(("one", "other"), [(0.25, 0.25), (0.25, 0.5), (ODD, ODD), (ODD, 2 * ODD)])
@pytest.mark.parametrize("op", ["Add", "Sub", "Concat", "Mul"])
def test_joining_two_branches(empty_net: Make, tmp_path: Path, op: str, one: float, other: float) -> None:
    net, at = frame(empty_net, 1, 2, 5, 5)
    branches = []
    for index, scale in enumerate((one, other)):
        weight = net.weights((3, 2, 3, 3), f"w{index}")
        branches.append(
            net.quant(net.node("Conv", [at, weight], f"s{index}"), f"q{index}", scale, 4, signed=1)
        )
    joined = net.node(op, branches, "joined", **({"axis": 1} if op == "Concat" else {}))
    at = net.quant(net.node("Relu", [joined], "r"), "act", 0.5, 4)
    at = net.node("Conv", [at, net.weights((2, 6 if op == "Concat" else 3, 3, 3), "v")], "y")
    exact(net, at, tmp_path, strict=one != ODD)


def test_a_residual_with_unequal_scales_is_refused(empty_net: Make, tmp_path: Path) -> None:
    net, at = frame(empty_net, 1, 4)
    other = net.quant(net.node("MatMul", [at, net.weights((4, 4), "w")], "s"), "q", ODD, 4, signed=1)
    net.output = net.node("Add", [at, other], "joined")
    with pytest.raises(UnsupportedLayerError, match=r"codes have scales 0\.0625 and 0\.0731") as caught:
        read_qonnx(net.save(tmp_path / "n.onnx"))
    assert "same scale" in caught.value.hint and caught.value.layer == "Add_joined"


MOVES: dict[str, Callable[[Any, str], str]] = {
    "flatten": lambda net, at: net.node("Flatten", [at], "y"),
    "reshape": lambda net, at: net.node("Reshape", [at, int64(net, "s", [0, -1])], "y"),
    "transpose": lambda net, at: net.node("Transpose", [at], "y", perm=[0, 2, 3, 1]),
    "transpose, flatten": lambda net, at: net.node(
        "Flatten", [net.node("Transpose", [at], "t", perm=[0, 3, 1, 2])], "y"
    ),
    "slice": lambda net, at: net.node(
        "Slice", [at, *(int64(net, n, v) for n, v in [("a", [1, 0]), ("b", [3, -2]), ("c", [1, 3])])], "y"
    ),
    "split": lambda net, at: net.node("Split", [at, int64(net, "s", [3, 1])], "y z", axis=1),
    "pad": lambda net, at: net.node("Pad", [at, int64(net, "s", [0, 0, 1, 0, 0, 0, 2, 1])], "y"),
    "resize": lambda net, at: net.node(
        "Resize",
        [at, "", net.const("s", [1, 1, 2, 3])],
        "y",
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    ),
    "resize to a size": lambda net, at: net.node(
        "Resize", [at, "", "", int64(net, "s", [1, 4, 10, 12])], "y", mode="nearest"
    ),
    "concat over rows": lambda net, at: net.node("Concat", [at, at], "y", axis=2),
    "unsqueeze, squeeze": lambda net, at: net.node(
        "Squeeze", [net.node("Unsqueeze", [at, int64(net, "a", [2])], "u"), int64(net, "b", [2])], "y"
    ),
    "squeeze of all that is one": lambda net, at: net.node(
        "Squeeze", [net.node("Unsqueeze", [at, int64(net, "a", [2])], "u")], "y"
    ),
    "shape arithmetic": lambda net, at: net.node(
        "Reshape",
        [
            at,
            net.node(
                "Concat",
                [
                    net.node(
                        "Unsqueeze",
                        [
                            net.node("Gather", [net.node("Shape", [at], "sh"), int64(net, "g", 0)], "ga"),  # type: ignore[arg-type]
                            int64(net, "ax", [0]),
                        ],
                        "us",
                    ),
                    int64(net, "rest", [-1]),
                ],
                "target",
                axis=0,
            ),
        ],
        "y",
    ),
}


@pytest.mark.parametrize("what", MOVES)
def test_what_moves_elements(empty_net: Make, tmp_path: Path, what: str) -> None:
    net, at = frame(empty_net, 1, 4, 5, 4, bits=5, signed=1)
    exact(net, MOVES[what](net, at), tmp_path)


def test_upsampling_of_old(empty_net: Make, tmp_path: Path) -> None:
    net, at = frame(empty_net, 1, 4, 5, 4)
    net.opset = 9
    exact(net, net.node("Upsample", [at, net.const("s", [1, 1, 2, 2])], "y", mode="nearest"), tmp_path)


def test_channels_last_from_the_start(empty_net: Make, tmp_path: Path) -> None:
    net, at = frame(empty_net, 1, 6, 5, 2)
    at = net.node("Transpose", [at], "t", perm=[0, 3, 1, 2])
    at = net.quant(net.node("Conv", [at, net.weights((3, 2, 3, 3), "w")], "sum"), "act", 0.5, 4, signed=1)
    at = net.node("Transpose", [at], "back", perm=[0, 2, 3, 1])
    model = exact(net, net.node("MatMul", [at, net.weights((3, 2), "v")], "y"), tmp_path)
    assert kinds(model) == ["Input", "Conv2D", "Cast", "Dense"]
    assert model.tensors[model.input].shape == (6, 5, 2)


@pytest.mark.parametrize(("op", "choice"), [("ArgMax", {"axis": 1}), ("ArgMax", {"axis": -1, "keepdims": 0})])
def test_argmax(empty_net: Make, tmp_path: Path, op: str, choice: dict[str, int]) -> None:
    net, at = frame(empty_net, 1, 6)
    at = net.node("MatMul", [at, net.weights((6, 5), "w")], "sum")
    model = exact(net, net.node(op, [at], "y", **choice), tmp_path)
    assert isinstance(model.nodes[-1] if choice.get("keepdims", 1) else model.nodes[2], TopK)


def test_topk(empty_net: Make, tmp_path: Path) -> None:
    net, at = frame(empty_net, 1, 6)
    at = net.node("MatMul", [at, net.weights((6, 5), "w")], "sum")
    net.node("TopK", [at, int64(net, "k", [3])], "values y")
    exact(net, "y", tmp_path)
