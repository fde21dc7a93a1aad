"""What a style can carry, and how a graph falls into layers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dwell.errors import ConfigError, ResourceError, UnsupportedLayerError
from dwell.hls.qmodel import Cast, Conv2D, Dense, Input, Node, QModel, Relu
from dwell.hls.rtl.adders import MOST_SUM_BITS, MOST_WEIGHT_BITS
from dwell.hls.rtl.options import RtlOptions

#: What each style can carry.
SUPPORTED: dict[str, tuple[str, ...]] = {
    "stream": ("Input", "Conv2D", "Relu", "Cast"),
    "unrolled": ("Input", "Conv2D", "Dense", "Relu", "Cast", "Flatten", "Reshape"),
}

#: Products of an unrolled model beyond which it fits no board here.
_MOST_PRODUCTS = 200_000


def check_supported(model: QModel, options: RtlOptions) -> None:
    """Raise `UnsupportedLayerError` for a layer the style cannot carry, `ConfigError` for a bad width."""
    supported = SUPPORTED[options.style]
    if not layer_groups(model):
        raise ConfigError(f"{model.name} computes nothing: its output is its input", place=model.output)
    for node in path(model):
        kind = type(node).__name__
        if kind not in supported:
            hint = "style 'unrolled' carries it" if kind in SUPPORTED["unrolled"] else ""
            raise UnsupportedLayerError(
                node.name, kind, supported, reason=f"style {options.style!r}", hint=hint
            )
        if isinstance(node, Conv2D | Dense):
            _check_exact(model, node, supported)
        if options.style == "stream" and isinstance(node, Conv2D):
            _check_stream_conv(node, supported)
    if options.style == "stream":
        if model.window[1] > options.max_width:
            raise ConfigError(
                f"max_width {options.max_width} is below the window's {model.window[1]} columns",
                hint="raise convert.max_width",
                place="convert.max_width",
            )
        if len(model.tensors[model.input].shape) != 3:
            raise ConfigError("a streaming design takes frames (rows, columns, channels)", place=model.input)
    else:
        _check_size(model)


def _check_exact(model: QModel, node: Conv2D | Dense, supported: Sequence[str]) -> None:
    """The adder-graph solver computes in floating point: weights and sums must be exact in it."""
    kind, interval = type(node).__name__, model.intervals[node.output]
    weight = int(np.abs(node.weight).max(initial=0)).bit_length()
    total = max(abs(interval.least), abs(interval.greatest)).bit_length()
    if weight > MOST_WEIGHT_BITS or total > MOST_SUM_BITS:
        raise UnsupportedLayerError(
            node.name,
            kind,
            supported,
            reason=f"weights of {weight} bits (limit {MOST_WEIGHT_BITS}), sums of {total} ({MOST_SUM_BITS})",
            hint="quantize its weights and inputs more coarsely",
        )


def _check_stream_conv(node: Conv2D, supported: Sequence[str]) -> None:
    if node.stride != (1, 1):
        raise UnsupportedLayerError(
            node.name,
            "Conv2D",
            supported,
            reason=f"stride {node.stride} in style 'stream'",
            hint="use stride 1",
        )
    if any(node.padding):
        raise UnsupportedLayerError(
            node.name,
            "Conv2D",
            supported,
            reason=f"padding {node.padding} in style 'stream'",
            hint="use valid padding: a decision is given wherever the window is whole",
        )


def path(model: QModel) -> tuple[Node, ...]:
    """Nodes from the input to the output; side branches that only quantizers watch need no hardware."""
    maker = {node.output: node for node in model.nodes}
    path: list[Node] = [maker[model.output]]
    while path[-1].inputs:
        path.append(maker[path[-1].inputs[0]])
    return tuple(reversed(path))


def layer_groups(model: QModel) -> list[list[Node]]:
    """Each linear layer with what follows it up to the next one."""
    groups: list[list[Node]] = []
    for node in path(model):
        if isinstance(node, Input):
            continue
        if not groups or isinstance(node, Conv2D | Dense):
            groups.append([])
        groups[-1].append(node)
    return [g for g in groups if any(isinstance(n, Conv2D | Dense | Relu | Cast) for n in g)]


def _check_size(model: QModel) -> None:
    products = 0
    for node in path(model):
        if isinstance(node, Conv2D | Dense):
            places = int(np.prod(model.tensors[node.output].shape[:-1]))
            products += places * int(np.count_nonzero(node.weight))
    if products > _MOST_PRODUCTS:
        raise ResourceError(
            f"unrolled, the model has {products} products; {_MOST_PRODUCTS} is the limit",
            hint="use style 'stream', or a smaller model",
        )
