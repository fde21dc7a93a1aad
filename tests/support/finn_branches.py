"""Brevitas networks with residuals, for FINN: some that it carries with our layers, some that break a rule."""

from __future__ import annotations

import brevitas.nn as qnn
import torch
from brevitas.quant import Int8ActPerTensorFloat, Int8WeightPerTensorFloat
from brevitas_networks import convolution, identity, relu


def _same(inputs: int, outputs: int) -> qnn.QuantConv2d:
    """A 3 × 3 convolution that keeps the frame's size."""
    return qnn.QuantConv2d(
        inputs, outputs, 3, padding=1, bias=False, weight_quant=Int8WeightPerTensorFloat, weight_bit_width=4
    )


class Residual(torch.nn.Module):
    """One block whose two terms are quantized by one and the same quantizer."""

    def __init__(self) -> None:
        super().__init__()
        self.entry = torch.nn.Sequential(identity(), convolution(1, 4, 3), relu())
        self.body, self.shared = _same(4, 4), identity(5)
        self.tail = torch.nn.Sequential(relu(), convolution(4, 3, 3, 2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.entry(x)
        return self.tail(self.shared(x) + self.shared(self.body(x)))


class Projected(torch.nn.Module):
    """A block with a projection beside it, behind a batch norm."""

    def __init__(self) -> None:
        super().__init__()
        norm = torch.nn.BatchNorm2d(4)
        self.entry = torch.nn.Sequential(identity(), convolution(1, 4, 3), norm, identity())
        self.body = torch.nn.Sequential(_same(4, 4), relu(), _same(4, 4))
        self.beside, self.shared = convolution(4, 4, 1), identity(5)
        self.tail = torch.nn.Sequential(relu(), convolution(4, 3, 3, 2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.entry(x)
        return self.tail(self.shared(self.beside(x)) + self.shared(self.body(x)))


class Eltwise(torch.nn.Module):
    """Brevitas' own QuantEltwiseAdd."""

    def __init__(self) -> None:
        super().__init__()
        self.entry = torch.nn.Sequential(identity(), convolution(1, 4, 3), relu())
        self.body = torch.nn.Sequential(_same(4, 4), relu())
        quantizers = {"input_quant": Int8ActPerTensorFloat, "output_quant": Int8ActPerTensorFloat}
        self.add = qnn.QuantEltwiseAdd(**quantizers, input_bit_width=4, output_bit_width=4)
        self.tail = convolution(4, 3, 3, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.entry(x)
        return self.tail(self.add(x, self.body(x)))


class FromTheInput(torch.nn.Module):
    """The frame itself is one of the terms, and the sum is the network's result."""

    def __init__(self) -> None:
        super().__init__()
        self.shared = identity()
        self.body = torch.nn.Sequential(_same(1, 4), relu(), _same(4, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.shared(x)
        return x + self.shared(self.body(x))


class Dense(torch.nn.Module):
    """Fully connected layers with a residual."""

    def __init__(self) -> None:
        super().__init__()

        def layer(inputs: int, outputs: int) -> qnn.QuantLinear:
            weights = {"weight_quant": Int8WeightPerTensorFloat, "weight_bit_width": 4}
            return qnn.QuantLinear(inputs, outputs, bias=False, **weights)

        self.entry = torch.nn.Sequential(torch.nn.Flatten(), identity(), layer(100, 16), relu())
        self.body, self.shared = layer(16, 16), identity(5)
        self.tail = torch.nn.Sequential(relu(), layer(16, 5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.entry(x)
        return self.tail(self.shared(x) + self.shared(self.body(x)))


class TwoScales(Residual):
    """A quantizer of its own for each term, so that their codes cannot be added."""

    def __init__(self) -> None:
        super().__init__()
        self.other = identity(3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.entry(x)
        return self.tail(self.other(x) + self.shared(self.body(x)))


def two_scales() -> torch.nn.Module:
    """See `TwoScales`."""
    return TwoScales()


def overlapping() -> torch.nn.Module:
    """Signed codes through a maximum of overlapping windows, and a second one of whole 2 × 2 windows."""
    pools = (torch.nn.MaxPool2d(3, stride=2), torch.nn.MaxPool2d(2))
    return torch.nn.Sequential(
        identity(),
        convolution(1, 4, 3),
        identity(3),
        pools[0],
        _same(4, 4),
        relu(),
        convolution(4, 2, 2),
        pools[1],
    )


def averaged() -> torch.nn.Module:
    """A mean over windows."""
    return torch.nn.Sequential(
        identity(), convolution(1, 4, 3), relu(), torch.nn.AvgPool2d(2), convolution(4, 2, 3)
    )
