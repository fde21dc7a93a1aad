"""The fixed family of networks: a chain of small valid convolutions with ReLU, one score per window.

`Architecture` is plain data (it goes to `arch.json`); `build` makes the float torch module of it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dwell.errors import ConfigError

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class ConvLayer:
    """A square convolution, stride 1, no padding, with bias; `inputs` and `outputs` are channels."""

    name: str
    kernel: int
    inputs: int
    outputs: int
    relu: bool


@dataclass(frozen=True)
class Architecture:
    """Layers from the frame to the score."""

    layers: tuple[ConvLayer, ...]

    @property
    def window(self) -> int:
        """Side of the input window of one decision, in pixels."""
        return 1 + sum(layer.kernel - 1 for layer in self.layers)

    @property
    def weights(self) -> int:
        """Number of weights, biases left out."""
        return sum(layer.kernel**2 * layer.inputs * layer.outputs for layer in self.layers)

    def save(self, path: Path) -> None:
        """Write `arch.json`."""
        rows = [
            {"name": w.name, "kernel": w.kernel, "in": w.inputs, "out": w.outputs, "relu": w.relu}
            for w in self.layers
        ]
        path.write_text(json.dumps({"layers": rows, "window": self.window}, indent=2) + "\n")

    @classmethod
    def load(cls, path: Path) -> Architecture:
        """Read `arch.json`. Raises `ConfigError` when it is not one."""
        try:
            rows = json.loads(path.read_text())["layers"]
            return cls(tuple(ConvLayer(r["name"], r["kernel"], r["in"], r["out"], r["relu"]) for r in rows))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigError(
                f"no architecture in {path}: {error}", place=str(path), hint="build the stage 'train' first"
            ) from error


DEFAULT = Architecture(
    (
        ConvLayer("conv1", 5, 1, 6, True),
        ConvLayer("conv2", 3, 6, 8, True),
        ConvLayer("conv3", 3, 8, 6, True),
        ConvLayer("conv4", 3, 6, 1, False),
    )
)
"""1,068 weights, window 11 x 11."""

INPUT_MEAN, INPUT_STD = 0.21, 0.12
"""Of the pixels of a typical frame. The first layer starts as if its input had been standardised by them."""
PRIOR_LOGIT = -4.0
"""Where the score starts: vacancies are rare."""
SCORE_GAIN = 0.3
"""Of the last layer's first weights, so that training starts from nearly that score everywhere."""


def build(architecture: Architecture) -> torch.nn.Sequential:
    """The float network: (B, 1, H, W) -> scores (B, 1, H - window + 1, W - window + 1).

    Modules are named as in the architecture, `conv1`, `relu1`, … Weights start from torch's global seed.
    """
    from collections import OrderedDict

    from torch import nn

    parts: OrderedDict[str, nn.Module] = OrderedDict()
    for number, layer in enumerate(architecture.layers, 1):
        conv = nn.Conv2d(layer.inputs, layer.outputs, layer.kernel)
        nn.init.kaiming_normal_(conv.weight, nonlinearity="relu" if layer.relu else "linear")
        nn.init.zeros_(conv.bias)
        if number == 1:
            _standardise_input(conv)
        if number == len(architecture.layers):
            conv.weight.data *= SCORE_GAIN
            nn.init.constant_(conv.bias, PRIOR_LOGIT)
        parts[layer.name] = conv
        if layer.relu:
            parts[f"relu{number}"] = nn.ReLU()
    return nn.Sequential(parts)


def _standardise_input(conv: torch.nn.Conv2d) -> None:
    """Fold (x - INPUT_MEAN) / INPUT_STD into a convolution's weights and bias."""
    import torch

    with torch.no_grad():
        conv.weight /= INPUT_STD
        if conv.bias is not None:
            conv.bias -= INPUT_MEAN * conv.weight.sum(dim=(1, 2, 3))
