"""The golden interpreter: NumPy, int64, vectorised over frames, chunked to stay in the cache."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dwell.errors import ConfigError
from dwell.hls.qmodel.arithmetic import cast_codes, float_to_codes
from dwell.hls.qmodel.nodes import Cast, Conv2D, Dense, Input, Node, Relu
from dwell.hls.qmodel.ranges import accumulator_frac
from dwell.hls.qmodel.types import Codes, Tensor
from dwell.hls.qmodel.validate import conv_shape

if TYPE_CHECKING:
    from dwell.hls.qmodel.graph import QModel

#: Elements of an unfolded matrix worked on at a time: a few hundred kilobytes, so that it stays in cache.
_CHUNK = 1 << 17


def quantize(model: QModel, x: npt.ArrayLike) -> Codes:
    """See `QModel.quantize`."""
    values = np.asarray(x)
    if values.dtype.kind not in "fiub":
        raise ConfigError(f"frames hold {values.dtype}, not numbers", place=model.input)
    _check_shape(model, values.shape)
    bad = ~np.isfinite(values)
    if bad.any():
        where = tuple(int(i) for i in np.argwhere(bad)[0])
        raise ConfigError(
            f"frame {where[0]} holds {values[where]} at {where[1:]}; {int(bad.sum())} values are not finite",
            hint="replace NaN and infinite pixels before quantizing",
            place=model.input,
        )
    tensor, node = model.tensors[model.input], model.input_node
    scaled = values if tensor.scale == 1.0 else values / tensor.scale
    return float_to_codes(scaled, tensor.type, node.rounding, node.overflow)


def run_codes(model: QModel, codes: npt.ArrayLike) -> Codes:
    """See `QModel.run_codes`: frames are taken a few at a time, so memory stays far below that of a trace."""
    given = _check_codes(model, codes)
    step = max(1, (1 << 20) // max(1, int(np.prod(given.shape[1:]))))
    if len(given) <= step:
        return _evaluate(model, given)[model.output]
    first = _evaluate(model, given[:step])[model.output]
    out = np.empty((len(given), *first.shape[1:]), dtype=np.int64)
    out[:step] = first
    for start in range(step, len(given), step):
        out[start : start + step] = _evaluate(model, given[start : start + step])[model.output]
    return out


def trace_codes(model: QModel, codes: npt.ArrayLike) -> dict[str, Codes]:
    """See `QModel.trace_codes`."""
    return _evaluate(model, _check_codes(model, codes), keep=True)


def _check_shape(model: QModel, shape: tuple[int, ...]) -> None:
    want = model.tensors[model.input].shape
    hint = f"frames are (N, {', '.join(map(str, want))})"
    if len(shape) != len(want) + 1:
        raise ConfigError(f"frames of shape {shape}", hint=hint, place=model.input)
    if model.fully_convolutional and len(want) == 3:
        rows, columns = model.window
        if shape[3] != want[2] or shape[1] < rows or shape[2] < columns:
            hint = f"frames are (N, H, W, {want[2]}) with H >= {rows} and W >= {columns}"
            raise ConfigError(f"frames of shape {shape}", hint=hint, place=model.input)
    elif shape[1:] != want:
        raise ConfigError(f"frames of shape {shape}", hint=hint, place=model.input)


def _check_codes(model: QModel, codes: npt.ArrayLike) -> Codes:
    given = np.asarray(codes)
    if given.dtype.kind not in "iu":
        raise ConfigError(f"input codes are {given.dtype}, not integers", place=model.input)
    _check_shape(model, given.shape)
    kind = model.tensors[model.input].type
    if given.size and (int(given.min()) < kind.lo or int(given.max()) > kind.hi):
        raise ConfigError(
            f"input codes from {given.min()} to {given.max()} do not fit {kind}", place=model.input
        )
    return np.asarray(given, dtype=np.int64)


def _evaluate(model: QModel, codes: Codes, keep: bool = False) -> dict[str, Codes]:
    """All tensors when `keep`, else those that no later node reads are dropped on the way."""
    last = {name: index for index, node in enumerate(model.nodes) for name in node.inputs}
    last[model.output] = len(model.nodes)
    live: dict[str, Codes] = {}
    for index, node in enumerate(model.nodes):
        live[node.output] = codes if isinstance(node, Input) else _node(model, node, live[node.inputs[0]])
        if not keep:
            live = {name: value for name, value in live.items() if last[name] > index}
    return live


def _node(model: QModel, node: Node, codes: Codes) -> Codes:
    source, out = model.tensors[node.inputs[0]], model.tensors[node.output]
    if isinstance(node, Conv2D):
        return _conv2d(node, source, codes, _bound(model, node))
    if isinstance(node, Dense):
        flat = codes.reshape(-1, codes.shape[-1])
        sums = _matmul(flat, node.weight, _bound(model, node))
        return _finish(node, source, sums).reshape(*codes.shape[:-1], -1)
    if isinstance(node, Relu):
        return np.maximum(codes, 0)
    if isinstance(node, Cast):
        return cast_codes(codes, source.type.frac, node.types, out.type.frac, node.rounding, node.overflow)
    return codes.reshape(len(codes), *out.shape)


def _bound(model: QModel, node: Conv2D | Dense) -> int:
    """Largest magnitude any partial sum of products can reach, in any order of summation."""
    interval = model.intervals[node.inputs[0]]
    reach = np.array(
        [max(abs(a), abs(b)) for a, b in zip(interval.lo, interval.hi, strict=True)], dtype=object
    )
    flat = np.abs(node.weight).reshape(-1, len(reach), node.weight.shape[-1]).astype(object).sum(axis=0)
    return max(int(v) for v in reach @ flat)


def _matmul(rows: npt.NDArray[np.generic], weight: npt.NDArray[np.generic], bound: int) -> Codes:
    """Exact product: floating point wherever `bound` proves every partial sum representable, else int64."""
    kind = _exact_type(bound)
    product = np.asarray(rows, dtype=kind) @ np.asarray(weight, dtype=kind)
    return np.asarray(product, dtype=np.int64)


def _exact_type(bound: int) -> type[np.float32] | type[np.float64] | type[np.int64]:
    if bound < 1 << 24:
        return np.float32
    return np.float64 if bound < 1 << 53 else np.int64


def _finish(node: Conv2D | Dense, source: Tensor, sums: Codes) -> Codes:
    """Align the sums of products and the bias to the accumulator's fraction and add them."""
    frac = accumulator_frac(node, source.type.frac)
    up = frac - source.type.frac - node.weight_type.frac
    aligned = sums << up if up else sums
    return np.asarray(aligned + (node.bias << (frac - node.bias_frac)), dtype=np.int64)


def _conv2d(node: Conv2D, source: Tensor, codes: Codes, bound: int) -> Codes:
    kh, kw, cin, cout = node.weight.shape
    rows, columns, _ = conv_shape(node, codes.shape[1:])
    top, bottom, left, right = node.padding
    kind = _exact_type(bound)
    x = np.asarray(codes, dtype=kind)
    if any(node.padding):
        x = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)))
    weight = np.asarray(node.weight.reshape(kh * kw * cin, cout), dtype=kind)
    (sy, sx), (dy, dx) = node.stride, node.dilation
    sn, sh, sw, sc = x.strides
    taps = np.lib.stride_tricks.as_strided(
        x,
        (len(x), rows, columns, kh, kw, cin),
        (sn, sh * sy, sw * sx, sh * dy, sw * dx, sc),
        writeable=False,
    )
    out = np.empty((len(x), rows, columns, cout), dtype=np.int64)
    depth = kh * kw * cin
    frames = max(1, _CHUNK // (rows * columns * depth))
    lines = rows if frames > 1 else max(1, _CHUNK // (columns * depth))
    for n in range(0, len(x), frames):
        for r in range(0, rows, lines):
            part = taps[n : n + frames, r : r + lines].reshape(-1, depth)
            block = out[n : n + frames, r : r + lines]
            block[...] = _finish(node, source, np.asarray(part @ weight, dtype=np.int64)).reshape(block.shape)
    return out
