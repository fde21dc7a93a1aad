"""Layers without weights: pooling, joins, and what only moves values."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from dwell.hls.frontends.keras_net.layers import activated, rectified, run, same_pads
from dwell.hls.frontends.keras_net.lowering import Lowering
from dwell.hls.frontends.keras_net.values import NO_PADS, Floats, Pads, Raw, Step, Value
from dwell.hls.qmodel import Pooling

Sources = list[Value | Raw]


# ---- pooling


def max_pool(low: Lowering, layer: Any, inputs: Sources) -> Value:
    value = low.padded(low.entered(inputs[0]))
    if not low.rising(value):
        low.refuse(
            "what enters it is not yet quantized, and does not rise with its codes", "quantize it before"
        )
    return _pooled(low, layer, value, Pooling.MAX)


def average_pool(low: Lowering, layer: Any, inputs: Sources) -> Value:
    """The exact sum, and the mean's own division as a step: hls4ml's truncated mean is not used."""
    value = low.padded(low.plain(inputs[0], "an average"))
    size, _, pads = _window(low, layer, low.shape(value))
    if pads != NO_PADS:
        low.refuse("at the border it divides by fewer pixels", "use padding='valid'")
    count = size[0] * size[1]
    if count & (count - 1) == 0 and getattr(layer, "average_quantizer", None) is None:
        return activated(low, layer, _pooled(low, layer, value, Pooling.SUM, count.bit_length() - 1))
    flat = len(low.shape(value)) == 2
    done = _pooled(low, layer, value, Pooling.SUM)

    def mean(sums: Floats) -> Floats:
        """The layer's own arithmetic: on a window whose first pixel is the sum, all others zero."""
        window = np.zeros((len(sums), *size, sums.shape[1]), dtype=np.float32)
        window[:, 0, 0] = sums
        return run(lambda x: _own_mean(layer, x[:, 0] if flat else x), window).reshape(sums.shape)

    factor = 1.0 / count
    if getattr(layer, "average_quantizer", None) is not None:
        factor = float(np.asarray(layer.average_quantizer_internal(factor)))
    return activated(low, layer, done.then(Step("a mean", mean, (np.full(1, factor), np.zeros(1)))))


def _own_mean(layer: Any, window: Any) -> Any:
    """The layer without its own input quantizer and activation."""
    if type(layer).__module__.startswith("hgq."):
        base: Any = next(kind for kind in type(layer).__mro__ if kind.__module__.startswith("keras."))
        return base.call(layer, window)
    kept = getattr(layer, "activation", None)
    if kept is None:
        return layer(window)
    layer.activation = None
    try:
        return layer(window)
    finally:
        layer.activation = kept


def _pooled(low: Lowering, layer: Any, value: Value, pooling: Pooling, shift: int = 0) -> Value:
    size, stride, pads = _window(low, layer, low.shape(value))
    flat = len(low.shape(value)) == 2
    name = value.name
    if flat:
        name = low.build.reshape(low.fresh("shape"), name, (1, *low.shape(value)))
    name = low.build.pool2d(low.fresh("pool"), name, pooling, size, stride, pads, shift)
    noise = value.noise * (size[0] * size[1] if pooling is Pooling.SUM else 1)
    after = low.build.tensor(name).shape
    if _is_global(layer) and not getattr(layer, "keepdims", False):
        name = low.build.flatten(low.fresh("flat"), name)
    elif flat:
        name = low.build.reshape(low.fresh("shape"), name, after[1:])
    return replace(low.like(value, name), noise=noise)


def _is_global(layer: Any) -> bool:
    return "Global" in type(layer).__name__


def _window(
    low: Lowering, layer: Any, shape: tuple[int, ...]
) -> tuple[tuple[int, int], tuple[int, int], Pads]:
    """Size, stride and padding of the windows, one row where the layer is one-dimensional."""
    if getattr(layer, "data_format", "channels_last") != "channels_last":
        low.refuse(f"data format {layer.data_format!r}", "use channels_last")
    rows, columns = (1, shape[0]) if len(shape) == 2 else (shape[0], shape[1])
    if _is_global(layer):
        return (rows, columns), (rows, columns), NO_PADS
    size = _pair(layer.pool_size, len(shape) == 2)
    stride = _pair(layer.strides if layer.strides is not None else layer.pool_size, len(shape) == 2)
    return size, stride, same_pads(low, layer.padding, (rows, columns), size, stride)


def _pair(value: Any, flat: bool) -> tuple[int, int]:
    parts = tuple(int(v) for v in value) if isinstance(value, tuple | list) else (int(value),) * 2
    return (1, parts[0]) if flat else (parts[0], parts[-1])


# ---- joins


def add(low: Lowering, layer: Any, inputs: Sources) -> Value:
    values = _alike(low, inputs, "a sum")
    total = values[0]
    for other in values[1:]:
        total = low.joined(
            low.build.add(low.fresh("sum"), total.name, other.name), total.scale, [total, other]
        )
    return total


def subtract(low: Lowering, layer: Any, inputs: Sources) -> Value:
    first, second = _alike(low, inputs, "a difference")
    name = low.build.add(low.fresh("sum"), first.name, _negated(low, second).name)
    return low.joined(name, first.scale, [first, second])


def _negated(low: Lowering, value: Value) -> Value:
    minus, zero = np.full(1, -1, dtype=np.int64), np.zeros(1, dtype=np.int64)
    return low.like(value, low.build.affine(low.fresh("minus"), value.name, minus, 0, zero, 0))


def average(low: Lowering, layer: Any, inputs: Sources) -> Value:
    """A mean of two, four, … tensors; of others the float division could not be met."""
    count = len(inputs)
    if count & (count - 1):
        low.refuse(f"a mean of {count} tensors", "average two, four or eight")
    total = add(low, layer, inputs)
    shift, one, zero = count.bit_length() - 1, np.ones(1, np.int64), np.zeros(1, np.int64)
    return low.joined(
        low.build.affine(low.fresh("mean"), total.name, one, shift, zero, 0), total.scale, [total]
    )


def maximum(low: Lowering, layer: Any, inputs: Sources) -> Value:
    """max(a, b) is b + relu(a - b)."""
    largest, *others = _alike(low, inputs, "a maximum")
    for other in others:
        apart = low.build.add(low.fresh("sum"), other.name, _negated(low, largest).name)
        over = low.build.relu(low.fresh("relu"), apart)
        name = low.build.add(low.fresh("sum"), largest.name, over)
        largest = low.joined(name, largest.scale, [largest, other])
    return largest


def multiply(low: Lowering, layer: Any, inputs: Sources) -> Value:
    values = [low.padded(low.plain(value, "a product")) for value in inputs]
    total = values[0]
    for other in values[1:]:
        if low.shape(total) != low.shape(other):
            low.refuse(
                f"factors of shape {low.shape(total)} and {low.shape(other)}", "make their shapes equal"
            )
        name = low.build.multiply(low.fresh("product"), total.name, other.name)
        reach = [
            max(-low.build.interval(v.name).least, low.build.interval(v.name).greatest)
            for v in (total, other)
        ]
        noise = total.noise * reach[1] + other.noise * reach[0]
        total = low.made(name, total.scale * other.scale, noise=noise)
    return total


def concatenate(low: Lowering, layer: Any, inputs: Sources) -> Value:
    values = _alike(low, inputs, "a concatenation", shapes=False)
    ranks = len(low.shape(values[0]))
    axis = int(layer.axis) - 1 if int(layer.axis) > 0 else ranks + int(layer.axis)
    order = (*(a for a in range(ranks) if a != axis), axis)
    names = [_turned(low, value.name, order) for value in values]
    joined = low.build.concat(low.fresh("concat"), names)
    back = tuple(int(a) for a in np.argsort(order))
    return low.joined(_turned(low, joined, back), values[0].scale, values)


def _turned(low: Lowering, name: str, order: tuple[int, ...]) -> str:
    if order == tuple(range(len(order))):
        return name
    return low.build.transpose(low.fresh("turn"), name, order)


def _alike(low: Lowering, inputs: Sources, what: str, *, shapes: bool = True) -> list[Value]:
    values = [low.padded(low.plain(value, what)) for value in inputs]
    if any(value.scale[0] != values[0].scale[0] for value in values):
        low.refuse("its inputs have different scales", "quantize them with power-of-two scales")
    if shapes and len({low.shape(value) for value in values}) > 1:
        low.refuse(
            f"inputs of shapes {', '.join(str(low.shape(v)) for v in values)}", "make their shapes equal"
        )
    return values


# ---- moves


def unchanged(low: Lowering, layer: Any, inputs: Sources) -> Value | Raw:
    """Dropout and the like: nothing at inference."""
    return inputs[0]


def reshaped(low: Lowering, layer: Any, inputs: Sources) -> Value:
    """Flatten and Reshape. A value that is not yet quantized is brought into its shape when it is."""
    value = low.padded(low.entered(inputs[0]))
    shape = tuple(int(n) for n in layer.compute_output_shape((1, *low.shape(value)))[1:])
    if shape == low.shape(value):
        return value
    done = replace(value, shape=shape)
    return done if value.steps or value.scale.size > 1 else low.shaped(done)


def permuted(low: Lowering, layer: Any, inputs: Sources) -> Value:
    value = low.padded(low.plain(inputs[0], "a permutation"))
    return low.like(value, _turned(low, value.name, tuple(int(d) - 1 for d in layer.dims)))


def zero_padded(low: Lowering, layer: Any, inputs: Sources) -> Value:
    value = low.plain(inputs[0], "zero padding")
    if getattr(layer, "data_format", "channels_last") != "channels_last":
        low.refuse(f"data format {layer.data_format!r}", "use channels_last")
    padding = layer.padding
    if len(low.shape(value)) == 2:
        left, right = (int(p) for p in padding)
        rows = low.build.reshape(low.fresh("shape"), value.name, (1, *low.shape(value)))
        done = low.padded(replace(value, name=rows, pads=(0, 0, left, right)))
        return replace(done, name=low.build.reshape(low.fresh("shape"), done.name, low.shape(done)[1:]))
    (top, bottom), (left, right) = ((int(a), int(b)) for a, b in padding)
    own = (top, bottom, left, right)
    return replace(value, pads=tuple(a + b for a, b in zip(value.pads, own, strict=True)))  # type: ignore[arg-type]


def cropped(low: Lowering, layer: Any, inputs: Sources) -> Value:
    value = low.padded(low.plain(inputs[0], "cropping"))
    pairs = layer.cropping if isinstance(layer.cropping[0], tuple | list) else (layer.cropping,)
    name = value.name
    for axis, (before, after) in enumerate(pairs):
        length = low.build.tensor(name).shape[axis]
        name = low.build.slice(low.fresh("crop"), name, axis, int(before), length - int(after))
    return low.like(value, name)


def upsampled(low: Lowering, layer: Any, inputs: Sources) -> Value:
    value = low.padded(low.entered(inputs[0]))
    if getattr(layer, "interpolation", "nearest") != "nearest":
        low.refuse(f"interpolation {layer.interpolation!r}", "use nearest")
    flat = len(low.shape(value)) == 2
    factor = _pair(layer.size, flat)
    name = value.name
    if flat:
        name = low.build.reshape(low.fresh("shape"), name, (1, *low.shape(value)))
    name = low.build.upsample(low.fresh("up"), name, factor)
    if flat:
        name = low.build.reshape(low.fresh("shape"), name, low.build.tensor(name).shape[1:])
    return low.like(value, name)


# ---- activation layers


def relu_layer(low: Lowering, layer: Any, inputs: Sources) -> Value:
    """`keras.layers.ReLU`, clipped or leaky or neither, which hls4ml makes a thresholded one."""
    value = low.padded(low.entered(inputs[0]))
    slope = float(getattr(layer, "negative_slope", 0.0) or 0.0)
    if slope or float(getattr(layer, "threshold", 0.0) or 0.0) or not value.exact:
        return value.then(Step("a ReLU", lambda x: run(layer, x)))
    done = rectified(low, value)
    if layer.max_value is None:
        return done
    top = np.ldexp(float(layer.max_value), low.build.tensor(done.name).type.frac)
    if top != np.rint(top):
        return value.then(Step("a ReLU", lambda x: run(layer, x)))
    return low.like(done, low.build.clip(low.fresh("clip"), done.name, 0, int(top)))


def leaky_relu(low: Lowering, layer: Any, inputs: Sources) -> Value:
    value = low.padded(low.entered(inputs[0]))
    slope = np.float64(np.float32(getattr(layer, "negative_slope", getattr(layer, "alpha", 0.3))))
    frac = next((f for f in range(13) if np.ldexp(slope, f) == np.rint(np.ldexp(slope, f))), None)
    if frac is None or not value.exact:
        return value.then(Step("a leaky ReLU", lambda x: run(layer, x)))
    codes = np.array([round(float(np.ldexp(slope, frac)))], dtype=np.int64)
    return low.joined(low.build.leaky_relu(low.fresh("leaky"), value.name, codes, frac), value.scale, [value])
