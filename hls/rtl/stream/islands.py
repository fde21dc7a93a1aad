"""Nodes of the graph as islands: their kernels, and what padding looks like to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dwell.errors import ResourceError, UnsupportedLayerError
from dwell.hls.qmodel import Conv2D, Dense, Node, Pool2D, Pooling, QModel, Tensor
from dwell.hls.rtl.circuit.builder import CircuitBuilder, Range
from dwell.hls.rtl.circuit.ranking import maximum
from dwell.hls.rtl.circuit.schedule import pipeline
from dwell.hls.rtl.circuit.sums import total
from dwell.hls.rtl.kernel.kernel import Kernel
from dwell.hls.rtl.kernel.make import make_kernel
from dwell.hls.rtl.stream.blocks import Reduce, Window
from dwell.hls.rtl.stream.layout import Geometry, Layout
from dwell.hls.rtl.support import check_exact

#: When a window is there in a kernel's first clock, in adder levels: it is masked at the edges of the frame.
_MASKED = 0.4

#: Products of one layer, all lanes together, beyond which its adder graphs fit no board here.
MOST_PRODUCTS = 200_000


def geometry_of(node: Conv2D | Pool2D) -> Geometry:
    """The window of a node."""
    if isinstance(node, Conv2D):
        rows, columns = node.weight.shape[:2]
        return Geometry((rows, columns), node.dilation, node.stride, node.padding)
    return Geometry(node.size, (1, 1), node.stride, node.padding)


def check_window(node: Conv2D | Pool2D, supported: Sequence[str]) -> None:
    """Raise `UnsupportedLayerError` where padding is wider than the window reaches."""
    geometry = geometry_of(node)
    for pad, reach in zip(node.padding, np.repeat(geometry.reach, 2), strict=True):
        if pad > reach:
            raise UnsupportedLayerError(
                node.name,
                type(node).__name__,
                supported,
                reason=f"padding {node.padding} beyond the reach {geometry.reach} of its window",
                hint="pad by at most the window's size less one",
            )


def check_linear(model: QModel, node: Conv2D | Dense, lanes: int, supported: Sequence[str]) -> None:
    """Raise where a layer's adder graphs would not be exact, or would be too many."""
    check_exact(model, node, supported)
    products = int(np.count_nonzero(node.weight)) * lanes
    if products > MOST_PRODUCTS:
        raise ResourceError(
            f"layer '{node.name}' has {products} products at {lanes} pixels a clock; {MOST_PRODUCTS} is the limit",
            hint=f"share multipliers with reuse ('{node.name}=R'), or take fewer pixels a clock",
            place=node.name,
        )


def window_front(node: Conv2D | Pool2D, spans: Sequence[Range]) -> tuple[Window, tuple[Range, ...]]:
    """The windower of a node over pixels of `spans`, and the intervals of a tap's channels."""
    geometry = geometry_of(node)
    if isinstance(node, Pool2D) and node.pooling is Pooling.MAX:
        # Left out of a maximum: the lowest code never wins.
        return Window(geometry, tuple(s.lo for s in spans)), tuple(spans)
    taps = tuple(spans)
    if any(node.padding):
        taps = tuple(Range(min(s.lo, 0), max(s.hi, 0), s.frac) for s in spans)
    return Window(geometry, (0,) * len(taps)), taps


def window_kernel(
    nodes: Sequence[Node], tensors: Mapping[str, Tensor], window: Window, taps: Sequence[Range], cutoff: float
) -> Kernel:
    """The kernel of one window."""
    rows, columns = window.geometry.kernel
    spans = tuple(taps) * (rows * columns)
    return make_kernel(nodes, tensors, spans, cutoff=cutoff, arrival=[_MASKED] * len(spans))


def reduce_front(node: Pool2D, frame: Layout, cutoff: float) -> Reduce:
    """A pooling over the whole frame."""
    largest = node.pooling is Pooling.MAX
    kernel = _over_lanes(node, frame, largest, cutoff) if frame.lanes > 1 else None
    count = 1 if largest else frame.rows * frame.columns
    sums = tuple(Range(s.lo * count, s.hi * count, s.frac + node.shift) for s in frame.spans)
    return Reduce(largest, kernel, sums)


def _over_lanes(node: Pool2D, frame: Layout, largest: bool, cutoff: float) -> Kernel:
    """The pixels of a beat as one."""
    builder = CircuitBuilder(frame.spans * frame.lanes)
    channels = len(frame.spans)
    merge = maximum if largest else total
    outputs = [merge(builder, builder.taps[c::channels]) for c in range(channels)]
    circuit = builder.finish(outputs)
    schedule = pipeline(circuit, cutoff, [0.0] * len(circuit.inputs))
    return Kernel(f"{node.name} lanes", "Pool2D", circuit, schedule)


def is_global(node: Pool2D, frame: Layout) -> bool:
    """Whether a pooling takes the whole frame, and is too large for a window."""
    return (
        node.size == (frame.rows, frame.columns) and not any(node.padding) and frame.rows * frame.columns > 9
    )


def is_pointwise(node: Conv2D | Pool2D) -> bool:
    """Whether each result is made of one pixel, in its place."""
    geometry = geometry_of(node)
    return geometry.kernel == geometry.stride == (1, 1) and not any(node.padding)
