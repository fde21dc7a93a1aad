"""MatMul, Gemm and Conv: integer codes times integer codes, the scales multiplied beside them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from dwell.hls.frontends.dyadic import exact_codes, least_frac, power_of_two
from dwell.hls.frontends.onnx_file import Array, Floats, OnnxNode
from dwell.hls.frontends.qonnx.elementwise import settled, synthetic
from dwell.hls.frontends.qonnx.quantize import split
from dwell.hls.frontends.qonnx.signals import (
    FLOAT32_BITS,
    ULP,
    Signal,
    Walk,
    Weights,
    integer,
    integers,
    number,
    refuse,
)
from dwell.hls.qmodel import MAX_WIDTH, Codes, FixedPoint

#: Widest activation that a layer takes where no quantizer stands before it.
MAX_INPUT_BITS = 32
#: Constants that no quantizer has made are taken as weights where they need no more bits.
_CONSTANT_BITS = 16

#: Longest stride, dilation, window or padding.
MOST_PIXELS = 1 << 16

_WEIGHTS_HINT = "give the layer a weight quantizer"


@dataclass(frozen=True, eq=False)
class Matrix:
    """Weights with the output channel last: codes of one fraction, and a scale that is left over, (1,) or (C,)."""

    codes: Codes
    frac: int
    kind: FixedPoint
    scale: Floats


def weights_of(walk: Walk, node: OnnxNode, name: str) -> Weights:
    """A quantized constant; one that no quantizer made is taken where it holds short binary fractions."""
    if name in walk.weights:
        return walk.weights[name]
    values = walk.constants.get(name)
    if values is None:
        refuse(node, f"its weights {name!r} are computed by the network", "constant weights are supported")
    found = short_codes(values)
    if found is None:
        refuse(node, "its weights are not quantized", _WEIGHTS_HINT)
    codes, frac = found
    kind = FixedPoint.holding(int(codes.min()), int(codes.max()), 0)
    return Weights(codes, np.full(codes.shape, 2.0**-frac), kind, node)


def short_codes(values: Array) -> tuple[Codes, int] | None:
    """Codes and fraction of constants that need few bits, or None."""
    frac = least_frac(values, _CONSTANT_BITS)
    codes = exact_codes(values, frac) if frac is not None and values.size else None
    if frac is None or codes is None or int(np.abs(codes).max()).bit_length() >= _CONSTANT_BITS:
        return None
    return codes, frac


def matrix(walk: Walk, node: OnnxNode, name: str, arrange: Callable[[Array], Array]) -> Matrix:
    """The weights `arrange`d so that the output channel is the last axis."""
    found = weights_of(walk, node, name)
    codes = np.ascontiguousarray(arrange(found.codes))
    scale = np.asarray(arrange(found.scale))
    mantissa, exponent = split(scale)
    if (mantissa == mantissa.reshape(-1)[0]).all():
        least = int(exponent.min())
        shift = exponent - least
        if int(shift.max()) + int(np.abs(codes).max()).bit_length() >= MAX_WIDTH:
            refuse(
                node, f"its scales are {int(shift.max())} powers of two apart", "use one scale for the layer"
            )
        frac, left = -least, mantissa.reshape(-1)[:1]
        kind = replace(found.kind, frac=frac)
        if shift.any():
            codes = np.asarray(codes << shift, dtype=np.int64)
            kind = FixedPoint.holding(int(codes.min()), int(codes.max()), frac)
        return Matrix(codes, frac, kind, left)
    rows = scale.reshape(-1, scale.shape[-1])
    if (rows != rows[0]).any():
        refuse(node, "scales that differ within an output channel", "use one scale for each output channel")
    return Matrix(codes, 0, found.kind, rows[0].astype(np.float64))


# ---- the operators


def matmul(walk: Walk, node: OnnxNode) -> None:
    """A product with a constant matrix on the right."""
    if node.inputs[0] not in walk.signals:
        refuse(node, "its constant comes first", "write it as activations times weights")
    if node.inputs[1] in walk.signals:
        refuse(node, "both factors are computed by the network", "one factor has to be constant")
    if len(node.inputs) != 2:
        refuse(node, f"it has {len(node.inputs)} inputs", "export the network again")
    weight = matrix(walk, node, node.inputs[1], lambda array: array)
    _dense(walk, node, weight, None)


def gemm(walk: Walk, node: OnnxNode) -> None:
    """A product with a bias, the weights as they are or transposed."""
    if number(node, "alpha", 1.0) != 1.0 or number(node, "beta", 1.0) != 1.0:
        refuse(node, "alpha and beta are not 1", "fold them into the weights")
    if integer(node, "transA", 0):
        refuse(node, "its activations are transposed", "transpose the weights instead")
    if node.inputs[0] not in walk.signals:
        refuse(node, "its constant comes first", "write it as activations times weights")
    turned = integer(node, "transB", 0) != 0
    weight = matrix(walk, node, node.inputs[1], lambda array: array.T if turned else array)
    _dense(walk, node, weight, node.inputs[2] if len(node.inputs) > 2 and node.inputs[2] else None)


def _dense(walk: Walk, node: OnnxNode, weight: Matrix, bias: str | None) -> None:
    if weight.codes.ndim != 2:
        refuse(node, f"weights of {weight.codes.ndim} axes", "use a matrix (inputs, outputs)")
    source = _entering(walk, node)
    rank = len(source.order)
    codes = weight.codes
    if not codes.size:
        refuse(node, f"weights of shape {codes.shape}", "export the network again")
    unflattened = walk.unflattened.get(node.inputs[0])
    if unflattened is not None and len(codes) == unflattened.rows.size:
        source, codes = _entered(walk, node, unflattened.signal), codes[unflattened.rows]
    else:
        source = walk.reorder(source, tuple(range(1, rank + 1)))
    if walk.channels(source) != len(codes):
        refuse(
            node,
            f"weights for {len(codes)} inputs, there are {walk.channels(source)}",
            "export the network again",
        )
    plan = _Plan(walk, node, source, replace(weight, codes=codes), (codes.shape[1],), bias)

    def emit(bias_codes: Codes, bias_frac: int) -> str:
        name = walk.fresh("dense")
        return walk.build.dense(
            name, source.at, codes, weight.frac, bias_codes, bias_frac, weight_type=weight.kind
        )

    plan.finish(emit, source.order)


def conv(walk: Walk, node: OnnxNode) -> None:
    """A convolution in one or two dimensions."""
    found = weights_of(walk, node, node.inputs[1]) if len(node.inputs) > 1 else None
    if found is None or found.codes.ndim not in (3, 4):
        axes = 0 if found is None else found.codes.ndim
        refuse(node, f"weights of {axes} axes", "one- and two-dimensional convolutions are supported")
    dims = found.codes.ndim - 2
    source = _entering(walk, node)
    if len(source.order) != dims + 1:
        refuse(node, f"weights of {dims + 2} axes on {len(source.order) + 1}", "export the network again")
    source = walk.reorder(source, (*range(2, dims + 2), 1))
    weight = matrix(walk, node, node.inputs[1], lambda array: _channels_last(array, dims))
    geometry = window(walk, node, source, found.codes.shape[2:])
    groups = integer(node, "group", 1)
    channels = walk.channels(source)
    if groups < 1 or channels % groups or weight.codes.shape[2] * groups != channels:
        refuse(
            node,
            f"weights for {weight.codes.shape[2]} channels in {groups} groups, the input has {channels}",
            "export the network again",
        )
    if weight.codes.shape[3] % groups:
        refuse(node, f"{weight.codes.shape[3]} outputs in {groups} groups", "export the network again")
    flat = framed(walk, source)
    name = node.inputs[2] if len(node.inputs) > 2 and node.inputs[2] else None
    plan = _Plan(walk, node, source, weight, (weight.codes.shape[3], *(1,) * dims), name)

    def emit(bias_codes: Codes, bias_frac: int) -> str:
        at = walk.build.conv2d(
            walk.fresh("conv"),
            flat,
            weight.codes,
            weight.frac,
            bias_codes,
            bias_frac,
            weight_type=weight.kind,
            stride=geometry.stride,
            dilation=geometry.dilation,
            padding=geometry.padding,
            groups=groups,
        )
        return unframed(walk, at, dims)

    plan.finish(emit, source.order)


def _channels_last(array: Array, dims: int) -> Array:
    if dims == 1:
        array = array[:, :, None, :]
    return array.transpose(2, 3, 1, 0)


def framed(walk: Walk, signal: Signal) -> str:
    """The tensor as (rows, columns, channels): a line becomes a frame of one row."""
    shape = walk.build.tensor(signal.at).shape
    if len(shape) == 3:
        return signal.at
    return walk.build.reshape(walk.fresh("reshape"), signal.at, (1, *shape))


def unframed(walk: Walk, at: str, dims: int) -> str:
    """What `framed` did, undone."""
    if dims == 2:
        return at
    return walk.build.reshape(walk.fresh("reshape"), at, walk.build.tensor(at).shape[1:])


# ---- windows


@dataclass(frozen=True)
class Window:
    """Of a convolution or a pooling, in rows and columns."""

    size: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    padding: tuple[int, int, int, int]


def window(walk: Walk, node: OnnxNode, source: Signal, size: tuple[int, ...]) -> Window:
    """The geometry that a node's attributes give; one dimension becomes columns."""
    dims = len(size)
    if integers(node, "kernel_shape", size) != tuple(size):
        refuse(node, "kernel_shape is not that of the weights", "export the network again")
    strides, dilations = integers(node, "strides", (1,) * dims), integers(node, "dilations", (1,) * dims)
    pads = list(integers(node, "pads", (0,) * (2 * dims)))
    numbers = (*strides, *dilations, *size)
    if min(numbers) < 1 or min(pads) < 0 or max(*numbers, *pads) > MOST_PIXELS:
        refuse(
            node,
            f"window {size}, strides {strides}, dilations {dilations}, pads {pads}",
            "export the network again",
        )
    mode = node.attributes.get("auto_pad", "NOTSET")
    lengths = walk.build.tensor(source.at).shape[:dims]
    if mode in ("SAME_UPPER", "SAME_LOWER"):
        pads = [0] * (2 * dims)
        for axis in range(dims):
            reach = (size[axis] - 1) * dilations[axis] + 1
            total = max((-(-lengths[axis] // strides[axis]) - 1) * strides[axis] + reach - lengths[axis], 0)
            small, large = total // 2, total - total // 2
            pads[axis], pads[axis + dims] = (small, large) if mode == "SAME_UPPER" else (large, small)
    elif mode not in ("NOTSET", "VALID") or (mode == "VALID" and any(pads)):
        refuse(node, f"auto_pad is {mode!r}", "give pads as numbers, or use SAME_UPPER, SAME_LOWER or VALID")
    for axis in range(dims):
        reach = (size[axis] - 1) * dilations[axis] + 1
        if lengths[axis] + pads[axis] + pads[axis + dims] < reach:
            refuse(
                node, f"its window {size} does not fit into {lengths}", "use larger frames, or more padding"
            )
    if dims == 1:
        return Window((1, size[0]), (1, strides[0]), (1, dilations[0]), (0, 0, pads[0], pads[1]))
    top, left, bottom, right = pads
    return Window(
        (size[0], size[1]), (strides[0], strides[1]), (dilations[0], dilations[1]), (top, bottom, left, right)
    )


# ---- sums


def _entering(walk: Walk, node: OnnxNode) -> Signal:
    """The activations of a linear layer: integers of one scale."""
    return _entered(walk, node, settled(walk, node, node.inputs[0]))


def _entered(walk: Walk, node: OnnxNode, source: Signal) -> Signal:
    width = walk.build.tensor(source.at).type.width
    if width > MAX_INPUT_BITS:
        refuse(
            node,
            f"no quantizer stands before it: its input has {width} bits, {MAX_INPUT_BITS} are the most",
            "quantize the activations before the layer",
        )
    if not source.uniform:
        refuse(node, "its input has a scale for each channel", "quantize the activations with one scale")
    return source


@dataclass(frozen=True, eq=False)
class _Plan:
    """A linear layer about to be built: its bias becomes integers, or a float operator behind the sum."""

    walk: Walk
    node: OnnxNode
    source: Signal
    weight: Matrix
    bias_shape: tuple[int, ...]  # in which a bias for each channel is broadcast to the layer's output
    bias: str | None

    def finish(self, emit: Callable[[Codes, int], str], order: tuple[int, ...]) -> None:
        """Build the layer and set the node's output, or that of an Add behind it which brings the bias."""
        walk, node = self.walk, self.node
        cout = self.weight.codes.shape[-1]
        name, owner = (self.bias, node) if self.bias is not None else self._added(cout)
        natural = self.weight.frac + walk.build.tensor(self.source.at).type.frac
        found = self._integers(name, natural, cout) if name is not None else None
        codes, frac = found or (np.zeros(cout, dtype=np.int64), natural)
        at = emit(codes, frac)
        scale = self.source.scale[:1] * self.weight.scale
        signal = replace(
            self.source, at=at, order=order, scale=scale, noise=self._noise(at, codes), expr=None
        )
        if found is None and name is not None and owner is node:
            values = walk.constants[name].astype(np.float32).reshape(self.bias_shape)
            signal = synthetic(walk, node, signal, "Add", values)
            signal = replace(signal, noise=max(signal.noise, self._rounding(at)))
        walk.set(owner if found is not None else node, signal)
        width = walk.build.tensor(at).type.width
        if width > FLOAT32_BITS:
            walk.notes.append(
                f"{at}: sums of {width} bits are exact here, rounded in the framework's float32"
            )

    def _added(self, cout: int) -> tuple[str | None, OnnxNode]:
        """The constant of an Add that alone reads the layer and adds one number to each channel."""
        walk, node = self.walk, self.node
        readers = walk.graph.readers(node.outputs[0])
        if len(readers) != 1 or readers[0].op != "Add" or node.outputs[0] == walk.graph.output:
            return None, node
        others = [name for name in readers[0].inputs if name != node.outputs[0]]
        values = walk.constants.get(others[0]) if len(others) == 1 else None
        shapes = [(1,) * more + self.bias_shape for more in (0, 1)]
        if values is None or not (values.size == 1 or values.shape in shapes):
            return None, node
        return others[0], readers[0]

    def _integers(self, name: str, natural: int, cout: int) -> tuple[Codes, int] | None:
        """The bias as codes beside those of the sum, where that loses nothing that float32 keeps."""
        walk, node = self.walk, self.node
        if name not in walk.constants:
            refuse(node, f"its bias {name!r} is not a constant", "fold constants (qonnx-cleanup)")
        values = walk.constants[name].astype(np.float64).reshape(-1)
        if values.size not in (1, cout):
            refuse(node, f"a bias of {values.size} numbers for {cout} outputs", "export the network again")
        scale = self.source.scale[:1] * self.weight.scale
        if (scale == 1.0).all():
            least = least_frac(values, FLOAT32_BITS)
            codes = exact_codes(values, least) if least is not None else None
            if least is None or codes is None:
                return None
            if least > natural and self._magnitude() * 2.0 ** (least - natural) > 2.0**FLOAT32_BITS:
                return None
            return np.broadcast_to(codes, (cout,)), least
        exact = np.ldexp(np.broadcast_to(values, (cout,)) / scale, natural)
        codes = np.rint(exact)
        # A bias that is quantized with the sum's own scale: its float32 is a few roundings from a code.
        if (np.abs(exact - codes) > 8 * ULP * np.maximum(np.abs(codes), 1.0)).any() or (
            np.abs(codes) >= 2.0**MAX_INPUT_BITS
        ).any():
            return None
        return codes.astype(np.int64), natural

    def _magnitude(self) -> float:
        """The largest that partial sums of any order can be, in codes."""
        weight = np.abs(self.weight.codes.astype(np.float64))
        return float(weight.reshape(-1, weight.shape[-1]).sum(axis=0).max()) * self.walk.bound(self.source)

    def _noise(self, at: str, bias: Codes) -> float:
        """How far the source's float32 sum may be from the exact one, in codes of `at`."""
        unit = self.walk.build.tensor(at).type.frac
        unit -= self.weight.frac + self.walk.build.tensor(self.source.at).type.frac
        most = self._magnitude() * 2.0**unit + float(np.abs(bias).max(initial=0))
        plain = power_of_two(self.source.scale * self.weight.scale) is not None
        if self.source.noise == 0 and plain and most <= 2.0**FLOAT32_BITS:
            return 0.0
        terms = self.weight.codes.size // self.weight.codes.shape[-1]
        sums = float(np.abs(self.weight.codes).reshape(-1, self.weight.codes.shape[-1]).sum(axis=0).max())
        return float((terms + 8) * ULP * most + self.source.noise * sums * 2.0**unit)

    def _rounding(self, at: str) -> float:
        """As `_noise`, for a float bias that the source's kernel adds in an order of its own."""
        terms = self.weight.codes.size // self.weight.codes.shape[-1]
        return float((terms + 2) * ULP * self._magnitude())
