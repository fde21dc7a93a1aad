"""What a style can carry, and how a graph falls into layers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import get_args

import numpy as np

from dwell.errors import ConfigError, ResourceError, UnsupportedLayerError
from dwell.hls.qmodel import (
    Affine,
    Cast,
    Conv2D,
    Dense,
    LeakyRelu,
    Node,
    QModel,
    Relu,
    intervals_of,
    window_of,
)
from dwell.hls.rtl.circuit.adders import MOST_SUM_BITS, MOST_WEIGHT_BITS
from dwell.hls.rtl.options import RtlOptions

#: Nodes that a chain of streamed layers (`chain.py`) is made of.
CHAIN = ("Input", "Conv2D", "Relu", "Cast")

#: What style "unrolled" carries: every node of the graph.
UNROLLED = tuple(kind.__name__ for kind in get_args(Node))

#: Products of an unrolled model beyond which it fits no board here.
MOST_PRODUCTS = 200_000

#: Elements of the largest tensor of an unrolled model.
MOST_ELEMENTS = 1 << 16


def fits_chain(model: QModel) -> bool:
    """Whether `model` is a chain of plain convolutions, streamed at any frame size without a stall."""
    return (
        model.is_chain
        and len(model.tensors[model.input].shape) == 3
        and all(type(node).__name__ in CHAIN for node in model.nodes)
        and all(_plain(node) for node in model.nodes if isinstance(node, Conv2D))
    )


def check_chain(model: QModel, options: RtlOptions) -> None:
    """Raise `UnsupportedLayerError` for what a chain cannot carry, `ConfigError` for a bad width."""
    _check_computes(model)
    for node in model.order():
        kind = type(node).__name__
        if kind not in CHAIN:
            hint = "style 'unrolled' carries it" if kind in UNROLLED else ""
            raise UnsupportedLayerError(node.name, kind, CHAIN, reason="style 'stream'", hint=hint)
        if isinstance(node, Conv2D):
            check_exact(model, node, CHAIN)
            _check_stream_conv(node)
    if window_of(model)[1] > options.max_width:
        raise ConfigError(
            f"max_width {options.max_width} is below the window's {window_of(model)[1]} columns",
            hint="raise convert.max_width",
            place="convert.max_width",
        )
    if len(model.tensors[model.input].shape) != 3:
        raise ConfigError("a streaming design takes frames (rows, columns, channels)", place=model.input)


def check_unrolled(model: QModel) -> None:
    """Raise `UnsupportedLayerError` for numbers beyond the solver, `ResourceError` for a model that is too large."""
    _check_computes(model)
    products = 0
    for node in model.order():
        if isinstance(node, Conv2D | Dense | Affine | LeakyRelu):
            check_exact(model, node, UNROLLED)
        if isinstance(node, Conv2D | Dense):
            places = math.prod(model.tensors[node.output].shape[:-1])
            products += places * int(np.count_nonzero(node.weight))
        size = math.prod(model.tensors[node.output].shape)
        if size > MOST_ELEMENTS:
            raise ResourceError(
                f"unrolled, '{node.output}' is {size} signals; {MOST_ELEMENTS} is the limit",
                hint="use style 'stream', or a smaller model",
                place=node.name,
            )
    if products > MOST_PRODUCTS:
        raise ResourceError(
            f"unrolled, the model has {products} products; {MOST_PRODUCTS} is the limit",
            hint="use style 'stream', or a smaller model",
        )


def check_exact(model: QModel, node: Conv2D | Dense | Affine | LeakyRelu, supported: Sequence[str]) -> None:
    """The adder-graph solver computes in floating point: weights and sums must be exact in it.

    Raises `UnsupportedLayerError` where they are not.
    """
    interval = intervals_of(model)[node.output]
    codes = node.slope if isinstance(node, LeakyRelu) else node.weight
    weight = int(np.abs(codes).max(initial=0)).bit_length()
    total = max(abs(interval.least), abs(interval.greatest)).bit_length()
    if weight > MOST_WEIGHT_BITS or total > MOST_SUM_BITS:
        raise UnsupportedLayerError(
            node.name,
            type(node).__name__,
            supported,
            reason=f"weights of {weight} bits (limit {MOST_WEIGHT_BITS}), sums of {total} ({MOST_SUM_BITS})",
            hint="quantize its weights and inputs more coarsely",
        )


def _check_computes(model: QModel) -> None:
    if model.output == model.input:
        raise ConfigError(f"{model.name} computes nothing: its output is its input", place=model.output)


def _plain(node: Conv2D) -> bool:
    return node.stride == (1, 1) and not any(node.padding)


def _check_stream_conv(node: Conv2D) -> None:
    if node.stride != (1, 1):
        reason, hint = f"stride {node.stride} in a chain of any frame size", "use stride 1"
    elif any(node.padding):
        reason = f"padding {node.padding} in a chain of any frame size"
        hint = "use valid padding: a decision is given wherever the window is whole"
    else:
        return
    raise UnsupportedLayerError(node.name, "Conv2D", CHAIN, reason=reason, hint=hint)


def layer_groups(model: QModel) -> list[list[Node]]:
    """Each convolution of a chain with what follows it up to the next one."""
    groups: list[list[Node]] = []
    for node in model.order()[1:]:
        if not groups or isinstance(node, Conv2D):
            groups.append([])
        groups[-1].append(node)
    return [g for g in groups if any(isinstance(n, Conv2D | Relu | Cast) for n in g)]
