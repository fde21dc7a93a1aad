"""Small Brevitas networks that benches and tests share."""

from __future__ import annotations

from pathlib import Path

import brevitas.nn as qnn
import torch
from brevitas.export import export_qonnx
from brevitas.quant import Int8ActPerTensorFloat, Int8WeightPerTensorFloat, Uint8ActPerTensorFloat


def convolution(
    inputs: int, outputs: int, kernel: int, stride: int = 1, *, narrow: bool = True
) -> qnn.QuantConv2d:
    """A valid convolution without bias, weights of 4 bits; `narrow` leaves out their lowest code."""
    return qnn.QuantConv2d(
        inputs,
        outputs,
        kernel,
        stride=stride,
        bias=False,
        weight_quant=Int8WeightPerTensorFloat,
        weight_bit_width=4,
        weight_narrow_range=narrow,
    )


def relu(bits: int = 4) -> qnn.QuantReLU:
    """ReLU to unsigned codes."""
    return qnn.QuantReLU(act_quant=Uint8ActPerTensorFloat, bit_width=bits)


def identity(bits: int = 4) -> qnn.QuantIdentity:
    """A quantizer to signed codes."""
    return qnn.QuantIdentity(act_quant=Int8ActPerTensorFloat, bit_width=bits)


def strided_cnn() -> torch.nn.Module:
    """Three convolutions, the second with stride 2, on 10 × 10 frames: three scores in the end."""
    return torch.nn.Sequential(
        identity(), convolution(1, 4, 3), relu(), convolution(4, 6, 3, 2), relu(), convolution(6, 3, 3)
    )


def export(network: torch.nn.Module, path: Path, side: int = 10) -> Path:
    """Weights from a seed, ranges from a few frames, and out as QONNX."""
    torch.manual_seed(3)
    for layer in network.modules():
        if isinstance(layer, qnn.QuantConv2d) and layer.weight_quant.is_narrow_range:
            torch.nn.init.normal_(layer.weight, std=0.5)
    network.train()
    for _ in range(5):
        network(torch.rand(8, 1, side, side) * 2 - 1)
    network.eval()
    export_qonnx(network, torch.zeros(1, 1, side, side), export_path=str(path))
    return path
