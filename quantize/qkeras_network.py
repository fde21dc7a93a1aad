"""The quantized twin in QKeras (Keras 2): widths are given, ranges are powers of two.

Types, a value being code * 2**-frac; QKeras rounds to the nearest, ties to even, and saturates:

- input: ufixed<8,0>, that is 8 bits, frac 8
- weights: signed, symmetric; QKeras picks a power of two for each channel from the weights (alpha="auto_po2")
- biases: 16 bits
- activations: unsigned, after the ReLU; one range for each layer, of at least [0, 1)
- score: the last layer's sum as it is

QKeras 0.9 takes no negative number of integer bits, hence the ranges of at least 1.
Only a process of the environment `qkeras` can import this.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import qkeras
import tf_keras
from numpy.typing import NDArray

from dwell.quantize.job import INPUT_FRAC, FloatLayer, Layer, Quantizer

INPUT_BITS = 8
BIAS_BITS = 16


@dataclass(frozen=True)
class Types:
    """Widths of each layer's weights; widths and fraction bits of each activation but the last layer's; integer
    bits of each layer's biases."""

    weight_bits: Sequence[int]
    activation_bits: Sequence[int]
    activation_fracs: Sequence[int]
    bias_integers: Sequence[int]

    def into(self, number: int) -> int:
        """Fraction bits of what enters layer `number`."""
        return self.activation_fracs[number - 1] if number else INPUT_FRAC


def chosen(
    weight_bits: Sequence[int],
    activation_bits: Sequence[int],
    activation_fracs: Sequence[int],
    biases: Sequence[NDArray[np.float32]],
) -> Types:
    """Types as QKeras can have them: the best fraction bits, but no range below 1; biases have room to double."""
    integers = [max(0, 1 + int(np.ceil(np.log2(np.abs(bias).max() + 2.0**-8)))) for bias in biases]
    fracs = [min(frac, bits) for frac, bits in zip(activation_fracs, activation_bits, strict=True)]
    return Types(tuple(weight_bits), tuple(activation_bits), tuple(fracs), tuple(integers))


def build(layers: Sequence[Layer], side: int | None, types: Types) -> Any:
    """The network: frames (B, side, side, 1) to scores (B, h, w, 1); a side of None takes any."""
    # A rectifier is an unsigned type to hls4ml too, which takes quantized_bits for signed whatever it says.
    pixels = qkeras.quantized_relu(INPUT_BITS, INPUT_BITS - INPUT_FRAC)
    steps: list[Any] = [
        tf_keras.layers.Input((side, side, 1), name="frames"),
        qkeras.QActivation(pixels, name="pixels"),  # "input" is a name that hls4ml keeps for itself
    ]
    for number, layer in enumerate(layers):
        steps.append(
            qkeras.QConv2D(
                layer.outputs,
                layer.kernel,
                kernel_quantizer=qkeras.quantized_bits(types.weight_bits[number], 0, alpha="auto_po2"),
                bias_quantizer=qkeras.quantized_bits(BIAS_BITS, types.bias_integers[number], alpha=1),
                name=layer.name,
            )
        )
        if number < len(layers) - 1:
            width, fraction = types.activation_bits[number], types.activation_fracs[number]
            rectifier = qkeras.quantized_relu(width, width - fraction)
            steps.append(qkeras.QActivation(rectifier, name=f"{layer.name}_out"))
    return tf_keras.Sequential(steps, name="dwell")


def load_float(network: Any, layers: Sequence[Layer], weights: Mapping[str, FloatLayer]) -> None:
    """Set the float network's weights."""
    for layer in layers:
        floats = weights[layer.name]
        network.get_layer(layer.name).set_weights([floats.weight.transpose(2, 3, 1, 0), floats.bias])


def quantizers(layers: Sequence[Layer], types: Types) -> tuple[Quantizer, ...]:
    """The quantizers of input and activations with their types."""
    found = [Quantizer("input", "pixels", False, INPUT_BITS, INPUT_FRAC)]
    for number, layer in enumerate(layers[:-1]):
        kind = (types.activation_bits[number], types.activation_fracs[number])
        found.append(Quantizer(layer.name, f"{layer.name}_out", False, *kind))
    return tuple(found)


def sum_frac(network: Any, layers: Sequence[Layer], types: Types) -> int:
    """Fraction bits of the score, the last layer's exact sum."""
    last = network.get_layer(layers[-1].name)
    last.kernel_quantizer_internal(last.kernel)
    finest = int(np.log2(np.asarray(last.kernel_quantizer_internal.scale)).min())
    weights = types.weight_bits[-1] - 1 - finest
    return max(types.into(len(layers) - 1) + weights, BIAS_BITS - 1 - types.bias_integers[-1])


def zero_weight_share(network: Any) -> float:
    """The part of the weights whose code is 0: they cost nothing in hardware."""
    kernels = [
        np.asarray(step.kernel_quantizer_internal(step.kernel)).ravel()
        for step in network.layers
        if hasattr(step, "kernel_quantizer_internal")
    ]
    return float(np.mean(np.concatenate(kernels) == 0))
