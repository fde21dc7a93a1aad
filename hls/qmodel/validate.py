"""Whether a graph is one the interpreter and the back ends can take at its word."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from dwell.hls.qmodel.checks import check_inputs, check_node, check_type
from dwell.hls.qmodel.nodes import Input, Node
from dwell.hls.qmodel.ranges import Interval, node_interval
from dwell.hls.qmodel.shapes import MAX_ELEMENTS, conv_shape, fail, node_frac, node_shape
from dwell.hls.qmodel.types import FixedPoint, Tensor

__all__ = ["MAX_AXES", "MAX_CHANNELS", "conv_shape", "validate_graph"]

#: Axes of a tensor, without the one of frames.
MAX_AXES = 8

#: Length of a last axis, for each element of which intervals are kept.
MAX_CHANNELS = 1 << 20


def validate_graph(
    nodes: Sequence[Node],
    tensors: Mapping[str, Tensor],
    input_name: str,
    output_name: str,
    quantizers: Sequence[tuple[str, str]],
) -> dict[str, Interval]:
    """Check a whole graph and return the interval of every tensor. Raises `ConfigError` naming the place."""
    _check_names(nodes, tensors, input_name, output_name, quantizers)
    for name, tensor in tensors.items():
        if tensor.name != name:
            fail(name, f"its tensor calls itself {tensor.name!r}")
        _check_tensor(tensor)
    known: dict[str, Interval] = {}
    for node in nodes:
        for name in node.inputs:
            if name not in known:
                fail(
                    node.name,
                    f"reads {name!r} before it is computed: the nodes are out of order or form a cycle",
                )
        _check_place(node, tensors)
        interval = node_interval(node, tensors, known)
        _check_holds(node, tensors[node.output].type, interval)
        known[node.output] = interval
    read = {name for node in nodes for name in node.inputs} | {output_name} | {name for _, name in quantizers}
    if set(known) - read:
        fail("graph", f"computed and never used: {sorted(set(known) - read)}")
    return known


def _check_names(
    nodes: Sequence[Node],
    tensors: Mapping[str, Tensor],
    input_name: str,
    output_name: str,
    quantizers: Sequence[tuple[str, str]],
) -> None:
    entries = [n for n in nodes if isinstance(n, Input)]
    if len(entries) != 1 or entries[0].output != input_name:
        fail("graph", f"{len(entries)} Input nodes; exactly one is needed, and it produces {input_name!r}")
    seen: set[str] = set()
    made: set[str] = set()
    for node in nodes:
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
    if output_name not in made:
        fail("graph", f"the output {output_name!r} is not produced")
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
