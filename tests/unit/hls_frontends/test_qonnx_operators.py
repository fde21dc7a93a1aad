"""Every operator as a small graph: the integers are those of QONNX' own executor, or the graph is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dwell.errors import UnsupportedLayerError
from dwell.hls.frontends.network import network_from_file
from dwell.hls.frontends.qonnx import read_qonnx
from dwell.hls.frontends.reading import Reading
from dwell.hls.gate import compare_frames, probe_frames
from dwell.hls.qmodel import Affine, Cast, Conv2D, Dense, FixedPoint, QModel, Table, TopK, Transpose

Make = Callable[..., Any]
ODD = 0.0731  # a scale that is no power of two


def exact(
    net: Any, output: str, folder: Path, *, strict: bool = True, input_type: str | None = None
) -> QModel:
    """Compare a net with QONNX' executor; with `strict`, no code is left to float32 rounding."""
    net.output = output
    kind = FixedPoint.parse(input_type) if input_type else None
    network = network_from_file(net.save(folder / "n.onnx"), kind)
    reading: Reading = network.reading("net")
    frames = probe_frames(reading.model, 4000)[:48]
    found = compare_frames(reading, network, frames)
    assert found.logit_bound < 1e-4  # of logits up to some tens
    assert found.compared > 0 and set(found.codes) == {*dict(reading.model.quantizers), "output"}
    if strict:
        assert found.within_rounding == 0 and found.logit_error == 0.0 and not reading.slack
    return reading.model


def kinds(model: QModel) -> list[str]:
    return [type(node).__name__ for node in model.nodes]


def frame(make: Make, *shape: int, scale: float = 2.0**-4, **choice: Any) -> tuple[Any, str]:
    """A net whose input is quantized: to 4 unsigned bits unless `choice` says otherwise."""
    net = make(*shape)
    return net, net.quant("frames", "in", scale, choice.pop("bits", 4), **choice)


def end(net: Any, at: str, scale: object = 0.25, bits: int = 6, **choice: Any) -> str:
    """A quantizer at the end."""
    return net.quant(at, "out", scale, bits, **{"signed": 1} | choice)


# ---- elementwise operators between a sum and a quantizer


def channel(values: list[float], rank: int = 4) -> np.ndarray:
    return np.array(values).reshape(1, -1, *(1,) * (rank - 2))


def batch_norm(net: Any, at: str) -> str:
    names = [
        net.const(n, v)
        for n, v in [
            ("gamma", [0.8, -1.3, 0.11]),
            ("beta", [0.2, 0.1, -0.4]),
            ("mean", [0.3, -0.2, 0.05]),
            ("var", [1.7, 0.4, 0.9]),
        ]
    ]
    return net.node("BatchNormalization", [at, *names], "bn", epsilon=1e-3)


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


# ---- quantizers

ROUNDINGS = ["ROUND", "HALF_EVEN", "FLOOR", "CEIL", "UP", "DOWN", "HALF_UP", "HALF_DOWN", "round"]
TYPES = {
    "unsigned": {"signed": 0},
    "unsigned narrow": {"signed": 0, "narrow": 1},
    "signed": {"signed": 1},
    "narrow": {"signed": 1, "narrow": 1},
}


@pytest.mark.parametrize("mode", ROUNDINGS)
@pytest.mark.parametrize("form", TYPES)
@pytest.mark.parametrize(
    ("scale", "zero"),
    [
        (0.5, 0.0),
        (ODD, 6.0),
        *(pytest.param(*more, marks=pytest.mark.slow) for more in [(ODD, 0.0), (0.5, 3.0), (0.5, -4.0)]),
    ],
)
def test_every_rounding_with_every_overflow(
    empty_net: Make, tmp_path: Path, mode: str, form: str, scale: float, zero: float
) -> None:
    net, at = frame(empty_net, 1, 5, bits=6, signed=1)
    at = net.node("MatMul", [at, net.weights((5, 7), "w", 2.0**-3)], "sum")
    at = net.quant(at, "q", scale, 4, mode=mode, zero=zero, **TYPES[form])
    at = net.node("MatMul", [at, net.weights((7, 3), "v", 0.5)], "sum2")
    exact(net, at, tmp_path, strict=scale != ODD)


@pytest.mark.parametrize("mode", ROUNDINGS)
def test_input_quantizers(empty_net: Make, tmp_path: Path, mode: str) -> None:
    net = empty_net(1, 4)
    at = net.quant("frames", "in", 0.25, 5, signed=1, mode=mode)
    net.node("MatMul", [at, net.weights((4, 2), "w")], "sum")
    model = exact(net, "sum", tmp_path, input_type="fixed<9,4>" if mode in ("CEIL", "UP") else None)
    assert dict(model.quantizers)["in"] == ("act1" if mode in ("CEIL", "UP") else "input")


@pytest.mark.parametrize(("scale", "zero", "signed"), [(ODD, 0.0, 1), (0.25, 128.0, 0), (ODD, 128.0, 0)])
def test_input_scales_and_zero_points(
    empty_net: Make, tmp_path: Path, scale: float, zero: float, signed: int
) -> None:
    net = empty_net(1, 4)
    at = net.quant("frames", "in", scale, 8, signed=signed, zero=zero)
    net.node("MatMul", [at, net.weights((4, 2), "w")], "sum")
    model = exact(net, "sum", tmp_path, strict=scale != ODD)
    assert model.tensors["input"].type.width == 8 and model.tensors["input"].type.signed
    assert np.ldexp(model.tensors["input"].scale, -model.tensors["input"].type.frac) == np.float32(scale)


def test_an_odd_zero_point_at_the_input_needs_a_type(empty_net: Make, tmp_path: Path) -> None:
    from dwell.errors import ConfigError

    net = empty_net(1, 4)
    at = net.quant("frames", "in", 0.25, 8, zero=127.0)
    net.output = net.node("MatMul", [at, net.weights((4, 2), "w")], "sum")
    with pytest.raises(ConfigError, match="has to be given") as caught:
        read_qonnx(net.save(tmp_path / "n.onnx"))
    assert "fixed<16,6>" in caught.value.hint
    exact(net, "sum", tmp_path, input_type="fixed<10,8>")


@pytest.mark.parametrize("scale", [1.0, ODD])
def test_bipolar_and_one_bit_quantizers(empty_net: Make, tmp_path: Path, scale: float) -> None:
    net, at = frame(empty_net, 1, 6, signed=1)
    weight = net.const("w", np.random.default_rng(1).normal(0, 1, (6, 5)))
    weight = net.node("BipolarQuant", [weight, net.const("ws", scale)], "wq")
    at = net.node("MatMul", [at, weight], "sum")
    at = net.node("BipolarQuant", [at, net.const("s", 0.5)], "b")
    at = net.node("MatMul", [at, net.weights((5, 4), "v", 1.0, 1, narrow=0)], "sum2")
    at = net.quant(at, "one", 0.25, 1, signed=1)
    at = net.node("MatMul", [at, net.weights((4, 3), "u", 1.0, 2)], "sum3")
    model = exact(net, at, tmp_path, strict=scale == 1.0)
    dense = [node for node in model.nodes if isinstance(node, Dense)]
    assert set(np.unique(dense[0].weight)) == set(np.unique(dense[1].weight)) == {-1, 1}
    assert set(np.unique(dense[2].weight)) <= {-1, 0, 1}
    assert [node.breaks.shape for node in model.nodes if isinstance(node, Table)] == [(1, 1), (1, 1)]


@pytest.mark.parametrize("mode", ["FLOOR", "ROUND"])
def test_trunc(empty_net: Make, tmp_path: Path, mode: str) -> None:
    net, at = frame(empty_net, 1, 2, 4, 4, bits=8, scale=0.25)
    at = net.node("AveragePool", [at], "mean", kernel_shape=[2, 2], strides=[2, 2])
    names = [("s", 0.0625), ("z", 0.0), ("ib", 10.0), ("os", 0.25), ("ob", 8.0)]
    at = net.node("Trunc", [at, *(net.const(n, v) for n, v in names)], "out", rounding_mode=mode, signed=0)
    exact(net, at, tmp_path)


def test_trunc_of_old(empty_net: Make, tmp_path: Path) -> None:
    net, at = frame(empty_net, 1, 2, 4, 4, bits=8, scale=0.25, signed=1)
    net.custom_opset = 1
    at = net.node("AveragePool", [at], "mean", kernel_shape=[2, 2], strides=[2, 2])
    names = [("s", 0.0625), ("z", 0.0), ("ib", 10.0), ("ob", 8.0)]
    at = net.node("Trunc", [at, *(net.const(n, v) for n, v in names)], "out", rounding_mode="FLOOR")
    exact(net, at, tmp_path)


@pytest.mark.parametrize("zero", [0.0, 6.0, -2.0])
def test_zero_points_of_weights(empty_net: Make, tmp_path: Path, zero: float) -> None:
    net, at = frame(empty_net, 1, 5, zero=zero)
    at = net.node("MatMul", [at, net.weights((5, 3), "w", signed=0, narrow=0, zero=7.0)], "sum")
    model = exact(net, end(net, at), tmp_path)
    weight = next(node.weight for node in model.nodes if isinstance(node, Dense))
    assert weight.min() < 0


def test_weights_without_a_quantizer_that_are_short(empty_net: Make, tmp_path: Path) -> None:
    net, at = frame(empty_net, 1, 3)
    net.node("MatMul", [at, net.const("w", [[1, -0.5], [0, 0.25], [-1, 1]])], "sum")
    exact(net, "sum", tmp_path)


# ---- linear layers


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


# ---- pooling, joining, moving


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


def int64(net: Any, name: str, values: list[int]) -> str:
    return net.const(name, values, np.int64)


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


# ---- the end


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


# ---- refused

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
