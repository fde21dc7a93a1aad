"""FINN's rules, of which a chain of convolutions breaks none by its kind but may by its sizes.

What FINN+ 1.6.1 does with a network was found by trying (environment `finn`):

- Rounding. It takes every activation for one that rounds to the nearest and gives ties to the upper neighbour, where
  Brevitas gives them to the even one; with power-of-two scales there are ties. Activations that round down have none:
  `dwell.hls.finn.settle` says them so that FINN's thresholds are exactly theirs.
- Scales may be any, one for each channel of weights too; they end up in the thresholds. Biases as well.
- Weights are signed and narrow (no lowest code), of 2 to 8 bits: the multipliers of 7-series parts take no other.
- Activations are unsigned after a ReLU, of 2 to 8 bits.
- The first quantizer, and the last layer's bias and scale, are left to the host.
- FINN's graph holds sums and thresholds as single-precision floats: beyond `LARGEST_SUM` they are not exact. (The
  multipliers themselves would take 48 bits.)
- A layer of a single product a result makes the library's matrix unit lose data.
"""

from __future__ import annotations

from collections.abc import Sequence

from dwell.errors import ConfigError
from dwell.quantize.job import Layer

#: Up to here every integer is a single-precision float.
LARGEST_SUM = 2**24


def check_rules(layers: Sequence[Layer], weight_bits: Sequence[int], input_bits: Sequence[int]) -> None:
    """Raise `ConfigError` naming the layer that FINN has no RTL for; `input_bits` are of what enters each."""
    for layer, weights, entering in zip(layers, weight_bits, input_bits, strict=True):
        products = layer.kernel**2 * layer.inputs
        if products < 2:
            raise ConfigError(
                f"layer '{layer.name}' has one product a result, at which FINN's matrix unit loses data",
                hint='give it a larger kernel or more channels, or leave rules = "finn" out',
                place=f"quantize.rules, {layer.name}",
            )
        largest = products * (2 ** (weights - 1) - 1) * (2**entering - 1)
        if largest > LARGEST_SUM:
            raise ConfigError(
                f"layer '{layer.name}' can have sums of {largest.bit_length()} bits; FINN's graph, of single-precision "
                "floats, holds 24",
                hint=f"fewer bits than {weights} for its weights or {entering} for what enters it, or fewer channels",
                place=f"quantize.rules, {layer.name}",
            )
