"""What must hold of each node beside its shape and fraction. Raises `ConfigError` naming the node."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dwell.hls.qmodel.graph import Node, Recurrent
from dwell.hls.qmodel.nodes import (
    Add,
    Affine,
    Cast,
    Clip,
    Concat,
    Conv2D,
    Dense,
    Flatten,
    Input,
    LeakyRelu,
    Multiply,
    Pool2D,
    Pooling,
    Relu,
    Reshape,
    Slice,
    Softmax,
    Table,
    TopK,
    Transpose,
    Upsample,
)
from dwell.hls.qmodel.recurrence import check_recurrent
from dwell.hls.qmodel.shapes import MAX_ELEMENTS, fail
from dwell.hls.qmodel.types import MAX_WIDTH, Codes, FixedPoint, Tensor


def check_type(place: str, kind: FixedPoint, least: int = 1) -> None:
    """Refuse a type of fewer than `least` bits, or of more than the interpreter computes with."""
    if not least <= kind.width <= MAX_WIDTH:
        fail(place, f"width {kind.width} is outside {least} to {MAX_WIDTH}")
    if abs(kind.frac) > MAX_WIDTH:
        fail(place, f"{kind.frac} fraction bits are outside ±{MAX_WIDTH}")


def check_inputs(node: Node) -> None:
    """Refuse a node that reads too few tensors or too many."""
    if isinstance(node, Concat):
        if len(node.inputs) < 2:
            fail(node.name, f"Concat takes two or more inputs, not {len(node.inputs)}")
        return
    wanted = 0 if isinstance(node, Input) else 2 if isinstance(node, Add | Multiply) else 1
    if len(node.inputs) != wanted:
        fail(node.name, f"{type(node).__name__} takes {wanted} inputs, not {len(node.inputs)}")


def check_node(node: Node, sources: Sequence[Tensor], out: Tensor) -> None:
    """Refuse a node whose own parameters do not fit its inputs or its output."""
    source = sources[0]
    if isinstance(node, Conv2D | Dense):
        _check_linear(node, source)
    elif isinstance(node, Affine):
        _check_weight_type(node)
        for what, array in (("weight", node.weight), ("bias", node.bias)):
            _check_per_channel(node.name, what, array, source.shape[-1])
    elif isinstance(node, Relu):
        if out.type.signed:
            fail(node.name, f"output {out.type} is not an unsigned type")
    elif isinstance(node, LeakyRelu):
        _check_per_channel(node.name, "slope", node.slope, source.shape[-1])
        _check_shift(node.name, "slope_frac", node.slope_frac, least=0)
    elif isinstance(node, Clip):
        if not -(1 << MAX_WIDTH) <= node.lo <= node.hi <= 1 << MAX_WIDTH:
            fail(node.name, f"bounds {node.lo} to {node.hi}")
    elif isinstance(node, Cast):
        _check_cast(node, source)
    elif isinstance(node, Table):
        _check_table(node, source.shape[-1])
    elif isinstance(node, Pool2D):
        _check_pool(node)
    elif isinstance(node, Add | Concat):
        _check_scales(node, sources)
    elif isinstance(node, Upsample):
        if min(node.factor) < 1:
            fail(node.name, f"factor {node.factor}")
    elif isinstance(node, TopK):
        if not 1 <= node.k <= source.shape[-1]:
            fail(node.name, f"the {node.k} largest of {source.shape[-1]}")
        if out.type.signed:
            fail(node.name, f"output {out.type} is not an unsigned type")
    elif isinstance(node, Softmax):
        _check_softmax(node, source, out)
    elif isinstance(node, Recurrent):
        check_recurrent(node, source)
    elif isinstance(node, Transpose | Slice | Flatten | Reshape) and out.type != source.type:
        fail(node.name, f"changes the type from {source.type} to {out.type}")


def _check_weight_type(node: Conv2D | Dense | Affine) -> None:
    check_type(f"{node.name}.weight", node.weight_type)
    if node.weight.size == 0:
        fail(node.name, f"weights of shape {node.weight.shape}: none")
    low, high = int(node.weight.min()), int(node.weight.max())
    if low < node.weight_type.lo or high > node.weight_type.hi:
        fail(node.name, f"weights from {low} to {high} do not fit their type {node.weight_type}")
    _check_shift(node.name, "bias_frac", node.bias_frac, least=-MAX_WIDTH)


def _check_linear(node: Conv2D | Dense, source: Tensor) -> None:
    axes = 4 if isinstance(node, Conv2D) else 2
    if node.weight.ndim != axes or node.weight.size == 0:
        fail(node.name, f"weights of shape {node.weight.shape}; {axes} axes are needed, none empty")
    _check_weight_type(node)
    groups = node.groups if isinstance(node, Conv2D) else 1
    cin, cout = node.weight.shape[-2:]
    if groups < 1 or cout % groups:
        fail(node.name, f"{cout} output channels in {groups} groups")
    if cin * groups != source.shape[-1]:
        fail(node.name, f"weights for {cin * groups} input channels, the input has {source.shape[-1]}")
    if node.bias.shape != (cout,):
        fail(node.name, f"bias of shape {node.bias.shape}, weights for {cout} outputs")
    if isinstance(node, Conv2D) and not (
        min(*node.stride, *node.dilation) >= 1
        and max(*node.stride, *node.dilation) <= MAX_ELEMENTS
        and min(node.padding) >= 0
    ):
        fail(node.name, f"stride {node.stride}, dilation {node.dilation}, padding {node.padding}")


def _check_per_channel(place: str, what: str, array: Codes, channels: int) -> None:
    if array.ndim != 1 or len(array) not in (1, channels):
        fail(place, f"{what} of shape {array.shape} for {channels} channels")


def _check_shift(place: str, what: str, shift: int, *, least: int) -> None:
    if not least <= shift <= MAX_WIDTH:
        fail(place, f"{what} {shift} is outside {least} to {MAX_WIDTH}")


def _check_cast(node: Cast, source: Tensor) -> None:
    if len(node.types) not in (1, source.shape[-1]):
        fail(node.name, f"{len(node.types)} types for {source.shape[-1]} channels")
    for kind in node.types:
        check_type(node.name, kind, least=0)
        shift = source.type.frac - kind.frac
        if kind.width > 0 and (abs(shift) > MAX_WIDTH or source.type.width + max(-shift, 0) > MAX_WIDTH):
            fail(node.name, f"from {source.type} to {kind} needs more than {MAX_WIDTH} bits")


def _check_table(node: Table, channels: int) -> None:
    breaks, levels = node.breaks, node.levels
    if breaks.ndim != 2 or levels.ndim != 2 or len(levels) == 0:
        fail(
            node.name,
            f"breaks of shape {breaks.shape} and levels of shape {levels.shape}; two axes are needed",
        )
    if levels.shape != (len(breaks), breaks.shape[1] + 1) or len(breaks) not in (1, channels):
        fail(
            node.name,
            f"breaks of shape {breaks.shape} and levels of shape {levels.shape} for {channels} channels",
        )
    if (breaks[:, 1:] < breaks[:, :-1]).any():
        fail(
            node.name,
            f"breaks of row {int(np.argwhere(breaks[:, 1:] < breaks[:, :-1])[0][0])} are not in order",
        )


def _check_pool(node: Pool2D) -> None:
    top, bottom, left, right = node.padding
    if max(top, bottom) >= node.size[0] or max(left, right) >= node.size[1]:
        fail(node.name, f"padding {node.padding} holds whole windows of size {node.size}")
    _check_shift(node.name, "shift", node.shift, least=-MAX_WIDTH)
    if node.shift and node.pooling is Pooling.MAX:
        fail(node.name, f"a maximum with a shift of {node.shift}")


def _check_scales(node: Add | Concat, sources: Sequence[Tensor]) -> None:
    """A sum needs one scale; side by side, each channel keeps its own."""
    if isinstance(node, Add) and sources[0].scale != sources[1].scale:
        fail(node.name, f"adds codes of scales {sources[0].scale} and {sources[1].scale}")


def _check_softmax(node: Softmax, source: Tensor, out: Tensor) -> None:
    table = node.exponentials
    _check_shift(node.name, "frac", node.frac, least=0)
    if out.type.signed:
        fail(node.name, f"output {out.type} is not an unsigned type")
    if table.ndim != 1 or len(table) == 0 or table[0] < 1 or table[-1] < 0 or (table[1:] > table[:-1]).any():
        fail(node.name, "its exponentials do not fall from a positive number to one not below zero")
    top = int(table[0])
    if top.bit_length() + node.frac > MAX_WIDTH or top * source.shape[-1] >= 1 << MAX_WIDTH:
        fail(
            node.name,
            f"exponentials up to {top} with {node.frac} fraction bits need more than {MAX_WIDTH} bits",
        )
