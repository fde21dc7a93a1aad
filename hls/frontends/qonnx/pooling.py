"""Pooling: maxima of codes, and sums whose scale makes them means."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from dwell.hls.frontends.dyadic import power_of_two
from dwell.hls.frontends.onnx_file import OnnxNode
from dwell.hls.frontends.qonnx.elementwise import settled
from dwell.hls.frontends.qonnx.exact import InexactError, lower
from dwell.hls.frontends.qonnx.linear import framed, unframed, window
from dwell.hls.frontends.qonnx.shape import reshape_to
from dwell.hls.frontends.qonnx.signals import FLOAT32_BITS, ULP, Signal, Walk, integer, refuse
from dwell.hls.frontends.tables import SCANNED_VALUES
from dwell.hls.qmodel import Codes, Pooling

_GLOBAL = ("GlobalMaxPool", "GlobalAveragePool")


def pool(walk: Walk, node: OnnxNode) -> None:
    """MaxPool, AveragePool and both over the whole frame."""
    biggest = node.op in ("MaxPool", "GlobalMaxPool")
    if len(node.outputs) > 1:
        refuse(node, "it gives indices too", "use the first output alone")
    source = _rising(walk, node) if biggest else settled(walk, node, node.inputs[0])
    dims = len(source.order) - 1
    if dims not in (1, 2):
        refuse(node, f"a tensor of {dims + 2} axes", "pool (1, channels, rows, columns)")
    source = walk.reorder(source, (*range(2, dims + 2), 1))
    lengths = walk.build.tensor(source.at).shape[:dims]
    if integer(node, "ceil_mode", 0) and node.op not in _GLOBAL:
        _check_ceil(walk, node, lengths)
    size = lengths if node.op in _GLOBAL else _size(node, dims)
    at = window(walk, node, source, size)
    if at.dilation != (1, 1):
        refuse(node, f"dilations {at.dilation}", "pool without dilation")
    top, bottom, left, right = at.padding
    if max(top, bottom) >= at.size[0] or max(left, right) >= at.size[1]:
        refuse(node, f"padding {at.padding} of windows {at.size}", "use less padding")
    if not biggest and any(at.padding) and not integer(node, "count_include_pad", 0):
        refuse(node, "pixels outside do not count", "set count_include_pad, or pool without padding")
    kind = Pooling.MAX if biggest else Pooling.SUM
    made = _pooled(walk, source, kind, at.size, at.stride, at.padding, dims)
    walk.set(node, made)


def _pooled(
    walk: Walk,
    source: Signal,
    kind: Pooling,
    size: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int, int, int],
    dims: int,
) -> Signal:
    count = math.prod(size)
    shift = count.bit_length() - 1 if count & (count - 1) == 0 and kind is Pooling.SUM else 0
    name = walk.fresh("maxpool" if kind is Pooling.MAX else "sumpool")
    at = walk.build.pool2d(name, framed(walk, source), kind, size, stride, padding, shift)
    made = replace(source, at=unframed(walk, at, dims))
    if kind is Pooling.MAX:
        return made
    mean = made.scale * 2.0**shift / count
    most = walk.bound(source) * count
    exact = source.noise == 0 and power_of_two(mean) is not None and most <= 2.0**FLOAT32_BITS
    noise = 0.0 if exact else source.noise * count + (count + 4) * ULP * most
    return replace(made, scale=mean, noise=noise)


def _size(node: OnnxNode, dims: int) -> tuple[int, ...]:
    value = node.attributes.get("kernel_shape")
    if not isinstance(value, tuple) or len(value) != dims:
        refuse(node, f"kernel_shape is {value!r}", f"give {dims} numbers")
    return tuple(int(n) for n in value)


def _check_ceil(walk: Walk, node: OnnxNode, lengths: tuple[int, ...]) -> None:
    size, stride = _size(node, len(lengths)), node.attributes.get("strides", (1,) * len(lengths))
    pads = node.attributes.get("pads", (0,) * (2 * len(lengths)))
    if not isinstance(stride, tuple) or not isinstance(pads, tuple):
        refuse(node, f"strides {stride!r}, pads {pads!r}", "export the network again")
    for axis, length in enumerate(lengths):
        whole = length + int(pads[axis]) + int(pads[axis + len(lengths)]) - size[axis]
        if whole % int(stride[axis]):
            refuse(node, "its last window hangs over the edge (ceil_mode)", "pool with ceil_mode=0")


def _rising(walk: Walk, node: OnnxNode) -> Signal:
    """The input of a maximum: integers, or integers whose float function rises, so that it can come after."""
    signal = walk.signal(node)
    try:
        return lower(walk, signal, key=node.inputs[0])
    except InexactError as error:
        low, high = (np.array(end) for end in _range(walk, signal))
        if int((high - low).max()) * len(low) > SCANNED_VALUES * 16:
            refuse(
                node, f"{error.node.label!r} before it is float: {error.reason}", "quantize before pooling"
            )
    steps = np.arange(int((high - low).max()) + 1)[:, None]
    real = walk.evaluate(signal, np.minimum(low + steps, high)).astype(np.float64)
    moves = np.diff(real, axis=0)
    falls = (moves < 0).any(axis=0)
    if (falls & (moves > 0).any(axis=0)).any():
        refuse(
            node,
            f"{error_label(signal)} before it neither rises nor falls throughout",
            "quantize before pooling",
        )
    if not falls.any():
        return signal
    sign = np.where(np.broadcast_to(falls, low.shape), -1, 1).astype(np.int64)
    at = walk.build.affine(
        walk.fresh("turned"), signal.at, sign, 0, [0], walk.build.tensor(signal.at).type.frac
    )
    return replace(signal, at=at, scale=signal.scale * sign)


def error_label(signal: Signal) -> str:
    """What to call the float operator at the end of a signal."""
    return repr(signal.expr.node.label) if signal.expr is not None else "the function"


def _range(walk: Walk, signal: Signal) -> tuple[Codes, Codes]:
    interval = walk.build.interval(signal.at)
    return np.array(interval.lo, dtype=np.int64), np.array(interval.hi, dtype=np.int64)


def reduce_mean(walk: Walk, node: OnnxNode) -> None:
    """ReduceMean over rows and columns: a global average."""
    source = settled(walk, node, node.inputs[0])
    rank = len(source.order) + 1
    axes = node.attributes.get("axes")
    if axes is None:
        given = walk.constant(node, 1, "its axes")
        axes = tuple(int(n) for n in given.reshape(-1))
    found = sorted(int(a) % rank for a in axes) if isinstance(axes, tuple) else []
    if rank not in (3, 4) or found != list(range(2, rank)):
        refuse(node, f"it averages over axes {axes!r} of {rank}", "average over rows and columns")
    source = walk.reorder(source, (*range(2, rank), 1))
    lengths = walk.build.tensor(source.at).shape[:-1]
    size = (1, lengths[0]) if rank == 3 else (lengths[0], lengths[1])
    made = _pooled(walk, source, Pooling.SUM, size, size, (0, 0, 0, 0), rank - 2)
    walk.set(node, made)
    if not integer(node, "keepdims", 1):
        channels = walk.channels(made)
        inner = replace(node, inputs=node.outputs)
        reshape_to(walk, inner, (1, channels))
