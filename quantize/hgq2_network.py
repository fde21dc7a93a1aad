"""The quantized twin in HGQ2 (Keras 3): every weight has its own width, every activation one for its layer.

Types, a value being code * 2**-frac:

- input: ufixed<8,0>, that is 8 bits, frac 8, rounded to the nearest, ties up, saturated; not learnt
- weights: signed, symmetric; bits and integer bits are learnt for each weight, down to none at all
- biases: on one grid a layer, 16 bits; not learnt, for what they cost does not depend on it
- activations: unsigned, rounded down and saturated; integer and fraction bits are learnt for each layer
- score: the last layer's sum as it is

Activations saturate instead of wrapping, HGQ2's habit: what a microscope shows is not bounded by what
training saw, and a score that wraps is a trigger that fires at random. It costs a few look-up tables a
channel. One type for each layer's activations, not one for each position, lets a stream of pixels through.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from hgq.constraints import MinMax
from hgq.layers import QConv2D
from hgq.quantizer.config import QuantizerConfig

from dwell.quantize.job import INPUT_FRAC, FloatLayer, Layer, Quantizer

INPUT_BITS = 8
BIAS_BITS = 16
MAX_WEIGHT_BITS = 7  # beside the sign
_ACTIVATION_RANGE = MinMax(-8, 12)  # of integer and of fraction bits


def _homogeneous(**keys: Any) -> dict[str, Any]:
    return {"homogeneous_axis": None, "heterogeneous_axis": (), **keys}


def _input_config() -> QuantizerConfig:
    return QuantizerConfig(
        "kif",
        "datalane",
        **_homogeneous(
            k0=0,
            i0=INPUT_BITS - INPUT_FRAC,
            f0=INPUT_FRAC,
            round_mode="RND",
            overflow_mode="SAT",
            ir=None,
            fr=None,
            trainable=False,
        ),
    )


def _activation_config(bits: int, frac: int) -> QuantizerConfig:
    return QuantizerConfig(
        "kif",
        "datalane",
        **_homogeneous(
            k0=0,
            i0=bits - frac,
            f0=frac,
            round_mode="TRN",
            overflow_mode="SAT",
            ic=_ACTIVATION_RANGE,
            fc=_ACTIVATION_RANGE,
            ir=None,
            fr=None,
        ),
    )


def _weight_config(bits: int, frac: int) -> QuantizerConfig:
    return QuantizerConfig(
        "kbi",
        "weight",
        k0=1,
        b0=bits - 1,
        i0=bits - 1 - frac,
        round_mode="RND",
        overflow_mode="SAT_SYM",
        bc=MinMax(0, MAX_WEIGHT_BITS),
        br=None,
    )


def _bias_config(frac: int) -> QuantizerConfig:
    return QuantizerConfig(
        "kif",
        "bias",
        **_homogeneous(
            k0=1,
            i0=BIAS_BITS - 1 - frac,
            f0=frac,
            round_mode="RND",
            overflow_mode="SAT_SYM",
            ir=None,
            fr=None,
            trainable=False,
        ),
    )


def build(
    layers: Sequence[Layer],
    side: int | None,
    *,
    weight_bits: int,
    weight_fracs: Sequence[int],
    activation_bits: int,
    activation_fracs: Sequence[int],
) -> keras.Sequential:
    """The network: frames (B, side, side, 1) to scores (B, h, w, 1); a side of None takes any.

    `weight_fracs` has one entry a layer, `activation_fracs` one for each but the last.
    """
    steps: list[Any] = [keras.layers.Input((side, side, 1), name="frames")]
    grid = INPUT_FRAC
    for number, layer in enumerate(layers):
        into = activation_fracs[number - 1] if number else INPUT_FRAC
        grid = into + weight_fracs[number]
        steps.append(
            QConv2D(
                layer.outputs,
                layer.kernel,
                activation="relu" if layer.relu else None,
                iq_conf=_activation_config(activation_bits, into) if number else _input_config(),
                kq_conf=_weight_config(weight_bits, weight_fracs[number]),
                bq_conf=_bias_config(grid),
                # HGQ2's own count takes the biases once for every pixel of the frame; see `bit_operations`.
                enable_ebops=False,
                parallelization_factor=1,
                name=layer.name,
            )
        )
    return keras.Sequential(steps, name="dwell")


def load_float(
    network: keras.Sequential,
    layers: Sequence[Layer],
    weights: Mapping[str, FloatLayer],
    activation_fracs: Sequence[int],
) -> None:
    """Set the float network's weights; biases get the half step that rounding down takes away."""
    for number, layer in enumerate(layers):
        made, floats = network.get_layer(layer.name), weights[layer.name]
        last = number == len(layers) - 1
        half_step = np.float32(0.0 if last else 2.0 ** -(activation_fracs[number] + 1))
        made._kernel.assign(floats.weight.transpose(2, 3, 1, 0))
        made.bias.assign(floats.bias + half_step)


def bit_operations(network: keras.Sequential) -> Any:
    """Effective bit operations a pixel: bits of a weight times bits of what it multiplies, summed."""
    return tf.add_n([tf.reduce_sum(step.kq.bits) * tf.reduce_sum(step.iq.bits) for step in network.layers])


def quantizers(network: keras.Sequential) -> tuple[Quantizer, ...]:
    """The quantizers of input and activations with the types they have learnt."""
    found = []
    source = "input"
    for step in network.layers:
        signed, integer, frac = (int(np.asarray(v).item()) for v in step.iq.quantizer.kif)
        width = max(signed + integer + frac, 0)
        found.append(Quantizer(source, f"{step.name}.iq", bool(signed), width, frac))
        source = step.name
    return tuple(found)


def sum_frac(step: Any) -> int:
    """Fraction bits of a layer's exact sums."""
    _, _, weight_frac = (np.asarray(v) for v in step.kq.quantizer.kif)
    used = weight_frac[np.asarray(step.qkernel) != 0]
    into = int(np.asarray(step.iq.quantizer.f).item())
    bias = int(np.asarray(step.bq.quantizer.f).item())
    return max(into + int(used.max(initial=-into)), bias)
