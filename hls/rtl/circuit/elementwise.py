"""Nodes of the graph as circuits, given the signals that they read.

    values = apply_nodes(builder, signals, [relu, cast], model.tensors)

computes a run of nodes, each of which treats its elements by themselves (`Affine`, `Relu`, `LeakyRelu`,
`Clip`, `Cast`, `Table`), on signals that carry elements of the first one's input tensor. A signal may have
fewer fraction bits than its tensor and be narrower than its type: what it stands for is what counts.

`window_values` does the same for nodes that make one window or one vector into outputs: `Conv2D`, `Dense`,
`Pool2D`, `Softmax`, `TopK`. Both hand over `Value`s, whose last constant is not added yet, so that a
following `Cast` can round in the same adder; `settled` makes signals of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dwell.errors import InternalError
from dwell.hls.qmodel import (
    Affine,
    Cast,
    Clip,
    Conv2D,
    Dense,
    LeakyRelu,
    Multiply,
    Node,
    Pool2D,
    Pooling,
    Relu,
    Softmax,
    Table,
    Tensor,
    TopK,
)
from dwell.hls.qmodel.ranges import of_channel
from dwell.hls.rtl.circuit.builder import CircuitBuilder, Range, Signal
from dwell.hls.rtl.circuit.ranking import maximum, softmax, top
from dwell.hls.rtl.circuit.sums import affine, grid, linear, times, total
from dwell.hls.rtl.circuit.tables import table
from dwell.hls.rtl.circuit.values import Value, clipped, fitted, plus, quantized, settled

Tensors = Mapping[str, Tensor]


def apply_nodes(
    builder: CircuitBuilder,
    signals: Sequence[Signal],
    nodes: Sequence[Node],
    tensors: Tensors,
    channel_of: Sequence[int] | None = None,
) -> list[Signal]:
    """Signals after all of `nodes`. `channel_of` gives each signal's channel (default: in turn)."""
    values = [Value(signal) for signal in signals]
    for node in nodes:
        values = apply_node(builder, values, node, tensors, channel_of)
    return [settled(builder, value) for value in values]


def apply_node(
    builder: CircuitBuilder,
    values: Sequence[Value],
    node: Node,
    tensors: Tensors,
    channel_of: Sequence[int] | None = None,
) -> list[Value]:
    """One element-wise node on each value. Raises `InternalError` for any other node."""
    channels = tensors[node.output].shape[-1]
    at = channel_of if channel_of is not None else [i % channels for i in range(len(values))]
    return [_element(builder, v, node, tensors, c) for v, c in zip(values, at, strict=True)]


def _element(builder: CircuitBuilder, value: Value, node: Node, tensors: Tensors, channel: int) -> Value:
    if isinstance(node, Relu):
        return clipped(value)
    if isinstance(node, Cast):
        kind = node.types[channel if len(node.types) > 1 else 0]
        return Value(quantized(builder, value, kind, node.rounding, node.overflow))
    in_frac, out_frac = tensors[node.inputs[0]].type.frac, tensors[node.output].type.frac
    signal = fitted(builder, settled(builder, value), in_frac)
    if isinstance(node, Affine):
        return affine(builder, signal, node, channel)
    if isinstance(node, LeakyRelu):
        return Value(_leaky(builder, signal, node, channel))
    if isinstance(node, Clip):
        low, high = builder.constant(node.lo, in_frac), builder.constant(node.hi, in_frac)
        return Value(builder.smaller(builder.larger(signal, low), high))
    if isinstance(node, Table):
        return Value(table(builder, signal, node, channel, in_frac, out_frac))
    raise InternalError(f"{type(node).__name__} '{node.name}' does not treat its elements by themselves")


def _leaky(builder: CircuitBuilder, signal: Signal, node: LeakyRelu, channel: int) -> Signal:
    span, slope = signal.range, int(of_channel(node.slope, channel))
    if span.lo >= 0:
        return signal
    sloped = times(builder, signal, slope, node.slope_frac)
    if span.hi < 0:
        return sloped
    frac = max(span.frac, sloped.range.frac)
    # Only negative numbers take the slope, and only the others go as they are.
    up = frac - span.frac - node.slope_frac
    steep = [_scaled(slope * v, up) for v in (span.lo, -1)]
    high = span.hi << (frac - span.frac)
    known = Range(min(*steep, 0), max(*steep, high), frac)
    minus = builder.less(signal, builder.constant(0, span.frac))
    return builder.select(minus, sloped, signal, known)


def _scaled(code: int, up: int) -> int:
    """``code * 2**up``, towards minus infinity; nothing is lost where the code allows."""
    return code << up if up >= 0 else code >> -up


def window_values(
    builder: CircuitBuilder, row: Sequence[Signal | None], node: Node, tensors: Tensors
) -> list[Value]:
    """The outputs of one window of `node`; `row` holds its taps, all channels of each, None for padding.

    A `Conv2D` or `Pool2D` reads its taps row by row, a `Dense`, `Softmax` or `TopK` one vector.
    Raises `InternalError` for any other node.
    """
    if isinstance(node, Conv2D | Dense):
        return linear(builder, row, node)
    if isinstance(node, Pool2D):
        return _pool(builder, row, node, tensors[node.output].shape[-1])
    signals = [s for s in row if s is not None]
    if isinstance(node, Softmax):
        in_frac, out = tensors[node.inputs[0]].type.frac, tensors[node.output].type
        return [Value(s) for s in softmax(builder, signals, node, in_frac, out.hi)]
    if isinstance(node, TopK):
        return [Value(s) for s in top(builder, signals, node.k)]
    raise InternalError(f"{type(node).__name__} '{node.name}' reads no window")


def _pool(builder: CircuitBuilder, row: Sequence[Signal | None], node: Pool2D, channels: int) -> list[Value]:
    out = []
    for column in grid(row, (-1, channels)).T:
        live = [s for s in column if s is not None]
        merged = maximum(builder, live) if node.pooling is Pooling.MAX else total(builder, live)
        out.append(Value(builder.rescaled(merged, -node.shift), summed=node.pooling is Pooling.SUM))
    return out


def joined(builder: CircuitBuilder, a: Value, b: Value, node: Node) -> Value:
    """One element of an `Add` or a `Multiply`."""
    if not isinstance(node, Multiply):
        return plus(builder, a, b)
    left, right = settled(builder, a), settled(builder, b)
    for signal, factor in ((left, right), (right, left)):
        if factor.range.constant:
            return Value(times(builder, signal, factor.range.lo, factor.range.frac))
    return Value(builder.product(left, right))
