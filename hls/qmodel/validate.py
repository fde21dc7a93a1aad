"""Whether a graph is one the interpreter and the back ends can take at its word."""

from __future__ import annotations

import math
from collections.abc import Mapping

from dwell.hls.qmodel.checks import check_inputs, check_node, check_type
from dwell.hls.qmodel.graph import Node, QModel, Recurrent, once_per_graph
from dwell.hls.qmodel.nodes import Input
from dwell.hls.qmodel.ranges import Interval, intervals_of
from dwell.hls.qmodel.shapes import MAX_ELEMENTS, fail, node_frac, node_shape
from dwell.hls.qmodel.types import FixedPoint, Tensor

#: Axes of a tensor, without the one of frames.
MAX_AXES = 8

#: Length of a last axis, for each element of which intervals are kept.
MAX_CHANNELS = 1 << 20


def checked(model: QModel) -> QModel:
    """`model` itself, if it is one that the interpreter and the back ends can take at its word.

    Raises `ConfigError` naming the place when the graph is not valid: unknown or unused tensors, a cycle, more than
    one input, shapes that do not follow, types too narrow for the codes that can occur, widths above 62.
    """
    _check(model)
    return model


@once_per_graph
def _check(model: QModel) -> None:
    _check_names(model)
    for name, tensor in model.tensors.items():
        if tensor.name != name:
            fail(name, f"its tensor calls itself {tensor.name!r}")
        _check_tensor(tensor)
    known: set[str] = set()
    for node in model.nodes:
        if isinstance(node, Recurrent):
            checked(node.body)
        for name in node.inputs:
            if name not in known:
                fail(
                    node.name,
                    f"reads {name!r} before it is computed: the nodes are out of order or form a cycle",
                )
        _check_place(node, model.tensors)
        known.add(node.output)
    intervals = intervals_of(model)
    for node in model.nodes:
        _check_holds(node, model.tensors[node.output].type, intervals[node.output])
    read = {name for node in model.nodes for name in node.inputs}
    read |= {model.output} | {name for _, name in model.quantizers}
    if known - read:
        fail("graph", f"computed and never used: {sorted(known - read)}")


def _check_names(model: QModel) -> None:
    tensors, quantizers = model.tensors, model.quantizers
    entries = [n for n in model.nodes if isinstance(n, Input)]
    if len(entries) != 1 or entries[0].output != model.input:
        fail("graph", f"{len(entries)} Input nodes; exactly one is needed, and it produces {model.input!r}")
    seen: set[str] = set()
    made: set[str] = set()
    for node in model.nodes:
        if node.name in seen:
            fail(node.name, "a second node of this name")
        if node.output in made:
            fail(node.name, f"a second node that produces {node.output!r}")
        check_inputs(node)
        for name in (*node.inputs, node.output):
            if name not in tensors:
                fail(node.name, f"names the tensor {name!r}, which is not declared")
        seen.add(node.name)
        made.add(node.output)
    if made != set(tensors):
        fail("graph", f"tensors that no node produces: {sorted(set(tensors) - made)}")
    if model.output not in made:
        fail("graph", f"the output {model.output!r} is not produced")
    if len({source for source, _ in quantizers}) != len(quantizers):
        fail("graph", f"two quantizers of one name among {[source for source, _ in quantizers]}")
    for source, name in quantizers:
        if name not in made:
            fail(f"quantizer {source}", f"names the tensor {name!r}, which is not produced")


def _check_tensor(tensor: Tensor) -> None:
    check_type(tensor.name, tensor.type)
    shape = tensor.shape
    if not shape or len(shape) > MAX_AXES or any(size < 1 for size in shape):
        fail(tensor.name, f"shape {shape} is empty or has more than {MAX_AXES} axes")
    if math.prod(shape) > MAX_ELEMENTS or shape[-1] > MAX_CHANNELS:
        fail(
            tensor.name,
            f"shape {shape} is beyond {MAX_ELEMENTS} elements, or {MAX_CHANNELS} in its last axis",
        )
    for what, value in (("scale", tensor.scale), ("offset", tensor.offset)):
        numbers = value if isinstance(value, tuple) else (value,)
        if isinstance(value, tuple) and len(value) != shape[-1]:
            fail(tensor.name, f"{len(value)} numbers as {what} of {shape[-1]} channels")
        if not all(math.isfinite(v) for v in numbers) or (what == "scale" and min(numbers) <= 0):
            fail(tensor.name, f"{what} {value} is not a {'positive ' if what == 'scale' else ''}number")


def _check_place(node: Node, tensors: Mapping[str, Tensor]) -> None:
    """Whether a node fits what it reads and what it is said to make."""
    if isinstance(node, Input):
        return
    out, sources = tensors[node.output], [tensors[name] for name in node.inputs]
    check_node(node, sources, out)
    frac = node_frac(node, [source.type.frac for source in sources])
    if frac is not None and out.type.frac != frac:
        fail(node.name, f"output {out.type} has {out.type.frac} fraction bits, the exact result has {frac}")
    expected = node_shape(node, [source.shape for source in sources])
    if out.shape != expected:
        fail(node.name, f"output shape {out.shape}, from {sources[0].shape} it is {expected}")


def _check_holds(node: Node, kind: FixedPoint, interval: Interval) -> None:
    if interval.least < kind.lo or interval.greatest > kind.hi:
        need = FixedPoint.holding(interval.least, interval.greatest, kind.frac)
        fail(
            node.name,
            f"its codes run from {interval.least} to {interval.greatest}, output type {kind} is too "
            f"narrow; {need} holds them",
        )
