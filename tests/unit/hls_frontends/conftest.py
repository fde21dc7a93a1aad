"""Small networks of the detector's family, made by the frameworks themselves or node by node."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")


@dataclass
class OnnxNet:
    """A QONNX file under construction: an 8-bit input, two convolutions, a score. Tests change its parts."""

    nodes: list[Any] = field(default_factory=list)
    constants: dict[str, np.ndarray] = field(default_factory=dict)
    shape: list[int | str] = field(default_factory=lambda: [1, 1, 12, 12])
    output: str = "score"

    opset: int = 20
    custom_opset: int = 2

    def const(self, name: str, value: object, kind: type = np.float32) -> str:
        self.constants[name] = np.asarray(value, dtype=kind)
        return name

    def node(self, op: str, inputs: list[str], output: str, **attributes: Any) -> str:
        from onnx import helper

        domain = "qonnx.custom_op.general" if op in ("Quant", "BipolarQuant", "Trunc") else ""
        outputs = output.split()
        name = f"{op}_{outputs[0]}"
        self.nodes.append(helper.make_node(op, inputs, outputs, name=name, domain=domain, **attributes))
        return outputs[0]

    def weights(
        self, shape: tuple[int, ...], name: str, scale: object = 0.25, bits: int = 4, **choice: Any
    ) -> str:
        """A quantized constant of normal numbers, its seed its name."""
        rng = np.random.default_rng(sum(name.encode()))
        spread = float(np.max(scale)) * 2 ** (bits - 2)
        const = self.const(name, rng.normal(0, spread, shape))
        return self.quant(const, f"{name}_q", scale, bits, **{"signed": 1, "narrow": 1} | choice)

    def quant(
        self,
        source: str,
        output: str,
        scale: object,
        bits: float,
        *,
        signed: int = 0,
        narrow: int = 0,
        mode: str = "ROUND",
        zero: object = 0.0,
    ) -> str:
        names = [
            source,
            self.const(f"{output}_s", scale),
            self.const(f"{output}_z", zero),
            self.const(f"{output}_b", bits),
        ]
        return self.node("Quant", names, output, signed=signed, narrow=narrow, rounding_mode=mode)

    def attribute(self, node: str, name: str, value: Any) -> None:
        """Set, or with None remove, an attribute of a finished node."""
        from onnx import helper

        found = next(n for n in self.nodes if n.name == node)
        kept = [a for a in found.attribute if a.name != name]
        del found.attribute[:]
        found.attribute.extend(kept)
        if value is not None:
            found.attribute.append(helper.make_attribute(name, value))

    def find(self, name: str) -> Any:
        return next(n for n in self.nodes if n.name == name)

    def model(self) -> Any:
        from onnx import TensorProto, helper, numpy_helper

        graph = helper.make_graph(
            self.nodes,
            "net",
            [helper.make_tensor_value_info("frames", TensorProto.FLOAT, self.shape)],
            [helper.make_tensor_value_info(self.output, TensorProto.FLOAT, None)],
            [numpy_helper.from_array(value, name) for name, value in self.constants.items()],
        )
        imports = [
            helper.make_opsetid("", self.opset),
            helper.make_opsetid("qonnx.custom_op.general", self.custom_opset),
        ]
        return helper.make_model(graph, opset_imports=imports, ir_version=9)

    def save(self, path: Path) -> Path:
        path.write_bytes(self.model().SerializeToString())
        return path


def detector(**choice: Any) -> OnnxNet:
    """The usual network. `choice`: `weight_scale`, `act` (arguments of the activation's Quant), `pads`, …"""
    rng = np.random.default_rng(3)
    net = OnnxNet()
    at = net.quant("frames", "pixels", 2.0**-8, 8)
    for index, (cin, cout, kernel) in enumerate([(1, 3, 3), (3, 1, 2)], start=1):
        weight = net.const(f"w{index}", rng.normal(0, 0.3, (cout, cin, kernel, kernel)))
        scale = choice.get("weight_scale", 2.0**-3)
        scale = np.asarray(scale).reshape(-1, 1, 1, 1)[: cout if np.size(scale) > 1 else 1]
        weight = net.quant(
            weight, f"wq{index}", np.squeeze(scale) if scale.size == 1 else scale, 4, signed=1, narrow=1
        )
        bias = net.quant(
            net.const(f"b{index}", rng.normal(0, 0.2, cout)), f"bq{index}", 2.0**-11, 16, signed=1
        )
        last = index == 2
        attributes = {"kernel_shape": [kernel, kernel], "group": 1, "auto_pad": "NOTSET"}
        attributes |= {
            key: choice.get(key, default)
            for key, default in (("pads", [0, 0, 0, 0]), ("strides", [1, 1]), ("dilations", [1, 1]))
        }
        at = net.node("Conv", [at, weight, bias], "score" if last else f"conv{index}", **attributes)
        if not last:
            at = net.node("Relu", [at], f"relu{index}")
            act = {"scale": 0.125, "bits": 4} | choice.get("act", {})
            at = net.quant(at, f"act{index}", act.pop("scale"), act.pop("bits"), **act)
    return net


@pytest.fixture
def onnx_net() -> Callable[..., OnnxNet]:
    return detector


@pytest.fixture
def empty_net() -> Callable[..., OnnxNet]:
    """A net of a given input shape, without nodes."""
    return lambda *shape: OnnxNet(shape=list(shape))


@pytest.fixture(scope="session")
def brevitas_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The detector's architecture in Brevitas, random, exported by `export_qonnx`, tidied by QONNX."""
    import torch
    from brevitas import nn as qnn
    from brevitas.core.scaling import ScalingImplType
    from brevitas.export import export_qonnx
    from brevitas.quant import Int8WeightPerTensorFixedPoint, Int16Bias, Uint8ActPerTensorFixedPoint
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.util.cleanup import cleanup_model

    class Pixels(Uint8ActPerTensorFixedPoint):  # type: ignore[misc]
        scaling_impl_type = ScalingImplType.CONST
        scaling_init = 255 / 256

    class Weight(Int8WeightPerTensorFixedPoint):  # type: ignore[misc]
        bit_width = 4

    class Activation(Uint8ActPerTensorFixedPoint):  # type: ignore[misc]
        bit_width = 4

    torch.manual_seed(0)
    torch.set_num_threads(1)
    layers: list[torch.nn.Module] = [qnn.QuantIdentity(act_quant=Pixels, return_quant_tensor=True)]
    for cin, cout, kernel in ((1, 6, 5), (6, 8, 3), (8, 6, 3), (6, 1, 3)):
        last = cout == 1
        layers.append(
            qnn.QuantConv2d(
                cin,
                cout,
                kernel,
                weight_quant=Weight,
                bias=True,
                bias_quant=Int16Bias,
                return_quant_tensor=not last,
            )
        )
        if not last:
            layers.append(qnn.QuantReLU(act_quant=Activation, return_quant_tensor=True))
    net = torch.nn.Sequential(*layers)
    with torch.no_grad():
        for _ in range(8):  # calibrates the activations' scales
            net(torch.rand(4, 1, 32, 32))
    net.eval()
    path = tmp_path_factory.mktemp("brevitas") / "net.onnx"
    export_qonnx(net, torch.rand(1, 1, 32, 32), export_path=str(path))
    cleanup_model(ModelWrapper(str(path))).save(str(path))
    return path


def build_keras(**choice: Any) -> Any:
    """The detector in HGQ2, random, its ranges traced. `choice` goes to the data quantizers."""
    import keras
    from hgq.config import LayerConfigScope, QuantizerConfigScope
    from hgq.layers import QConv2D
    from hgq.utils import trace_minmax

    data = {"overflow_mode": "WRAP", "round_mode": "RND", "heterogeneous_axis": ()} | choice
    keras.utils.set_random_seed(0)
    with (
        QuantizerConfigScope(q_type="kbi", place="weight", overflow_mode="SAT_SYM", round_mode="RND"),
        QuantizerConfigScope(q_type="kif", place="datalane", **data),
        LayerConfigScope(enable_ebops=True, beta0=1e-5),
    ):
        at = entry = keras.layers.Input((32, 32, 1))
        for index, (cout, kernel) in enumerate([(6, 5), (8, 3), (6, 3), (1, 3)], start=1):
            at = QConv2D(cout, kernel, activation="relu" if index < 4 else None, name=f"conv{index}")(at)
        model = keras.Model(entry, at)
    rng = np.random.default_rng(0)
    for layer in model.layers[1:]:
        layer.bias.assign(rng.normal(0, 0.1, layer.bias.shape))
    trace_minmax(model, np.floor(rng.random((32, 32, 32, 1)) * 256).astype(np.float32) / 256, verbose=False)
    return model


@pytest.fixture(scope="session")
def keras_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("keras") / "net.keras"
    build_keras().save(path)
    yield path


@pytest.fixture(name="build_keras", scope="session")
def build_keras_fixture() -> Callable[..., Any]:
    return build_keras
