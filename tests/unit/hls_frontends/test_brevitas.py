"""Brevitas modules as users write them, exported, read, and held against QONNX' executor at every quantizer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dwell.hls.frontends.network import network_from_file
from dwell.hls.frontends.qonnx_execute import execute_qonnx
from dwell.hls.frontends.reading import Reading
from dwell.hls.gate import compare_frames, probe_frames
from dwell.hls.qmodel import Add, Conv2D, Dense, FixedPoint, Table


def export(net: Any, shape: tuple[int, ...], folder: Path) -> Path:
    """Calibrate a module on random frames, and export it as Brevitas does."""
    import torch
    from brevitas.export import export_qonnx

    torch.set_num_threads(1)
    with torch.no_grad():
        for _ in range(6):
            net(torch.rand(8, *shape) * 2 - 0.5)
    net.eval()
    path = folder / "net.onnx"
    export_qonnx(net, torch.rand(1, *shape), export_path=str(path))
    return path


def check(path: Path, *, strict: bool, frames: int = 40) -> Reading:
    """Compare with the executor; with `strict`, no code is left to float32 rounding."""
    network = network_from_file(path, None)
    reading = network.reading("net")
    found = compare_frames(reading, network, probe_frames(reading.model)[:frames])
    assert found.compared > 0
    if strict:
        assert not reading.slack and found.within_rounding == 0 and found.logit_error == 0.0
    assert found.within_rounding < 0.001 * found.compared
    return reading


def quantizers(fixed: bool) -> dict[str, Any]:
    """Weight and activation quantizers: power-of-two scales, or float ones."""
    from brevitas import quant

    if fixed:
        return {
            "weight": quant.Int8WeightPerTensorFixedPoint,
            "act": quant.Uint8ActPerTensorFixedPoint,
            "signed": quant.Int8ActPerTensorFixedPoint,
        }
    return {
        "weight": quant.Int8WeightPerChannelFloat,
        "act": quant.Uint8ActPerTensorFloat,
        "signed": quant.Int8ActPerTensorFloat,
    }


def mlp(fixed: bool) -> Any:
    import torch
    from brevitas import nn as qnn
    from brevitas.quant import Int16Bias

    q = quantizers(fixed)
    layers: list[Any] = [qnn.QuantIdentity(act_quant=q["signed"], return_quant_tensor=True)]
    for cin, cout in ((10, 16), (16, 12), (12, 5)):
        last = cout == 5
        layers.append(
            qnn.QuantLinear(
                cin,
                cout,
                bias=True,
                weight_quant=q["weight"],
                weight_bit_width=5,
                bias_quant=Int16Bias,
                return_quant_tensor=not last,
            )
        )
        if not last:
            layers.append(qnn.QuantReLU(act_quant=q["act"], bit_width=4, return_quant_tensor=True))
    return torch.nn.Sequential(*layers)


def cnn(fixed: bool) -> Any:
    import torch
    from brevitas import nn as qnn

    q = quantizers(fixed)

    class Net(torch.nn.Module):  # type: ignore[misc]
        """A residual over a depthwise layer, float batch norm, pooling, a dense end."""

        def __init__(self) -> None:
            super().__init__()
            conv = {"weight_quant": q["weight"], "weight_bit_width": 4, "bias": False}
            self.entry = qnn.QuantIdentity(act_quant=q["act"], return_quant_tensor=True)
            self.first = qnn.QuantConv2d(2, 6, 3, padding=1, **conv)
            self.norm = torch.nn.BatchNorm2d(6)
            self.shared = qnn.QuantReLU(act_quant=q["act"], bit_width=4, return_quant_tensor=True)
            self.depthwise = qnn.QuantConv2d(6, 6, 3, padding=1, groups=6, **conv)
            self.pointwise = qnn.QuantConv2d(6, 6, 1, **conv)
            self.middle = qnn.QuantReLU(act_quant=q["act"], bit_width=4, return_quant_tensor=True)
            self.pool = torch.nn.MaxPool2d(2)
            self.after = qnn.QuantReLU(act_quant=q["act"], bit_width=5, return_quant_tensor=True)
            self.mean = torch.nn.AdaptiveAvgPool2d(1)
            self.end = qnn.QuantLinear(6, 4, bias=True, weight_quant=q["weight"], weight_bit_width=5)

        def forward(self, x: Any) -> Any:
            x = self.shared(self.norm(self.first(self.entry(x))))
            y = self.shared(self.pointwise(self.middle(self.depthwise(x))))
            z = self.after(self.pool(torch.add(x, y)))
            mean = self.mean(z.value if hasattr(z, "value") else z)
            return self.end(torch.flatten(mean, 1))

    return Net()


@pytest.mark.parametrize(
    ("make", "shape", "fixed"),
    [
        pytest.param(mlp, (10,), True, id="mlp, powers of two", marks=pytest.mark.slow),
        pytest.param(mlp, (10,), False, id="mlp, float scales", marks=pytest.mark.slow),
        pytest.param(cnn, (2, 8, 8), True, id="cnn, powers of two", marks=pytest.mark.slow),
        pytest.param(cnn, (2, 8, 8), False, id="cnn, float scales"),
    ],
)
def test_networks_of_brevitas(
    tmp_path: Path, make: Callable[[bool], Any], shape: tuple[int, ...], fixed: bool
) -> None:
    import torch

    torch.manual_seed(1)
    reading = check(export(make(fixed), shape, tmp_path), strict=fixed and make is mlp)
    kinds = [type(node) for node in reading.model.nodes]
    if make is cnn:
        convs = [node for node in reading.model.nodes if isinstance(node, Conv2D)]
        assert [node.groups for node in convs] == [1, 6, 1] and Add in kinds and Table in kinds
    else:
        assert kinds.count(Dense) == 3 and (Table in kinds) is not fixed


@pytest.mark.slow
@pytest.mark.parametrize("form", ["binary", "ternary"])
def test_binary_and_ternary_weights_of_brevitas(tmp_path: Path, form: str) -> None:
    import torch
    from brevitas import nn as qnn
    from brevitas.core.quant import QuantType
    from brevitas.core.scaling import ScalingImplType

    torch.manual_seed(2)
    kind = QuantType.BINARY if form == "binary" else QuantType.TERNARY
    weight = {"weight_quant_type": kind, "weight_scaling_impl_type": ScalingImplType.CONST}
    weight |= {"weight_scaling_init": 1.0, "weight_bit_width": 1 if form == "binary" else 2}
    if form == "ternary":
        weight["weight_threshold"] = 0.3
    sign = {"quant_type": QuantType.BINARY, "scaling_impl_type": ScalingImplType.CONST, "bit_width": 1}
    net = torch.nn.Sequential(
        qnn.QuantIdentity(**sign, min_val=-1.0, max_val=1.0, return_quant_tensor=True),
        qnn.QuantLinear(12, 16, bias=False, **weight),
        torch.nn.BatchNorm1d(16),
        qnn.QuantIdentity(**sign, min_val=-1.0, max_val=1.0, return_quant_tensor=True),
        qnn.QuantLinear(16, 4, bias=False, **weight),
    )
    path = export(net, (12,), tmp_path)
    network = network_from_file(path, FixedPoint.parse("fixed<8,2>"))
    reading = network.reading("net")
    found = compare_frames(reading, network, probe_frames(reading.model)[:64])
    assert found.within_rounding == 0 and found.logit_error == 0.0
    for node in reading.model.nodes:
        if isinstance(node, Dense):
            assert set(np.unique(node.weight)) <= ({-1, 1} if form == "binary" else {-1, 0, 1})


@pytest.mark.slow
@pytest.mark.parametrize(("name", "shape"), [("tfc_1w1a", (1, 28, 28)), ("cnv_2w2a", (3, 32, 32))])
def test_networks_of_finn(tmp_path: Path, name: str, shape: tuple[int, ...]) -> None:
    """Brevitas' own examples, untrained: binary and ternary weights, sign activations, a scaled end."""
    import torch
    from brevitas_examples.bnn_pynq.models import model_with_cfg

    torch.manual_seed(0)
    net, _ = model_with_cfg(name, False)
    path = export(net, shape, tmp_path)
    network = network_from_file(path, FixedPoint.parse("ufixed<8,0>"))
    reading = network.reading("net")
    found = compare_frames(reading, network, probe_frames(reading.model)[:12])
    assert not reading.slack and found.within_rounding == 0 and found.logit_error < 1e-5
    assert any("scale and offset" in note for note in reading.model.notes)


@pytest.mark.slow
def test_the_kernels_are_those_of_the_executor(tmp_path: Path) -> None:
    """Frame by frame with kept sessions is what QONNX' own `execute_onnx` does."""
    import torch
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.core.onnx_exec import execute_onnx
    from qonnx.transformation.infer_shapes import InferShapes

    torch.manual_seed(3)
    path = export(cnn(False), (2, 8, 8), tmp_path)
    frames = np.random.default_rng(0).random((3, 8, 8, 2), dtype=np.float32)
    model = ModelWrapper(str(path)).transform(InferShapes())
    names = [node.output[0] for node in model.graph.node if node.op_type == "Quant"][-3:]
    found = execute_qonnx(path, frames, names)
    for index, frame in enumerate(frames):
        fed = {model.graph.input[0].name: np.ascontiguousarray(frame.transpose(2, 0, 1)[None])}
        context = execute_onnx(model, fed, return_full_exec_context=True)
        for name in (*names, ""):
            value = context[name or model.graph.output[0].name]
            if value.shape[0] == 1:
                value = value[0].transpose(1, 2, 0) if value.ndim == 4 else value[0]
                assert np.array_equal(found[name][index], value)
