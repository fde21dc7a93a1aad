"""Small Brevitas networks under FINN's rules, and some that break one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import brevitas.nn as qnn
import torch
from brevitas.export import export_qonnx
from brevitas.quant import Int8ActPerTensorFloat, Int8WeightPerTensorFloat, Uint8ActPerTensorFloat


def _convolution(inputs: int, outputs: int, kernel: int, stride: int = 1, **more: Any) -> Any:
    options = {"weight_quant": Int8WeightPerTensorFloat, "weight_bit_width": 4, "bias": False} | more
    return qnn.QuantConv2d(inputs, outputs, kernel, stride=stride, **options)


def _relu(bits: int = 4) -> Any:
    return qnn.QuantReLU(act_quant=Uint8ActPerTensorFloat, bit_width=bits)


def _identity(bits: int = 4) -> Any:
    return qnn.QuantIdentity(act_quant=Int8ActPerTensorFloat, bit_width=bits)


def strided_cnn() -> torch.nn.Module:
    """Three convolutions, two of them with stride 2, on 10 × 10 frames: a 1 × 1 score in the end."""
    return torch.nn.Sequential(
        _identity(), _convolution(1, 4, 3), _relu(), _convolution(4, 6, 3, 2), _relu(), _convolution(6, 3, 3)
    )


def pooled() -> torch.nn.Module:
    """A maximum pooling, which FINN has in HLS only."""
    return torch.nn.Sequential(
        _identity(), _convolution(1, 4, 3), _relu(), torch.nn.MaxPool2d(2), _convolution(4, 2, 3)
    )


def binary_activations() -> torch.nn.Module:
    """Activations of one bit."""
    return torch.nn.Sequential(_identity(), _convolution(1, 4, 3), _relu(1), _convolution(4, 2, 3))


def wide_weights() -> torch.nn.Module:
    """A weight at the lowest code of its type."""
    network = torch.nn.Sequential(
        _identity(), _convolution(1, 4, 3, weight_narrow_range=False), _relu(), _convolution(4, 2, 3)
    )
    with torch.no_grad():
        network[1].weight[0, 0, 0, 0] = -2.0 * network[1].weight.abs().max()
    return network


def export(network: torch.nn.Module, path: Path, side: int = 10) -> Path:
    """Weights from a seed, ranges from a few frames, and out as QONNX."""
    torch.manual_seed(3)
    for layer in network:
        if isinstance(layer, qnn.QuantConv2d) and layer.weight_quant.is_narrow_range:
            torch.nn.init.normal_(layer.weight, std=0.5)
    network.train()
    for _ in range(5):
        network(torch.rand(8, 1, side, side) * 2 - 1)
    network.eval()
    export_qonnx(network, torch.zeros(1, 1, side, side), export_path=str(path))
    return path
