"""`Recurrent`: what must hold of it, what its steps read, and the same graph with a body for each step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from dwell.hls.qmodel import nodes as n
from dwell.hls.qmodel.graph import Node, QModel, Recurrent
from dwell.hls.qmodel.ranges import intervals_of
from dwell.hls.qmodel.shapes import fail
from dwell.hls.qmodel.types import Codes, FixedPoint, Overflow, Rounding, Tensor

#: Between the name of a node and that of a part of its body.
INSIDE = "/"


def check_recurrent(node: Recurrent, source: Tensor) -> None:
    """Refuse a body that does not fit its input, its state or itself."""
    body = node.body
    entry, result = body.tensors[body.input], body.tensors[body.output]
    if any(isinstance(inner, Recurrent) for inner in body.nodes):
        fail(node.name, "a body with steps of its own")
    if node.initial.ndim != 1 or node.initial.size == 0:
        fail(node.name, f"a state of shape {node.initial.shape}; one axis is needed, and not an empty one")
    if len(entry.shape) != 1 or len(result.shape) != 1 or node.results < 1:
        fail(
            node.name,
            f"a body from {entry.shape} to {result.shape} with a state of {len(node.initial)} codes; it goes from "
            "one vector to another, and gives one result at least",
        )
    if len(source.shape) != 2 or source.shape[1] != node.features:
        fail(node.name, f"reads (steps, {node.features}), not {source.shape}")
    if entry.type.frac != result.type.frac:
        fail(
            node.name,
            f"a body from {entry.type} to {result.type}: both need one fraction, as the state goes round",
        )
    up = entry.type.frac - source.type.frac
    if up < 0 or source.type.lo << up < entry.type.lo or source.type.hi << up > entry.type.hi:
        fail(node.name, f"the body's input {entry.type} does not hold the codes of {source.type}")
    interval = intervals_of(body)[body.output]
    least = min(*interval.lo[node.results :], int(node.initial.min()))
    most = max(*interval.hi[node.results :], int(node.initial.max()))
    if least < entry.type.lo or most > entry.type.hi:
        fail(
            node.name,
            f"its state runs from {least} to {most}, which the body's input {entry.type} does not hold; "
            f"{FixedPoint.holding(least, most, entry.type.frac)} does",
        )


def multiplying(model: QModel) -> Iterator[tuple[QModel, n.Conv2D | n.Dense]]:
    """The layers with weights in the order of computation, with the graph each one is in.

    Those inside a body are called ``<node>/<layer>``.
    """
    for node in model.order():
        if isinstance(node, n.Conv2D | n.Dense):
            yield model, node
        elif isinstance(node, Recurrent):
            yield from multiplying(named_body(node))


def named_body(node: Recurrent) -> QModel:
    """The body, as far as its output depends on it, its nodes called ``<node>/<name>``."""
    nodes = tuple(replace(inner, name=f"{node.name}{INSIDE}{inner.name}") for inner in node.body.order())
    made = {inner.output for inner in nodes}
    tensors = {name: tensor for name, tensor in node.body.tensors.items() if name in made}
    return replace(node.body, nodes=nodes, tensors=tensors, quantizers=())


def step_codes(node: Recurrent, in_frac: int, codes: Codes, state: Codes) -> Codes:
    """What the body reads (N, features + S) in a step, of features (N, features) and a state (N, S)."""
    return np.concatenate([codes << (node.frac - in_frac), state], axis=-1)


def first_state(node: Recurrent, frames: int) -> Codes:
    """The state (N, S) before the first step."""
    return np.tile(node.initial, (frames, 1))


# ---- a body for each step


def unroll_steps(model: QModel) -> QModel:
    """The same function without `Recurrent`: each step a copy of the body, for styles that have no steps.

    Quantizers inside bodies are left out; those of the graph stay.
    """
    if not any(isinstance(node, Recurrent) for node in model.nodes):
        return model
    nodes: list[Node] = []
    tensors = dict(model.tensors)
    for node in model.nodes:
        if isinstance(node, Recurrent):
            copies = _Copies(node, model, tensors)
            nodes += copies.nodes()
        else:
            nodes.append(node)
    return replace(model, nodes=tuple(nodes), tensors=tensors)


class _Copies:
    """The nodes that stand for one `Recurrent`; their tensors are put into `tensors`."""

    def __init__(self, node: Recurrent, model: QModel, tensors: dict[str, Tensor]) -> None:
        self._node, self._tensors = node, tensors
        self._source, self._out = model.tensors[node.inputs[0]], model.tensors[node.output]
        self._made: list[Node] = []

    def nodes(self) -> list[Node]:
        node, source = self._node, self._source
        state = self._initial()
        results = []
        for step in range(source.shape[0]):
            place = f"{node.name}{INSIDE}{step}"
            row = self._tensor(f"{place}{INSIDE}row", (1, node.features), source.type)
            self._made.append(n.Slice(row, (source.name,), row, 0, step, step + 1))
            flat = self._flat(f"{place}{INSIDE}features", row, source.type)
            done = self._body(place, [flat, state])
            kind, size = node.body.tensors[node.body.output].type, node.results
            last = step == source.shape[0] - 1
            if not last:
                state = self._slice(f"{place}{INSIDE}state", done, size, size + len(node.initial), kind)
            if node.sequence or last:
                results.append(self._slice(f"{place}{INSIDE}results", done, 0, size, kind))
        self._finish(results)
        return self._made

    def _initial(self) -> str:
        """The first state: a product with weights of zero, and a bias."""
        node, flat_type = self._node, self._source.type
        place = f"{node.name}{INSIDE}first"
        row = self._tensor(f"{place}{INSIDE}row", (1, node.features), flat_type)
        self._made.append(n.Slice(row, (self._source.name,), row, 0, 0, 1))
        flat = self._flat(f"{place}{INSIDE}flat", row, flat_type)
        size = len(node.initial)
        none, bit = np.zeros((node.features, size), dtype=np.int64), FixedPoint(False, 1, 0)
        kind = FixedPoint.holding(int(node.initial.min()), int(node.initial.max()), node.frac)
        name = self._tensor(place, (size,), kind)
        self._made.append(n.Dense(name, (flat,), name, none, bit, node.initial, node.frac))
        return name

    def _body(self, place: str, parts: list[str]) -> str:
        """The body on the features and the state of a step; the tensor that it gives."""
        body = self._node.body
        named = {name: f"{place}{INSIDE}{name}" for name in body.tensors}
        for name, tensor in body.tensors.items():
            self._tensors[named[name]] = replace(tensor, name=named[name])
        for node in body.order():
            title = f"{place}{INSIDE}{node.name}"
            if isinstance(node, n.Input):
                self._made.append(n.Concat(title, tuple(parts), named[node.output]))
                continue
            inputs = tuple(named[name] for name in node.inputs)
            self._made.append(replace(node, name=title, inputs=inputs, output=named[node.output]))
        kept = {node.output for node in self._made}
        for name in named.values():
            if name not in kept:
                del self._tensors[name]
        return named[body.output]

    def _finish(self, results: list[str]) -> None:
        """The results under the output's own name, type and shape."""
        node, out = self._node, self._out
        kind = self._tensors[results[0]].type
        joined = results[0]
        if len(results) > 1:
            size = len(results) * node.results
            joined = self._tensor(f"{node.name}{INSIDE}sequence", (size,), kind)
            self._made.append(n.Concat(joined, tuple(results), joined))
        if out.shape != self._tensors[joined].shape:
            shaped = self._tensor(f"{node.name}{INSIDE}shape", out.shape, kind)
            self._made.append(n.Reshape(shaped, (joined,), shaped, out.shape))
            joined = shaped
        # Narrower than the body's own type where the steps never use all of it.
        self._made.append(n.Cast(node.name, (joined,), out.name, (out.type,), Rounding.TRN, Overflow.SAT))

    def _flat(self, name: str, row: str, kind: FixedPoint) -> str:
        self._tensor(name, (self._node.features,), kind)
        self._made.append(n.Flatten(name, (row,), name))
        return name

    def _slice(self, name: str, source: str, start: int, stop: int, kind: FixedPoint) -> str:
        self._tensor(name, (stop - start,), kind)
        self._made.append(n.Slice(name, (source,), name, 0, start, stop))
        return name

    def _tensor(self, name: str, shape: tuple[int, ...], kind: FixedPoint) -> str:
        self._tensors[name] = Tensor(name, shape, kind)
        return name
