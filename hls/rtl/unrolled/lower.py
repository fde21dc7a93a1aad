"""A whole graph as one circuit: any directed graph of nodes, every element a signal of its own.

What only moves elements (`Concat`, `Slice`, `Transpose`, `Upsample`, `Flatten`, `Reshape`) costs nothing:
arrays of signals are indexed as the interpreter indexes codes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

import numpy as np
import numpy.typing as npt

from dwell.errors import InternalError
from dwell.hls.qmodel import (
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
    Node,
    Pool2D,
    QModel,
    Relu,
    Reshape,
    Slice,
    Softmax,
    Table,
    Tensor,
    TopK,
    Transpose,
    Upsample,
)
from dwell.hls.rtl.circuit.builder import Circuit, CircuitBuilder, Range, Signal
from dwell.hls.rtl.circuit.elementwise import apply_node, joined, window_values
from dwell.hls.rtl.circuit.fusion import fuse_sums
from dwell.hls.rtl.circuit.passes import Passes
from dwell.hls.rtl.circuit.values import Value, fitted, settled

#: An array of `Value` in the shape of its tensor.
Values = npt.NDArray[np.object_]


@dataclass(frozen=True)
class Lowered:
    """A network as a circuit.

    `values` holds for each tensor what stands for its elements, signals renumbered as in `circuit`, without
    those that nothing needed; `owner[i]` is the node of the graph for which node `i` of the circuit was
    made first.
    """

    circuit: Circuit
    values: dict[str, Values]
    owner: tuple[str, ...]


@dataclass
class _Lowering:
    model: QModel
    builder: CircuitBuilder
    values: dict[str, Values] = field(default_factory=dict)
    signals: dict[str, Values] = field(default_factory=dict)
    owner: list[str] = field(default_factory=list)


def lower_network(model: QModel, passes: Passes | None = None) -> Lowered:
    """The circuit of all that the output of `model` depends on. Its inputs are the input's elements, in C order."""
    entry = model.tensors[model.input]
    # Every code of the type, also one that the input's own cast would never give: the port can carry it.
    span = Range(entry.type.lo, entry.type.hi, entry.type.frac)
    state = _Lowering(model, CircuitBuilder([span] * math.prod(entry.shape), passes))
    for node in model.order():
        state.values[node.output] = _node_values(state, node)
        state.owner += [node.name] * (state.builder.size - len(state.owner))
    outputs: list[Signal] = list(_signals(state, model.output).ravel())
    state.owner += [model.maker(model.output).name] * (state.builder.size - len(state.owner))
    order = state.builder.needed(outputs)
    circuit = state.builder.finish(outputs)
    place: Sequence[int | None] = range(len(order))
    origin: Sequence[int] = range(len(order))
    if state.builder.passes.fuse:
        fused = fuse_sums(circuit)
        circuit, place, origin = fused.circuit, fused.place, fused.origin
    new = {old: at for old, at in zip(order, place, strict=True) if at is not None}
    values = {name: _renumbered(array, new) for name, array in state.values.items()}
    return Lowered(circuit, values, tuple(state.owner[order[old]] for old in origin))


def _renumbered(array: Values, new: Mapping[int, int]) -> Values:
    out = np.empty(array.size, dtype=np.object_)
    for place, value in enumerate(array.ravel()):
        at = new.get(value.signal.node)
        if at is not None:
            out[place] = Value(Signal(at, value.signal.range), value.constant, value.frac, value.relu)
    return out.reshape(array.shape)


def _array(values: list[Value] | list[Signal], shape: tuple[int, ...]) -> Values:
    cells = np.empty(len(values), dtype=np.object_)
    cells[:] = values
    return cells.reshape(shape)


def _node_values(state: _Lowering, node: Node) -> Values:
    out = state.model.tensors[node.output]
    if isinstance(node, Input):
        return _array([Value(tap) for tap in state.builder.taps], out.shape)
    given = [state.values[name] for name in node.inputs]
    if isinstance(node, Affine | Relu | LeakyRelu | Clip | Cast | Table):
        return _array(apply_node(state.builder, list(given[0].ravel()), node, state.model.tensors), out.shape)
    if isinstance(node, Add | Multiply):
        pairs = zip(given[0].ravel(), given[1].ravel(), strict=True)
        return _array([joined(state.builder, a, b, node) for a, b in pairs], out.shape)
    if isinstance(node, Conv2D | Pool2D):
        return _windows(state, node, out)
    if isinstance(node, Dense | Softmax | TopK):
        rows = _signals(state, node.inputs[0]).reshape(-1, given[0].shape[-1])
        results: list[Value] = []
        for row in rows:
            results += window_values(state.builder, list(row), node, state.model.tensors)
        return _array(results, out.shape)
    return _moved(node, given, out)


def _signals(state: _Lowering, name: str) -> Values:
    """The elements of a tensor as signals; made once, however many nodes read them."""
    if name not in state.signals:
        values = state.values[name]
        frac = state.model.tensors[name].type.frac
        signals = [fitted(state.builder, settled(state.builder, v), frac) for v in values.ravel()]
        state.signals[name] = _array(signals, values.shape)
    return state.signals[name]


def _windows(state: _Lowering, node: Conv2D | Pool2D, out: Tensor) -> Values:
    frame = _signals(state, node.inputs[0])
    top, bottom, left, right = node.padding
    frame = np.pad(frame, ((top, bottom), (left, right), (0, 0)), constant_values=cast(int, None))
    size = node.weight.shape[:2] if isinstance(node, Conv2D) else node.size
    step = node.dilation if isinstance(node, Conv2D) else (1, 1)
    results: list[Value] = []
    for y in range(out.shape[0]):
        for x in range(out.shape[1]):
            rows = y * node.stride[0] + step[0] * np.arange(size[0])
            columns = x * node.stride[1] + step[1] * np.arange(size[1])
            taps = list(frame[np.ix_(rows, columns)].ravel())
            results += window_values(state.builder, taps, node, state.model.tensors)
    return _array(results, out.shape)


def _moved(node: Node, given: list[Values], out: Tensor) -> Values:
    first = given[0]
    if isinstance(node, Concat):
        return np.concatenate(given, axis=-1)
    if isinstance(node, Upsample):
        return first.repeat(node.factor[0], axis=0).repeat(node.factor[1], axis=1)
    if isinstance(node, Transpose):
        return first.transpose(node.axes)
    if isinstance(node, Slice):
        return first.take(range(node.start, node.stop), axis=node.axis)
    if isinstance(node, Flatten | Reshape):
        return first.reshape(out.shape)
    raise InternalError(f"{type(node).__name__} '{node.name}' is not known to style 'unrolled'")
