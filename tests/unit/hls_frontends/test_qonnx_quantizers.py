"""Every quantizer as a small graph: the integers are those of QONNX' own executor."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from qonnx_nets import ODD, Make, end, exact, frame

from dwell.hls.frontends.qonnx import read_qonnx
from dwell.hls.qmodel import Dense, Table

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
