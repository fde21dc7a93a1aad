"""The first door: what is carried is carried exactly, what is not is refused by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dwell.errors import ConfigError, UnsupportedLayerError
from dwell.hls.frontends.network import network_from_file
from dwell.hls.frontends.qonnx import read_qonnx
from dwell.hls.gate import climb
from dwell.hls.qmodel import (
    Cast,
    Conv2D,
    FixedPoint,
    Overflow,
    QModel,
    Rounding,
    is_fully_convolutional,
    window_of,
)

Make = Callable[..., Any]


def exact(path: Path, input_type: FixedPoint | None = None) -> QModel:
    """Read a file and hold it against QONNX' own executor at every quantizer, over thousands of windows."""
    network = network_from_file(path, input_type)
    reading = network.reading("net")
    rung = climb(reading, network)
    detail = rung["detail"]["QONNX executor"]
    assert rung["ok"] and rung["mismatches"] == 0 and detail["within_rounding"] == 0
    assert detail["windows"] >= 4000
    return reading.model


def test_brevitas_export_is_exact(brevitas_file: Path) -> None:
    model = exact(brevitas_file)
    assert window_of(model) == (11, 11) and is_fully_convolutional(model)
    assert model.tensors[model.input].type == FixedPoint(False, 8, 8)
    assert len(model.quantizers) == 4
    assert all(n.weight_type.width == 4 for n in model.nodes if isinstance(n, Conv2D))


@pytest.mark.parametrize("mode", ["ROUND", "HALF_EVEN", "FLOOR", "DOWN", "HALF_UP", "HALF_DOWN", "round"])
def test_every_rounding_mode_is_exact(onnx_net: Make, tmp_path: Path, mode: str) -> None:
    exact(onnx_net(act={"mode": mode, "scale": 0.5}).save(tmp_path / "n.onnx"))


@pytest.mark.parametrize(
    "choice",
    [
        {"act": {"signed": 1, "narrow": 1}},
        {"act": {"signed": 1}},
        {"act": {"scale": np.array([0.125, 0.25, 0.0625]).reshape(1, 3, 1, 1)}},
        {"weight_scale": [0.125, 0.25, 0.5]},
        {"weight_scale": 4.0},
        {"pads": [1, 2, 0, 1]},
        {"dilations": [2, 3]},
        {"strides": [2, 1]},
    ],
    ids=[
        "narrow",
        "signed",
        "per channel",
        "weights per channel",
        "large weights",
        "pads",
        "dilations",
        "strides",
    ],
)
def test_variants_are_exact(onnx_net: Make, tmp_path: Path, choice: dict[str, Any]) -> None:
    exact(onnx_net(**choice).save(tmp_path / f"{next(iter(choice))}.onnx"))


def test_one_tensor_that_feeds_two_quantizers(onnx_net: Make, tmp_path: Path) -> None:
    net = onnx_net()
    net.quant("relu1", "watch", 0.25, 3)
    net.find("Conv_score").input[0] = "watch"
    net.nodes = [n for n in net.nodes if n.name != "Quant_act1"]
    order = {n.name: i for i, n in enumerate(net.nodes)}
    net.nodes.insert(order["Relu_relu1"] + 1, net.nodes.pop(order["Quant_watch"]))
    exact(net.save(tmp_path / "n.onnx"))


def test_a_bias_added_by_a_node_of_its_own(onnx_net: Make, tmp_path: Path) -> None:
    net = onnx_net()
    conv = net.find("Conv_conv1")
    del conv.input[2]
    conv.output[0] = "sum"
    net.node("Add", ["sum", net.const("late", np.array([0.5, -0.25, 1.0]).reshape(1, 3, 1, 1))], "conv1")
    net.nodes.insert(net.nodes.index(conv) + 1, net.nodes.pop())
    model = exact(net.save(tmp_path / "n.onnx"))
    assert next(n for n in model.nodes if isinstance(n, Conv2D)).bias.any()


def test_types_come_from_the_file(onnx_net: Make, tmp_path: Path) -> None:
    model = read_qonnx(onnx_net(act={"mode": "FLOOR"}).save(tmp_path / "n.onnx")).model
    assert (model.input_node.rounding, model.input_node.overflow) == (Rounding.RND_CONV, Overflow.SAT)
    cast = next(n for n in model.nodes if isinstance(n, Cast))
    assert cast.types == (FixedPoint(False, 4, 3),) and cast.rounding is Rounding.TRN
    conv = next(n for n in model.nodes if isinstance(n, Conv2D))
    assert conv.weight_type == FixedPoint(True, 4, 3)
    assert model.quantizers == (("pixels", "input"), ("act1", "act1"))


def test_names_of_the_source_are_used_and_checked(onnx_net: Make, tmp_path: Path) -> None:
    path = onnx_net().save(tmp_path / "n.onnx")
    model = read_qonnx(path, names={"pixels": "first", "act1": "second"}).model
    assert model.quantizers == (("first", "input"), ("second", "act1"))
    with pytest.raises(ConfigError, match="no quantizer 'act7'"):
        read_qonnx(path, names={"act7": "x"})


class TestInputType:
    def bare(self, make: Make, tmp_path: Path) -> Path:
        net = make()
        net.find("Conv_conv1").input[0] = "frames"
        net.nodes = [n for n in net.nodes if n.name != "Quant_pixels"]
        return net.save(tmp_path / "n.onnx")

    def test_is_asked_for_with_a_proposal(self, onnx_net: Make, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="does not quantize its input") as caught:
            read_qonnx(self.bare(onnx_net, tmp_path))
        assert "--input-type 'ufixed<8,0>'" in caught.value.hint

    def test_is_used(self, onnx_net: Make, tmp_path: Path) -> None:
        model = exact(self.bare(onnx_net, tmp_path), FixedPoint.parse("fixed<9,1>"))
        assert model.tensors[model.input].type == FixedPoint(True, 9, 8)
        assert (model.input_node.rounding, model.input_node.overflow) == (Rounding.TRN, Overflow.SAT)

    def test_may_not_contradict_the_file(self, onnx_net: Make, tmp_path: Path) -> None:
        path = onnx_net().save(tmp_path / "n.onnx")
        read_qonnx(path, input_type=FixedPoint(False, 8, 8))
        with pytest.raises(ConfigError, match="quantizes its input to ufixed<8,0>"):
            read_qonnx(path, input_type=FixedPoint(False, 8, 7))


def unknown_operator(net: Any) -> None:
    net.find("Relu_relu1").op_type = "Gelu"


def foreign_domain(net: Any) -> None:
    net.find("Relu_relu1").domain = "com.example"


def no_weight_quant(net: Any) -> None:
    net.find("Conv_conv1").input[1] = "w1"


def grouped(net: Any) -> None:
    net.attribute("Conv_conv1", "group", 3)


UNSUPPORTED: list[tuple[Callable[[Any], None], str]] = [
    (unknown_operator, "'Relu_relu1' of type Gelu"),
    (foreign_domain, "'Relu_relu1' of type Relu"),
    (no_weight_quant, "weights are not quantized"),
    (grouped, "1 channels in 3 groups, the input has 1"),
    (lambda net: net.attribute("Conv_conv1", "auto_pad", "EVEN"), "auto_pad is 'EVEN'"),
    (lambda net: net.attribute("Conv_conv1", "pads", [0, 0, -1, 0]), "pads"),
    (lambda net: net.attribute("Conv_conv1", "kernel_shape", [5, 5]), "kernel_shape"),
    (lambda net: net.attribute("Conv_conv1", "strides", [1]), "strides is"),
    (lambda net: net.attribute("Conv_conv1", "mystery", 1), "attribute 'mystery'"),
    (lambda net: net.attribute("Quant_act1", "rounding_mode", "STOCHASTIC"), "rounding mode 'STOCHASTIC'"),
    (lambda net: net.const("act1_z", 3.5), "zero point, 3.5, is not a whole number"),
    (lambda net: net.const("act1_z", [0.0, 1.0, 2.0]), "a zero point for each channel"),
    (lambda net: net.const("act1_s", -0.5), "scale, -0.5, is not a positive number"),
    (lambda net: net.const("act1_s", 0.0), "scale, 0, is not a positive number"),
    (lambda net: net.const("act1_b", 3.5), "a width of 3.5 bits"),
    (lambda net: net.const("act1_b", 33), "a width of 33 bits"),
    (lambda net: net.const("act1_s", [0.5, 0.25]), r"a scale of shape \(2,\)"),
    (
        lambda net: net.const("wq1_s", np.full((1, 1, 3, 1), 0.1) + np.arange(3)[:, None]),
        "differ within an output",
    ),
]


@pytest.mark.parametrize(("change", "words"), UNSUPPORTED, ids=[w for _, w in UNSUPPORTED])
def test_what_is_not_carried_exactly_is_refused_by_name(
    onnx_net: Make, tmp_path: Path, change: Callable[[Any], None], words: str
) -> None:
    net = onnx_net()
    change(net)
    with pytest.raises(UnsupportedLayerError, match=words) as caught:
        read_qonnx(net.save(tmp_path / "n.onnx"))
    assert caught.value.exit_code == 3
    assert "Conv" in caught.value.supported and caught.value.layer in str(caught.value)
    assert caught.value.hint


def nan_weight(net: Any) -> None:
    net.constants["w1"][0, 0, 1, 1] = np.nan


def missing(net: Any) -> None:
    del net.constants["bq1_s"]


def unordered(net: Any) -> None:
    net.nodes.reverse()


def cyclic(net: Any) -> None:
    net.find("Conv_conv1").input[0] = "act1"


def twice(net: Any) -> None:
    net.find("Relu_relu1").output[0] = "conv1"


BROKEN: list[tuple[Callable[[Any], object], str]] = [
    (nan_weight, "1 values of 'w1' are NaN"),
    (missing, "'bq1_s', which nothing computes"),
    (unordered, "a cycle, or nodes out of order"),
    (cyclic, "a cycle, or nodes out of order"),
    (twice, "'conv1' is computed twice"),
    (lambda net: setattr(net, "output", "nowhere"), "output 'nowhere' is never computed"),
    (
        lambda net: setattr(net, "shape", [1, 1, "rows", 12]),
        "axis 2 of the input 'frames' has no fixed length",
    ),
    (lambda net: setattr(net, "shape", [4, 1, 12, 12]), r"the input is \(4, 1, 12, 12\)"),
    (lambda net: setattr(net, "shape", [12]), r"the input is \(12,\)"),
    (lambda net: setattr(net, "nodes", []), "its graph is empty"),
]


@pytest.mark.parametrize(("change", "words"), BROKEN, ids=[w for _, w in BROKEN])
def test_a_broken_file_is_refused(
    onnx_net: Make, tmp_path: Path, change: Callable[[Any], object], words: str
) -> None:
    net = onnx_net()
    change(net)
    with pytest.raises(ConfigError, match=words) as caught:
        read_qonnx(net.save(tmp_path / "n.onnx"))
    assert caught.value.hint


def test_weights_in_another_file_are_refused(onnx_net: Make, tmp_path: Path) -> None:
    import onnx

    path = tmp_path / "n.onnx"
    onnx.save(onnx_net().model(), path, save_as_external_data=True, location="n.data", size_threshold=0)
    with pytest.raises(ConfigError, match="kept in another file"):
        read_qonnx(path)


def test_truncated_and_random_files_are_refused(onnx_net: Make, tmp_path: Path) -> None:
    path = onnx_net().save(tmp_path / "n.onnx")
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for size in [0, 1, 7, *rng.integers(8, len(whole) - 1, 40)]:
        path.write_bytes(whole[:size])
        with pytest.raises((ConfigError, UnsupportedLayerError)):
            read_qonnx(path)
    path.write_bytes(rng.bytes(5000))
    with pytest.raises(ConfigError):
        read_qonnx(path)
    with pytest.raises(ConfigError, match="No such file"):
        read_qonnx(tmp_path / "absent.onnx")
