"""Batch normalization: exact where its factors are quantized, else a float function of each channel."""

from __future__ import annotations

from typing import Any

import numpy as np

from dwell.hls.frontends.keras_net.layers import run
from dwell.hls.frontends.keras_net.lowering import Lowering
from dwell.hls.frontends.keras_net.values import Floats, Raw, Real, Step, Value
from dwell.hls.frontends.keras_net.weights import taken_apart

Sources = list[Value | Raw]


def batch_norm(low: Lowering, layer: Any, inputs: Sources) -> Value:
    """Keras', QKeras' or HGQ2's. The first two stay floats, which the next quantizer's table takes in."""
    axis = layer.axis[0] if isinstance(layer.axis, list | tuple) else layer.axis
    value = low.padded(low.entered(inputs[0]))
    if int(axis) not in (-1, len(low.shape(value))):
        low.refuse(f"axis {axis}", "normalize the last axis")
    if type(layer).__module__.startswith("hgq."):
        return _exact(low, layer, low.plain(value, "a batch normalization"))
    rank = len(low.shape(value))

    def normalize(values: Floats) -> Floats:
        """The layer's own kernels, on tensors of the rank it has in the network."""
        spread = values.reshape(len(values), *(1,) * (rank - 1), values.shape[1])
        return run(lambda x: layer(x, training=False), spread).reshape(values.shape)

    return value.then(Step("a float batch normalization", normalize, _affine(layer, low.shape(value)[-1])))


def _exact(low: Lowering, layer: Any, value: Value) -> Value:
    factor, offset = (np.asarray(part) for part in layer.qscaler_and_qoffset)
    weights, biases = taken_apart(factor, None, layer.name), taken_apart(offset, None, layer.name)
    if weights is None or biases is None or not value.exact:
        low.refuse("its factors are not quantized", "give it kq_conf and bq_conf")
    name = low.build.affine(
        low.fresh("norm"), value.name, weights.codes, weights.frac, biases.codes, biases.frac
    )
    return Value(name)


def _affine(layer: Any, channels: int) -> tuple[Real, Real]:
    """Factor and offset of each channel, for the two ends; codes never depend on them."""
    probe = np.zeros((1, channels), dtype=np.float32)
    rank = len(layer.input_shape if hasattr(layer, "input_shape") else layer.input.shape)
    shape = (1, *(1,) * (rank - 2), channels)
    at = [
        run(lambda x: layer(x, training=False), (probe + level).reshape(shape))
        .reshape(channels)
        .astype(float)
        for level in (0.0, 1.0)
    ]
    return at[1] - at[0], at[0]
