"""Layers with weights: dense, convolutions of all kinds, and what follows a sum."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from dwell.hls.frontends.keras_net import quantizers
from dwell.hls.frontends.keras_net.lowering import Lowering
from dwell.hls.frontends.keras_net.values import NO_PADS, Pads, Raw, Step, Value
from dwell.hls.frontends.keras_net.weights import Weights, taken_apart
from dwell.hls.qmodel import Codes

#: Weights of a layer without a quantizer are taken as they are where so many bits hold them.
_WIDEST_BARE = 16
#: Float biases finer than this stay floats: sums of 24-bit floats would round them anyway.
_FINEST_BIAS = 20


def weights_of(low: Lowering, layer: Any, part: str) -> Weights:
    """`part` (kernel, depthwise_kernel, pointwise_kernel) of a layer, as its quantizer gives it."""
    values, quantizer = quantized(layer, part)
    found = taken_apart(values, quantizer, f"{layer.name}: its {part}")
    bare = quantizer is None and not type(layer).__module__.startswith("hgq.")
    if found is None or (bare and int(np.abs(found.codes).max()).bit_length() >= _WIDEST_BARE):
        low.refuse(
            f"its {part} is not quantized",
            "train it with QKeras or HGQ2, or convert with --ptq 8 --calibrate x.npz",
        )
    if found.snapped:
        low.notes.append(
            f"{layer.name}: its {part} is taken on its grid, which QKeras' own float sums miss slightly"
        )
    return found


def quantized(layer: Any, part: str) -> tuple[npt.NDArray[np.float32], Any]:
    """What the framework computes with for a weight, and the quantizer that made it."""
    if hasattr(layer, "batchnorm"):  # QKeras, with batch norm folded into the kernel
        kernel, bias = layer.get_folded_weights()
        raw = bias if part == "bias" else kernel
    else:
        own = f"q{part}"  # HGQ2
        if type(layer).__module__.startswith("hgq.") and hasattr(layer, own):
            return np.asarray(getattr(layer, own)), None
        raw = getattr(layer, part)
    kind = {"depthwise_kernel": "depthwise", "pointwise_kernel": "pointwise"}.get(part, part)
    quantizer = getattr(layer, f"{kind}_quantizer_internal", None)
    if quantizer is None:
        return np.asarray(raw), None
    return np.asarray(quantizer(raw)), quantizer


def bias_of(
    low: Lowering, layer: Any, scale: npt.NDArray[np.float64], channels: int
) -> tuple[Codes, int, Weights | None]:
    """Codes and fraction bits of a bias, or, where no code holds it exactly, zeros and the floats.

    `scale` is that of the sums: only on a scale of one can a bias be added to their codes.
    """
    none = np.zeros(channels, dtype=np.int64)
    folded = hasattr(layer, "batchnorm")
    if not folded and (not getattr(layer, "use_bias", True) or getattr(layer, "bias", None) is None):
        return none, 0, None
    values, quantizer = quantized(layer, "bias")
    array = np.broadcast_to(np.asarray(values, dtype=np.float32), (channels,))
    found = taken_apart(array, quantizer, f"{layer.name}: its bias")
    exact = found is not None and (scale == 1.0).all() and found.scale.size == 1 and found.scale[0] == 1.0
    if exact and found is not None and (found.frac <= _FINEST_BIAS or quantizer is not None):
        return found.codes, found.frac, None
    # Floats as they are: a code of one times each.
    return none, 0, Weights(np.ones_like(none), 0, array.astype(np.float64)) if array.any() else None


# ---- dense


def dense(low: Lowering, layer: Any, inputs: list[Value | Raw]) -> Value:
    value = low.padded(low.plain(inputs[0], "a dense layer"))
    return activated(low, layer, matrix(low, layer, value, "kernel"))


def matrix(low: Lowering, layer: Any, value: Value, part: str) -> Value:
    """A product over the last axis, bias included."""
    weights = weights_of(low, layer, part)
    if weights.codes.ndim != 2:
        low.refuse(f"weights of shape {weights.codes.shape}", "use a dense layer over the last axis")
    scale = value.scale * weights.scale
    bias, bias_frac, floats = bias_of(low, layer, scale, weights.codes.shape[1])
    name = low.build.dense(low.fresh("dense"), value.name, weights.codes, weights.frac, bias, bias_frac)
    return low.summed(value, weights, name, floats)


def einsum_dense(low: Lowering, layer: Any, inputs: list[Value | Raw]) -> Value:
    left, out = layer.equation.replace(" ", "").split("->")
    first, second = left.replace("...", "").split(",")
    if len(second) != 2 or first[-1:] != second[0] or out.replace("...", "") != first[:-1] + second[1]:
        low.refuse(
            f"the equation {layer.equation!r}", "use one that multiplies the last axis, as '...x,xy->...y'"
        )
    if getattr(layer, "bias", None) is not None and np.asarray(layer.bias).ndim != 1:
        low.refuse("a bias over more than one axis", "use bias_axes of the last axis")
    return dense(low, layer, inputs)


# ---- convolutions


def convolution(low: Lowering, layer: Any, inputs: list[Value | Raw]) -> Value:
    """Conv1D and Conv2D, grouped or not."""
    weights = weights_of(low, layer, "kernel")
    done = _convolve(low, layer, inputs[0], weights, int(getattr(layer, "groups", 1) or 1), bias=True)
    return activated(low, layer, done)


def depthwise(low: Lowering, layer: Any, inputs: list[Value | Raw]) -> Value:
    part = "depthwise_kernel" if hasattr(layer, "depthwise_kernel") else "kernel"
    done = _convolve(low, layer, inputs[0], *_depthwise_weights(low, layer, part), bias=True)
    return activated(low, layer, done)


def separable(low: Lowering, layer: Any, inputs: list[Value | Raw]) -> Value:
    between = _convolve(
        low, layer, inputs[0], *_depthwise_weights(low, layer, "depthwise_kernel"), bias=False
    )
    if not between.plain:
        low.refuse("its depthwise weights have a scale for every channel", "use alpha=1 or 'auto_po2' there")
    done = _convolve(
        low, layer, between, weights_of(low, layer, "pointwise_kernel"), 1, bias=True, pointwise=True
    )
    return activated(low, layer, done)


def _depthwise_weights(low: Lowering, layer: Any, part: str) -> tuple[Weights, int]:
    """(…, C, M) weights as those of C groups of M outputs: (…, 1, C * M)."""
    found = weights_of(low, layer, part)
    channels, many = found.codes.shape[-2:]
    if found.scale.size > 1 and many > 1:
        found = replace(found, scale=np.tile(found.scale, channels))
    return replace(found, codes=found.codes.reshape(*found.codes.shape[:-2], 1, channels * many)), channels


def _convolve(
    low: Lowering,
    layer: Any,
    source: Value | Raw,
    weights: Weights,
    groups: int,
    *,
    bias: bool,
    pointwise: bool = False,
) -> Value:
    """One convolution; a Conv1D has one row."""
    if getattr(layer, "data_format", "channels_last") != "channels_last":
        low.refuse(f"data format {layer.data_format!r}", "use channels_last")
    value = low.plain(source, "a convolution")
    flat = weights.codes.ndim == 3
    value = _as_rows(low, value) if flat else value
    codes = weights.codes[None] if flat else weights.codes
    stride = (1, 1) if pointwise else _pair(layer.strides, flat)
    dilation = (1, 1) if pointwise else _pair(layer.dilation_rate, flat)
    shape = low.build.tensor(value.name).shape
    before = value.pads
    size = (shape[0] + before[0] + before[1], shape[1] + before[2] + before[3])
    reach = tuple((k - 1) * d + 1 for k, d in zip(codes.shape[:2], dilation, strict=True))
    own = NO_PADS if pointwise else same_pads(low, layer.padding, size, (reach[0], reach[1]), stride)
    channels = codes.shape[-1]
    scale = value.scale * weights.scale
    offsets, bias_frac, floats = (
        bias_of(low, layer, scale, channels) if bias else (np.zeros(channels, dtype=np.int64), 0, None)
    )
    name = low.build.conv2d(
        low.fresh("conv"),
        value.name,
        codes,
        weights.frac,
        offsets,
        bias_frac,
        stride=stride,
        dilation=dilation,
        padding=(before[0] + own[0], before[1] + own[1], before[2] + own[2], before[3] + own[3]),
        groups=groups,
    )
    if flat:
        after = low.build.tensor(name).shape
        name = low.build.reshape(low.fresh("shape"), name, after[1:])
    return low.summed(value, weights, name, floats)


def _as_rows(low: Lowering, value: Value) -> Value:
    shape = low.build.tensor(value.name).shape
    return replace(value, name=low.build.reshape(low.fresh("shape"), value.name, (1, *shape)))


def _pair(value: Any, flat: bool) -> tuple[int, int]:
    parts = tuple(int(v) for v in value) if isinstance(value, tuple | list) else (int(value),)
    if flat:
        return (1, parts[0])
    return (parts[0], parts[-1])


def same_pads(
    low: Lowering, padding: str, size: tuple[int, int], reach: tuple[int, int], stride: tuple[int, int]
) -> Pads:
    """Zeros at (top, bottom, left, right) as TensorFlow adds them; `reach` is the extent of a window."""
    if padding == "valid":
        return NO_PADS
    if padding == "causal":
        return (0, 0, reach[1] - 1, 0)
    if padding != "same":
        low.refuse(f"padding {padding!r}", "use valid or same")
    pads: list[int] = []
    for length, window, step in zip(size, reach, stride, strict=True):
        total = max((-(-length // step) - 1) * step + window - length, 0)
        pads += [total // 2, total - total // 2]
    return (pads[0], pads[1], pads[2], pads[3])


# ---- what follows


def activated(low: Lowering, layer: Any, value: Value) -> Value:
    """The layer's own activation."""
    return activation(low, getattr(layer, "activation", None), value, low.place)


def activation(low: Lowering, function: Any, value: Value, place: str) -> Value:
    """Any activation: a rectifier where that is exact, a quantizer, or a function to be tabulated later."""
    name = getattr(function, "__name__", type(function).__name__)
    if function is None or name == "linear":
        return value
    if quantizers.is_qkeras(function):
        done = low.quantize(value, quantizers.of_qkeras(function, place), place)
        return low.entered(done)
    if name == "softmax":
        low.refuse("softmax in the middle of the network", "end the network with it: then it is dropped")
    if name == "relu" and not value.steps and (value.scale > 0).all():
        return rectified(low, value)
    return value.then(Step(name, lambda x: run(function, x)))


def rectified(low: Lowering, value: Value) -> Value:
    value = low.padded(value)
    return low.like(value, low.build.relu(low.fresh("relu"), value.name))


def run(function: Any, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """A framework's function on floats."""
    import tensorflow as tf

    return np.asarray(function(tf.constant(values, dtype=tf.float32)), dtype=np.float32)
