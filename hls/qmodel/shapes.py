"""Which shape and fraction a node gives its output, for what it reads. Raises `ConfigError` where neither exists."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NoReturn

from dwell.errors import ConfigError
from dwell.hls.qmodel.graph import Node, Recurrent
from dwell.hls.qmodel.nodes import (
    Add,
    Affine,
    Cast,
    Concat,
    Conv2D,
    Dense,
    Flatten,
    Input,
    LeakyRelu,
    Multiply,
    Pool2D,
    Reshape,
    Slice,
    Softmax,
    Table,
    TopK,
    Transpose,
    Upsample,
)

Shape = tuple[int, ...]
Pads = tuple[int, int, int, int]

#: Elements that a tensor, its padded copy or an unfolded window may have at most.
MAX_ELEMENTS = 1 << 28

_HINT = "the graph is damaged or was built by hand: convert the network again, or widen the type named here"


def fail(place: str, what: str) -> NoReturn:
    """Refuse a graph, naming the place."""
    raise ConfigError(f"{place}: {what}", hint=_HINT, place=place)


def accumulator_frac(node: Conv2D | Dense | Affine, in_frac: int) -> int:
    """Fraction bits of the exact accumulator of `node`."""
    return max(in_frac + node.weight_type.frac, node.bias_frac)


def node_frac(node: Node, fracs: Sequence[int]) -> int | None:
    """Fraction bits of the output of `node`, whose inputs have `fracs`; None where the node leaves them free."""
    if isinstance(node, Input | Table):
        return None
    if isinstance(node, Conv2D | Dense | Affine):
        return accumulator_frac(node, fracs[0])
    if isinstance(node, LeakyRelu):
        return fracs[0] + node.slope_frac
    if isinstance(node, Cast | Softmax | Recurrent):
        return node.frac
    if isinstance(node, Pool2D):
        return fracs[0] + node.shift
    if isinstance(node, Add | Concat):
        return max(fracs)
    if isinstance(node, Multiply):
        return fracs[0] + fracs[1]
    return 0 if isinstance(node, TopK) else fracs[0]


def node_shape(node: Node, shapes: Sequence[Shape]) -> Shape:
    """Shape of the output of `node` (not an `Input`), whose inputs have `shapes`."""
    shape = shapes[0]
    if isinstance(node, Conv2D):
        return conv_shape(node, shape)
    if isinstance(node, Dense):
        return (*shape[:-1], int(node.weight.shape[-1]))
    if isinstance(node, Pool2D):
        return (*_windows(node.name, shape, node.size, node.stride, node.padding), shape[2])
    if isinstance(node, Add | Multiply | Concat):
        return _joined(node, shapes)
    if isinstance(node, Upsample):
        if len(shape) != 3:
            fail(node.name, f"reads (rows, columns, channels), not {shape}")
        return shape[0] * node.factor[0], shape[1] * node.factor[1], shape[2]
    if isinstance(node, TopK):
        return (*shape[:-1], node.k)
    if isinstance(node, Transpose):
        if sorted(node.axes) != list(range(len(shape))):
            fail(node.name, f"axes {node.axes} are no order of those of {shape}")
        return tuple(shape[axis] for axis in node.axes)
    if isinstance(node, Slice):
        return _sliced(node, shape)
    if isinstance(node, Flatten):
        return (math.prod(shape),)
    if isinstance(node, Recurrent):
        return (shape[0], node.results) if node.sequence else (node.results,)
    if isinstance(node, Reshape):
        if math.prod(node.shape) != math.prod(shape) or any(d < 1 for d in node.shape):
            fail(node.name, f"{shape} does not reshape to {node.shape}")
        return node.shape
    return shape


def conv_shape(node: Conv2D, shape: Shape) -> tuple[int, int, int]:
    """(rows, columns, channels) that `node` makes of a (rows, columns, channels) tensor."""
    reach = [(node.weight.shape[axis] - 1) * node.dilation[axis] + 1 for axis in (0, 1)]
    rows, columns = _windows(node.name, shape, (reach[0], reach[1]), node.stride, node.padding)
    return rows, columns, int(node.weight.shape[3])


def _windows(
    place: str, shape: Shape, size: tuple[int, int], stride: tuple[int, int], padding: Pads
) -> tuple[int, int]:
    """How many windows of `size` fit (rows, columns)."""
    if len(shape) != 3:
        fail(place, f"reads (rows, columns, channels), not {shape}")
    if min(*size, *stride) < 1 or max(stride) > MAX_ELEMENTS or min(padding) < 0:
        fail(place, f"window {size}, stride {stride}, padding {padding}")
    top, bottom, left, right = padding
    padded = (shape[0] + top + bottom, shape[1] + left + right)
    if padded[0] * padded[1] * shape[2] > MAX_ELEMENTS:
        fail(place, f"padding {padding} of {shape} makes more than {MAX_ELEMENTS} elements")
    rows, columns = ((padded[a] - size[a]) // stride[a] + 1 for a in (0, 1))
    if rows < 1 or columns < 1:
        fail(place, f"its window does not fit into {shape[:2]}")
    return rows, columns


def _joined(node: Add | Multiply | Concat, shapes: Sequence[Shape]) -> Shape:
    first = shapes[0]
    if isinstance(node, Concat):
        if any(shape[:-1] != first[:-1] for shape in shapes):
            fail(node.name, f"joins shapes {list(shapes)}, which differ before the last axis")
        return (*first[:-1], sum(shape[-1] for shape in shapes))
    if any(shape != first for shape in shapes):
        fail(node.name, f"joins different shapes {list(shapes)}")
    return first


def _sliced(node: Slice, shape: Shape) -> Shape:
    if not 0 <= node.axis < len(shape):
        fail(node.name, f"axis {node.axis} of a tensor of shape {shape}")
    if not 0 <= node.start < node.stop <= shape[node.axis]:
        fail(node.name, f"elements {node.start} to {node.stop} of {shape[node.axis]}")
    return (*shape[: node.axis], node.stop - node.start, *shape[node.axis + 1 :])
