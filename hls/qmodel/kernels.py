"""What each node does to codes: NumPy, int64, vectorised over frames."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dwell.hls.qmodel.arithmetic import cast_codes
from dwell.hls.qmodel.graph import Node
from dwell.hls.qmodel.nodes import (
    Add,
    Affine,
    Cast,
    Clip,
    Concat,
    Conv2D,
    Dense,
    LeakyRelu,
    Multiply,
    Pool2D,
    Pooling,
    Relu,
    Slice,
    Softmax,
    Table,
    TopK,
    Transpose,
    Upsample,
)
from dwell.hls.qmodel.ranges import Interval, accumulator_frac
from dwell.hls.qmodel.shapes import conv_shape, node_shape
from dwell.hls.qmodel.types import Codes, Tensor

#: Elements of an unfolded matrix worked on at a time: a few hundred kilobytes, so that it stays in cache.
_CHUNK = 1 << 17


def evaluate(
    node: Node, sources: Sequence[Tensor], out: Tensor, interval: Interval, codes: Sequence[Codes]
) -> Codes:
    """Codes (N, …) of the output of `node`; `interval` is that of its first input.

    Not for an `Input`, nor for a `Recurrent`, whose steps the interpreter runs.
    """
    first, source = codes[0], sources[0]
    if isinstance(node, Conv2D):
        return _conv2d(node, source.type.frac, first, interval)
    if isinstance(node, Dense):
        flat = first.reshape(-1, first.shape[-1])
        sums = _matmul(flat, node.weight, product_bound(node, interval))
        return _finish(node, source.type.frac, sums).reshape(*first.shape[:-1], -1)
    if isinstance(node, Affine):
        return _finish(node, source.type.frac, first * node.weight)
    if isinstance(node, Relu):
        return np.maximum(first, 0)
    if isinstance(node, LeakyRelu):
        return np.where(first >= 0, first << node.slope_frac, first * node.slope)
    if isinstance(node, Clip):
        return np.clip(first, node.lo, node.hi)
    if isinstance(node, Cast):
        return cast_codes(first, source.type.frac, node.types, out.type.frac, node.rounding, node.overflow)
    if isinstance(node, Table):
        return _table(node, first)
    if isinstance(node, Pool2D):
        return _pool2d(node, first)
    if isinstance(node, Add | Multiply | Concat):
        return _joined(node, sources, out, codes)
    if isinstance(node, TopK):
        # Stable: of equal codes the lowest index comes first. Codes have at most 62 bits, so -codes exists.
        return np.argsort(-first, axis=-1, kind="stable")[..., : node.k].astype(np.int64)
    if isinstance(node, Softmax):
        return _softmax(node, first, out.type.hi)
    return moved(node, first)


def moved(node: Node, codes: Codes) -> Codes:
    """Nodes that only put codes elsewhere."""
    if isinstance(node, Upsample):
        return np.repeat(np.repeat(codes, node.factor[0], axis=1), node.factor[1], axis=2)
    if isinstance(node, Transpose):
        return np.ascontiguousarray(codes.transpose(0, *(axis + 1 for axis in node.axes)))
    if isinstance(node, Slice):
        return np.take(codes, range(node.start, node.stop), axis=node.axis + 1)
    return codes.reshape(len(codes), *node_shape(node, [codes.shape[1:]]))


def _joined(
    node: Add | Multiply | Concat, sources: Sequence[Tensor], out: Tensor, codes: Sequence[Codes]
) -> Codes:
    if isinstance(node, Multiply):
        return codes[0] * codes[1]
    aligned = [
        part << (out.type.frac - source.type.frac) for source, part in zip(sources, codes, strict=True)
    ]
    return np.concatenate(aligned, axis=-1) if isinstance(node, Concat) else aligned[0] + aligned[1]


def _table(node: Table, codes: Codes) -> Codes:
    if len(node.breaks) == 1:
        return np.asarray(node.levels[0][np.searchsorted(node.breaks[0], codes, side="right")])
    out = np.empty(codes.shape, dtype=np.int64)
    for channel, (breaks, levels) in enumerate(zip(node.breaks, node.levels, strict=True)):
        out[..., channel] = levels[np.searchsorted(breaks, codes[..., channel], side="right")]
    return out


def _softmax(node: Softmax, codes: Codes, highest: int) -> Codes:
    distance = codes.max(axis=-1, keepdims=True) - codes
    exponentials = node.exponentials[np.minimum(distance, len(node.exponentials) - 1)]
    shares = (exponentials << node.frac) // exponentials.sum(axis=-1, keepdims=True)
    return np.asarray(np.minimum(shares, highest))


def _pool2d(node: Pool2D, codes: Codes) -> Codes:
    """Rows first, then columns: both a maximum and a sum may be taken one axis after the other."""
    top, bottom, left, right = node.padding
    if any(node.padding):
        empty = np.iinfo(np.int64).min if node.pooling is Pooling.MAX else 0
        pads = ((0, 0), (top, bottom), (left, right), (0, 0))
        codes = np.pad(codes, pads, constant_values=empty)
    combine = np.maximum if node.pooling is Pooling.MAX else np.add
    for axis in (1, 2):
        size, stride = node.size[axis - 1], node.stride[axis - 1]
        count = (codes.shape[axis] - size) // stride + 1
        lines = np.moveaxis(codes, axis, 0)
        if count == 1:
            merged = combine.reduce(lines[:size], axis=0)[None]
        else:
            merged = lines[: (count - 1) * stride + 1 : stride]
            for offset in range(1, size):
                merged = combine(merged, lines[offset : offset + (count - 1) * stride + 1 : stride])
        codes = np.moveaxis(merged, 0, axis)
    return np.ascontiguousarray(codes)


# ---- sums of products


def product_bound(node: Conv2D | Dense, interval: Interval) -> int:
    """Largest magnitude any partial sum of products can reach, in any order of summation."""
    cin, cout = node.weight.shape[-2:]
    groups = node.groups if isinstance(node, Conv2D) else 1
    reach = [max(abs(a), abs(b)) for a, b in zip(interval.lo, interval.hi, strict=True)]
    flat = np.abs(node.weight).reshape(-1, cin, cout).astype(np.float64).sum(axis=0)
    most = 0.0
    for group in range(groups):
        part = flat[:, group * (cout // groups) : (group + 1) * (cout // groups)]
        most = max(
            most, float((np.array(reach[group * cin : (group + 1) * cin], dtype=np.float64) @ part).max())
        )
    return int(most * (1 + 1e-6)) + 1  # above whatever the floats have rounded away


def _matmul(rows: npt.NDArray[np.generic], weight: npt.NDArray[np.generic], bound: int) -> Codes:
    """Exact product: floating point wherever `bound` proves every partial sum representable, else int64.

    Where int64 itself overflows in between, it does so modulo 2**64, and the sum, which fits, is right.
    """
    kind = _exact_type(bound)
    product = np.asarray(rows, dtype=kind) @ np.asarray(weight, dtype=kind)
    return np.asarray(product, dtype=np.int64)


def _exact_type(bound: int) -> type[np.float32] | type[np.float64] | type[np.int64]:
    if bound < 1 << 24:
        return np.float32
    return np.float64 if bound < 1 << 53 else np.int64


def _finish(node: Conv2D | Dense | Affine, in_frac: int, sums: Codes) -> Codes:
    """Align the sums of products and the bias to the accumulator's fraction and add them."""
    frac = accumulator_frac(node, in_frac)
    up = frac - in_frac - node.weight_type.frac
    aligned = sums << up if up else sums
    return np.asarray(aligned + (node.bias << (frac - node.bias_frac)), dtype=np.int64)


def _conv2d(node: Conv2D, in_frac: int, codes: Codes, interval: Interval) -> Codes:
    kh, kw, cin, cout = node.weight.shape
    rows, columns, _ = conv_shape(node, codes.shape[1:])
    top, bottom, left, right = node.padding
    kind = _exact_type(product_bound(node, interval))
    x = np.asarray(codes, dtype=kind)
    if any(node.padding):
        x = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)))
    (sy, sx), (dy, dx) = node.stride, node.dilation
    sn, sh, sw, sc = x.strides
    taps = np.lib.stride_tricks.as_strided(
        x,
        (len(x), rows, columns, kh, kw, x.shape[-1]),
        (sn, sh * sy, sw * sx, sh * dy, sw * dx, sc),
        writeable=False,
    )
    weight = np.asarray(node.weight.reshape(kh * kw * cin, cout), dtype=kind)
    out = np.empty((len(x), rows, columns, cout), dtype=np.int64)
    depth, each = kh * kw * cin, cout // node.groups
    frames = max(1, _CHUNK // (rows * columns * depth))
    lines = rows if frames > 1 else max(1, _CHUNK // (columns * depth))
    for n in range(0, len(x), frames):
        for r in range(0, rows, lines):
            block = out[n : n + frames, r : r + lines]
            for g in range(node.groups):
                inner, outer = slice(g * cin, (g + 1) * cin), slice(g * each, (g + 1) * each)
                part = taps[n : n + frames, r : r + lines, ..., inner].reshape(-1, depth)
                sums = np.asarray(part @ weight[:, outer], dtype=np.int64)
                block[..., outer] = sums.reshape(*block.shape[:-1], each)
            block[...] = _finish(node, in_frac, block)
    return out
