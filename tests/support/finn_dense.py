"""Small fully connected Brevitas networks under FINN's rules."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import brevitas.nn as qnn
import torch
from brevitas.export import export_qonnx
from brevitas.quant import (
    Int8ActPerTensorFixedPoint,
    Int8ActPerTensorFloat,
    Int8WeightPerTensorFixedPoint,
    Int8WeightPerTensorFloat,
    Uint8ActPerTensorFixedPoint,
    Uint8ActPerTensorFloat,
)


def dense(sizes: Sequence[int], seed: int = 3) -> torch.nn.Sequential:
    """Layers of 4-bit weights and activations from `sizes[0]` inputs to `sizes[-1]` sums.

    Weights come from `seed`; the largest of a layer is that of every seed, so that scales stay.
    """
    torch.manual_seed(seed)
    layers: list[torch.nn.Module] = [qnn.QuantIdentity(act_quant=Int8ActPerTensorFloat, bit_width=4)]
    for inputs, outputs in pairwise(sizes):
        if len(layers) > 1:
            layers.append(qnn.QuantReLU(act_quant=Uint8ActPerTensorFloat, bit_width=4))
        layer = qnn.QuantLinear(
            inputs, outputs, bias=False, weight_quant=Int8WeightPerTensorFloat, weight_bit_width=4
        )
        with torch.no_grad():
            weight = torch.randn(outputs, inputs).clamp(-2, 2)
            weight.view(-1)[0] = 2.0
            layer.weight.copy_(weight)
        layers.append(layer)
    return torch.nn.Sequential(*layers)


def shuffled(network: torch.nn.Sequential, seed: int) -> torch.nn.Sequential:
    """The network with other weights, whose scales are the same."""
    torch.manual_seed(seed)
    for layer in network:
        if isinstance(layer, qnn.QuantLinear):
            with torch.no_grad():
                weight = layer.weight.reshape(-1)
                layer.weight.copy_(weight[torch.randperm(len(weight))].reshape(layer.weight.shape))
    return network


def export(network: torch.nn.Sequential, path: Path, *, frames: int = 5) -> Path:
    """Ranges of activations from a few frames, and out as QONNX."""
    inputs = next(layer.in_features for layer in network if isinstance(layer, qnn.QuantLinear))
    torch.manual_seed(5)
    network.train()
    for _ in range(frames):
        network(torch.rand(8, inputs) * 2 - 1)
    network.eval()
    export_qonnx(network, torch.zeros(1, inputs), export_path=str(path))
    return path


def export_power_of_two(path: Path) -> Path:
    """Two layers of 8 inputs whose scales are powers of two: many sums lie half way between two codes."""
    torch.manual_seed(1)
    weights = {"bias": False, "weight_quant": Int8WeightPerTensorFixedPoint, "weight_bit_width": 4}
    network = torch.nn.Sequential(
        qnn.QuantIdentity(act_quant=Int8ActPerTensorFixedPoint, bit_width=4),
        qnn.QuantLinear(8, 8, **weights),
        qnn.QuantReLU(act_quant=Uint8ActPerTensorFixedPoint, bit_width=3),
        qnn.QuantLinear(8, 4, **weights),
    )
    return export(network, path)
