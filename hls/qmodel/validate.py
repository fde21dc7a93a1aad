"""Whether a graph is one the interpreter and the back ends can take at its word."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NoReturn

import numpy as np

from dwell.errors import ConfigError
from dwell.hls.qmodel.nodes import Cast, Conv2D, Dense, Flatten, Input, Node, Relu, Reshape
from dwell.hls.qmodel.ranges import Interval, accumulator_frac, node_interval
from dwell.hls.qmodel.types import MAX_WIDTH, FixedPoint, Tensor

_HINT = "the graph is damaged or was built by hand: convert the network again, or widen the type named here"


def validate_graph(
    nodes: Sequence[Node],
    tensors: Mapping[str, Tensor],
    input_name: str,
    output_name: str,
    quantizers: Sequence[tuple[str, str]],
) -> dict[str, Interval]:
    """Check a whole graph and return the interval of every tensor. Raises `ConfigError` naming the place."""
    _check_names(nodes, tensors, input_name, output_name, quantizers)
    for tensor in tensors.values():
        _check_tensor(tensor)
    known: dict[str, Interval] = {}
    for node in nodes:
        for name in node.inputs:
            if name not in known:
                _fail(
                    node.name,
                    f"reads {name!r} before it is computed: the nodes are out of order or form a cycle",
                )
        _check_node(node, tensors)
        interval = node_interval(node, tensors, known)
        _check_holds(node, tensors[node.output].type, interval)
        known[node.output] = interval
    read = {name for node in nodes for name in node.inputs} | {output_name}
    if set(known) - read:
        _fail("graph", f"computed and never used: {sorted(set(known) - read)}")
    return known


def _fail(place: str, what: str) -> NoReturn:
    raise ConfigError(f"{place}: {what}", hint=_HINT, place=place)


def _check_names(
    nodes: Sequence[Node],
    tensors: Mapping[str, Tensor],
    input_name: str,
    output_name: str,
    quantizers: Sequence[tuple[str, str]],
) -> None:
    entries = [n for n in nodes if isinstance(n, Input)]
    if len(entries) != 1 or entries[0].output != input_name:
        _fail("graph", f"{len(entries)} Input nodes; exactly one is needed, and it produces {input_name!r}")
    seen: set[str] = set()
    made: set[str] = set()
    for node in nodes:
        if node.name in seen:
            _fail(node.name, "a second node of this name")
        if node.output in made:
            _fail(node.name, f"a second node that produces {node.output!r}")
        wanted = 0 if isinstance(node, Input) else 1
        if len(node.inputs) != wanted:
            _fail(node.name, f"{type(node).__name__} takes {wanted} inputs, not {len(node.inputs)}")
        for name in (*node.inputs, node.output):
            if name not in tensors:
                _fail(node.name, f"names the tensor {name!r}, which is not declared")
        seen.add(node.name)
        made.add(node.output)
    if made != set(tensors):
        _fail("graph", f"tensors that no node produces: {sorted(set(tensors) - made)}")
    if output_name not in made:
        _fail("graph", f"the output {output_name!r} is not produced")
    if len({source for source, _ in quantizers}) != len(quantizers):
        _fail("graph", f"two quantizers of one name among {[source for source, _ in quantizers]}")
    for source, name in quantizers:
        if name not in made:
            _fail(f"quantizer {source}", f"names the tensor {name!r}, which is not produced")


def _check_type(place: str, kind: FixedPoint, least: int = 1) -> None:
    if not least <= kind.width <= MAX_WIDTH:
        _fail(place, f"width {kind.width} is outside {least} to {MAX_WIDTH}")
    if abs(kind.frac) > MAX_WIDTH:
        _fail(place, f"{kind.frac} fraction bits are outside ±{MAX_WIDTH}")


def _check_tensor(tensor: Tensor) -> None:
    _check_type(tensor.name, tensor.type)
    if not tensor.shape or any(size < 1 for size in tensor.shape):
        _fail(tensor.name, f"shape {tensor.shape} is empty")
    if not (np.isfinite(tensor.scale) and tensor.scale > 0):
        _fail(tensor.name, f"scale {tensor.scale} is not a positive number")


def _check_node(node: Node, tensors: Mapping[str, Tensor]) -> None:
    out = tensors[node.output]
    if isinstance(node, Input):
        return
    source = tensors[node.inputs[0]]
    expected: tuple[int, ...]
    if isinstance(node, Conv2D):
        _check_linear(node, source, out)
        expected = conv_shape(node, source.shape)
    elif isinstance(node, Dense):
        _check_linear(node, source, out)
        expected = (*source.shape[:-1], node.weight.shape[1])
    elif isinstance(node, Cast):
        _check_cast(node, source, out)
        expected = source.shape
    elif isinstance(node, Relu):
        if out.type.frac != source.type.frac or out.type.signed:
            _fail(
                node.name, f"output {out.type} is not an unsigned type with {source.type.frac} fraction bits"
            )
        expected = source.shape
    else:
        expected = _reshaped(node, source, out)
    if out.shape != expected:
        _fail(node.name, f"output shape {out.shape}, from {source.shape} it is {expected}")


def _reshaped(node: Flatten | Reshape, source: Tensor, out: Tensor) -> tuple[int, ...]:
    if out.type != source.type:
        _fail(node.name, f"changes the type from {source.type} to {out.type}")
    size = int(np.prod(source.shape))
    shape = (size,) if isinstance(node, Flatten) else node.shape
    if int(np.prod(shape)) != size or any(d < 1 for d in shape):
        _fail(node.name, f"{source.shape} does not reshape to {shape}")
    return shape


def conv_shape(node: Conv2D, shape: tuple[int, ...]) -> tuple[int, int, int]:
    """(rows, columns, channels) that `node` makes of a (rows, columns, channels) tensor."""
    if len(shape) != 3:
        _fail(node.name, f"a convolution reads (rows, columns, channels), not {shape}")
    top, bottom, left, right = node.padding
    pads = (top + bottom, left + right)
    reach = [(node.weight.shape[axis] - 1) * node.dilation[axis] + 1 for axis in (0, 1)]
    rows, columns = ((shape[a] + pads[a] - reach[a]) // node.stride[a] + 1 for a in (0, 1))
    if rows < 1 or columns < 1:
        _fail(node.name, f"its window does not fit into {shape[:2]}")
    return rows, columns, int(node.weight.shape[3])


def _check_linear(node: Conv2D | Dense, source: Tensor, out: Tensor) -> None:
    _check_type(f"{node.name}.weight", node.weight_type)
    axes = 4 if isinstance(node, Conv2D) else 2
    if node.weight.ndim != axes or node.weight.size == 0:
        _fail(node.name, f"weights of shape {node.weight.shape}; {axes} axes are needed, none empty")
    if node.weight.shape[-2] != source.shape[-1]:
        _fail(
            node.name, f"weights for {node.weight.shape[-2]} input channels, the input has {source.shape[-1]}"
        )
    if node.bias.shape != (node.weight.shape[-1],):
        _fail(node.name, f"bias of shape {node.bias.shape}, weights for {node.weight.shape[-1]} outputs")
    low, high = int(node.weight.min()), int(node.weight.max())
    if low < node.weight_type.lo or high > node.weight_type.hi:
        _fail(node.name, f"weights from {low} to {high} do not fit their type {node.weight_type}")
    if isinstance(node, Conv2D) and (min(*node.stride, *node.dilation) < 1 or min(node.padding) < 0):
        _fail(node.name, f"stride {node.stride}, dilation {node.dilation}, padding {node.padding}")
    frac = accumulator_frac(node, source.type.frac)
    if out.type.frac != frac:
        _fail(node.name, f"output {out.type} has {out.type.frac} fraction bits, the exact sum has {frac}")


def _check_cast(node: Cast, source: Tensor, out: Tensor) -> None:
    if len(node.types) not in (1, source.shape[-1]):
        _fail(node.name, f"{len(node.types)} types for {source.shape[-1]} channels")
    for kind in node.types:
        _check_type(node.name, kind, least=0)
        shift = source.type.frac - kind.frac
        if kind.width > 0 and (abs(shift) > MAX_WIDTH or source.type.width + max(-shift, 0) > MAX_WIDTH):
            _fail(node.name, f"from {source.type} to {kind} needs more than {MAX_WIDTH} bits")
    if out.type.frac != node.frac:
        _fail(
            node.name,
            f"output {out.type} has {out.type.frac} fraction bits, the finest channel has {node.frac}",
        )


def _check_holds(node: Node, kind: FixedPoint, interval: Interval) -> None:
    if interval.least < kind.lo or interval.greatest > kind.hi:
        need = FixedPoint.holding(interval.least, interval.greatest, kind.frac)
        _fail(
            node.name,
            f"its codes run from {interval.least} to {interval.greatest}, output type {kind} is too "
            f"narrow; {need} holds them",
        )
