"""From the integer graph to the blocks of a stream."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import gcd

import numpy as np

from dwell.errors import ConfigError, UnsupportedLayerError
from dwell.hls.qmodel import (
    Add,
    Concat,
    Conv2D,
    Dense,
    Flatten,
    Input,
    Multiply,
    Node,
    Pool2D,
    QModel,
    Recurrent,
    Reshape,
    Slice,
    Softmax,
    TopK,
    Transpose,
    Upsample,
)
from dwell.hls.qmodel.graph import ELEMENTWISE_NODES
from dwell.hls.rtl.circuit.builder import Range
from dwell.hls.rtl.kernel.make import make_kernel, pixel_ranges
from dwell.hls.rtl.options import LANES, RtlOptions
from dwell.hls.rtl.stream.blocks import (
    Entry,
    Fifo,
    Folded,
    Fork,
    Join,
    Narrow,
    Pixels,
    Plan,
    Repeat,
    Steps,
    Window,
)
from dwell.hls.rtl.stream.bodies import Body, options_outside, spans_of
from dwell.hls.rtl.stream.folds import folded_layer, foldings_of, is_folded
from dwell.hls.rtl.stream.islands import (
    check_linear,
    check_window,
    is_global,
    is_pointwise,
    reduce_front,
    window_front,
    window_kernel,
)
from dwell.hls.rtl.stream.layout import Layout
from dwell.hls.rtl.stream.links import Links
from dwell.hls.rtl.stream.order import Moving, element_source, per_pixel
from dwell.hls.rtl.verilog.names import identifier, unique

#: What a stream of frames of a fixed size carries.
CARRIED = (
    "Input", "Conv2D", "Dense", "Affine", "Relu", "LeakyRelu", "Clip", "Cast", "Table", "Pool2D", "Add",
    "Multiply", "Concat", "Upsample", "TopK", "Softmax", "Flatten", "Reshape", "Slice", "Transpose", "Recurrent",
)  # fmt: skip

#: A vector of results goes out in several beats beyond so many bits.
_WIDEST_VECTOR = 512


def frame_shape(shape: tuple[int, ...], place: str) -> tuple[int, int, int]:
    """A tensor's (rows, columns, channels): a sequence is one row, a vector one pixel."""
    if len(shape) > 3:
        raise UnsupportedLayerError(place, f"tensor of {len(shape)} axes", CARRIED, reason="style 'stream'")
    rows, columns, channels = (1,) * (3 - len(shape)) + shape
    return rows, columns, channels


def lower_stream(
    model: QModel,
    options: RtlOptions,
    bodies: Mapping[str, Body] | None = None,
    widest_vector: int = _WIDEST_VECTOR,
) -> Plan:
    """The blocks of `model`, FIFOs before joins without a depth yet; `bodies` are those of its recurrences.

    Raises `UnsupportedLayerError`, `ConfigError` or `ResourceError` for what the style cannot carry.
    """
    return _Lowering(model, options_outside(model, options), bodies or {}, widest_vector).plan()


class _Lowering(Links):
    def __init__(
        self, model: QModel, options: RtlOptions, bodies: Mapping[str, Body], widest_vector: int
    ) -> None:
        super().__init__()
        self.model, self.options = model, options
        self.bodies, self.widest_vector = bodies, widest_vector
        self.order = model.order()
        self.uses = Counter(name for node in self.order for name in node.inputs)
        # Numbered, so that no wire of one block can be called as one of another.
        self.names = {node.name: f"n{i}_{identifier(node.name)}" for i, node in enumerate(self.order)}
        titles = [title for node in self.order for title in (node.name, f"{node.name} lanes")]
        modules = [f"{identifier(model.name)}_{name}" for name in unique(titles)]
        self.modules = dict(zip(titles, modules, strict=True))
        self.foldings = foldings_of(self.order, options)

    def plan(self) -> Plan:
        nodes = list(self.order)
        if len(nodes) < 2:
            raise ConfigError(
                f"{self.model.name} computes nothing: its output is its input", place=self.model.output
            )
        while nodes:
            head = nodes.pop(0)
            tail: list[Node] = []
            at = head.output
            while not isinstance(head, Input) and (follower := self._follower(at)):
                tail.append(follower)
                nodes.remove(follower)
                at = follower.output
            self._provide(at, self._lower(head, tail))
        result = self._result(self.ready[self.model.output].pop())
        return Plan(tuple(self.blocks), self.links, result, self.modules)

    def _follower(self, tensor: str) -> Node | None:
        """The element-wise node that alone reads a tensor."""
        if tensor == self.model.output or self.uses[tensor] != 1:
            return None
        node = next(n for n in self.order if tensor in n.inputs)
        return node if isinstance(node, ELEMENTWISE_NODES) else None

    def _flows_on(self, tensor: str) -> bool:
        """Whether a vector is read by a folded layer alone, which takes it in parts."""
        readers = [n for n in self.order if tensor in n.inputs]
        shape = self.model.tensors[tensor].shape
        return (
            len(readers) == 1
            and len(shape) == 1
            and isinstance(readers[0], Dense)
            and is_folded(readers[0], self.options)
        )

    def _provide(self, tensor: str, link: str) -> None:
        readers = self.uses[tensor] + (tensor == self.model.output)
        if readers <= 1:
            self.ready[tensor] = [link]
            return
        ways = tuple(self.link(self.bases[link], self.links[link]) for _ in range(readers))
        self.blocks.append(Fork(f"fork_{link}", link, ways))
        self.ready[tensor] = list(reversed(ways))

    # ---- nodes

    def _lower(self, head: Node, tail: list[Node]) -> str:
        name = self.names[head.name]
        if isinstance(head, Input):
            return self._entry(head, name)
        if isinstance(head, Conv2D | Pool2D):
            return self._window(head, tail, name)
        if isinstance(head, Add | Multiply | Concat):
            return self._join(head, tail, name)
        if isinstance(head, Upsample):
            return self._upsample(head, tail, name)
        if isinstance(head, Recurrent):
            link = self._steps(head, name)
            return self._pixels(tail, name, (link,)) if tail else link
        if isinstance(head, Flatten | Reshape | Slice | Transpose):
            link = self._rearrange(head, name)
            return self._pixels(tail, name, (link,)) if tail else link
        if isinstance(head, Dense) and is_folded(head, self.options):
            return self._folded_dense(head, tail, name)
        if isinstance(head, (Dense, Softmax, TopK, *ELEMENTWISE_NODES)):
            return self._pixels([head, *tail], name, (self.take(head.inputs[0]),))
        raise UnsupportedLayerError(head.name, type(head).__name__, CARRIED, reason="style 'stream'")

    def _entry(self, node: Input, name: str) -> str:
        tensor = self.model.tensors[node.output]
        rows, columns, _ = frame_shape(tensor.shape, node.name)
        lanes = self.options.pixels_per_clock
        if columns % lanes:
            fits = ", ".join(str(n) for n in LANES if columns % n == 0)
            raise ConfigError(
                f"{lanes} pixels a clock do not divide lines of {columns} pixels",
                hint=f"choose one of {fits}",
                place="convert.pixels_per_clock",
            )
        # Every code of the type, also one that the input's own cast would never give: the port can carry it.
        link = self.link(name, Layout(rows, columns, lanes, pixel_ranges(tensor)))
        self.blocks.append(Entry(name, link))
        return link

    def _window(self, head: Conv2D | Pool2D, tail: list[Node], name: str) -> str:
        check_window(head, CARRIED)
        link = self.take(head.inputs[0])
        if isinstance(head, Pool2D) and is_global(head, self.links[link]):
            return self._reduce(head, tail, name, link)
        if is_pointwise(head):
            return self._pointwise(head, tail, name, link)
        window, taps = window_front(head, self.links[link].spans)
        if isinstance(head, Conv2D) and is_folded(head, self.options):
            return self._folded_window(head, tail, name, link, window, taps)
        link = self.at_lanes(link, window.geometry.lanes(self.links[link]))
        frame = self.links[link]
        lanes = window.geometry.out_lanes(frame.lanes)
        if isinstance(head, Conv2D):
            check_linear(self.model, head, lanes, CARRIED)
        nodes = (head, *tail)
        kernel = window_kernel(nodes, self.model.tensors, window, taps, self.options.latency_cutoff)
        rows, columns = window.geometry.results(frame)
        return self.island(name, (link,), nodes, window, kernel, Layout(rows, columns, lanes, kernel.result))

    def _pointwise(self, head: Conv2D | Pool2D, tail: list[Node], name: str, link: str) -> str:
        """A window of one pixel is the pixel."""
        if isinstance(head, Conv2D) and is_folded(head, self.options):
            link = self.at_lanes(link, 1)
            return self._folded(head, tail, name, link, self.links[link])
        return self._pixels([head, *tail], name, (link,))

    def _folded_window(
        self, head: Conv2D, tail: list[Node], name: str, link: str, window: Window, taps: Sequence[Range]
    ) -> str:
        """One window a beat, then a layer that takes its time for each."""
        lanes, stride = self.links[link].lanes, window.geometry.stride[1]
        link = self.at_lanes(link, max(n for n in range(1, lanes + 1) if lanes % n == 0 and stride % n == 0))
        rows, columns = window.geometry.results(self.links[link])
        whole = tuple(taps) * (window.geometry.kernel[0] * window.geometry.kernel[1])
        windows = self.island(f"{name}_window", (link,), (), window, None, Layout(rows, columns, 1, whole))
        return self._folded(head, tail, name, windows, self.links[windows])

    def _folded(self, head: Conv2D | Dense, tail: list[Node], name: str, link: str, out: Layout) -> str:
        nodes, beat = (head, *tail), self.links[link].spans * self.links[link].lanes
        folding, module = self.foldings[head.name], self.modules[head.name]
        layer = folded_layer(nodes, self.model, beat, folding, self.options, module)
        to = self.link(name, replace(out, spans=layer.out_spans))
        self.blocks.append(Folded(name, link, to, nodes, layer))
        return to

    def _folded_dense(self, head: Dense, tail: list[Node], name: str) -> str:
        """A dense layer on each pixel, or on a flattened frame as its pixels come."""
        link = self.take(head.inputs[0])
        frame = self.links[link]
        if len(frame.spans) != head.weight.shape[0]:
            return self._folded(head, tail, name, link, Layout(1, 1, 1, ()))
        link = self.at_lanes(link, 1)
        return self._folded(head, tail, name, link, self.links[link])

    def _reduce(self, head: Pool2D, tail: list[Node], name: str, link: str) -> str:
        link = self.at_lanes(link, self.links[link].whole_lanes)
        front = reduce_front(head, self.links[link], self.options.latency_cutoff)
        kernel = None
        if tail:
            kernel = make_kernel(tail, self.model.tensors, front.sums, cutoff=self.options.latency_cutoff)
        out = Layout(1, 1, 1, kernel.result if kernel else front.sums)
        return self.island(name, (link,), (head, *tail), front, kernel, out)

    def _join(self, head: Add | Multiply | Concat, tail: list[Node], name: str) -> str:
        links = [self.take(tensor) for tensor in head.inputs]
        lanes = gcd(*(self.links[link].lanes for link in links))
        links = [self._buffered(self.at_lanes(link, lanes)) for link in links]
        if not isinstance(head, Concat):
            return self._pixels([head, *tail], name, tuple(links))
        if tail:
            return self._pixels(tail, name, tuple(links))
        frame = self.links[links[0]]
        out = self.link(name, replace(frame, spans=sum((self.links[link].spans for link in links), ())))
        self.blocks.append(Join(name, tuple(links), out))
        return out

    def _buffered(self, link: str) -> str:
        out = self.link(self.bases[link], self.links[link])
        self.blocks.append(Fifo(f"fifo_{out}", link, out, 2))
        return out

    def _pixels(self, nodes: Sequence[Node], name: str, links: tuple[str, ...]) -> str:
        frame = self.links[links[0]]
        for node in nodes:
            if isinstance(node, Conv2D | Dense):
                check_linear(self.model, node, frame.lanes, CARRIED)
        spans = sum((self.links[link].spans for link in links), ())
        kernel = make_kernel(nodes, self.model.tensors, spans, cutoff=self.options.latency_cutoff)
        return self.island(name, links, nodes, Pixels(), kernel, replace(frame, spans=kernel.result))

    def _upsample(self, head: Upsample, tail: list[Node], name: str) -> str:
        link = self.take(head.inputs[0])
        frame = self.links[link]
        kernel = None
        if tail:
            kernel = make_kernel(tail, self.model.tensors, frame.spans, cutoff=self.options.latency_cutoff)
        rows, columns = head.factor
        out = Layout(
            frame.rows * rows,
            frame.columns * columns,
            frame.lanes * columns,
            kernel.result if kernel else frame.spans,
        )
        link = self.island(name, (link,), (head, *tail), Repeat(head.factor), kernel, out)
        # No more lanes than before, as every kernel behind would be there once for each.
        return self.at_lanes(link, frame.lanes)

    def _steps(self, head: Recurrent, name: str) -> str:
        """A recurrence: a pixel of the line is a step."""
        link = self.at_lanes(self.take(head.inputs[0]), 1)
        frame, body = self.links[link], self.bodies[head.name]
        results, state = spans_of(head, frame.spans, self.model.tensors[head.inputs[0]].type.frac)
        out = self.link(name, Layout(1, frame.columns if head.sequence else 1, 1, results))
        self.blocks.append(Steps(f"{name}_steps", link, out, head, body.top, body.latency, state))
        return out

    # ---- other orders

    def _rearrange(self, node: Moving, name: str) -> str:
        before, after = self.model.tensors[node.inputs[0]].shape, self.model.tensors[node.output].shape
        frame_shape(before, node.name)
        source = element_source(node, before)
        rows, columns, channels = frame_shape(after, node.name)
        link = self.take(node.inputs[0])
        frame = self.links[link]
        picked = per_pixel(source, len(frame.spans), channels)
        if picked is not None and (rows, columns) == (frame.rows, frame.columns):
            return self.chosen(link, name, picked, frame)
        same_order = np.array_equal(source, np.arange(source.size))
        if (
            same_order and node.output == self.model.output
        ):  # what leaves is codes in C order, however they came
            link = self.at_lanes(link, frame.whole_lanes)
            return self.wired(
                link, name, replace(self.links[link], rows=1, columns=frame.rows * frame.columns)
            )
        if same_order and channels == len(frame.spans):
            link = self.at_lanes(link, gcd(frame.lanes, frame.columns, columns))
            return self.wired(link, name, replace(self.links[link], rows=rows, columns=columns))
        return self.scattered(self.gathered(link, node), name, source, (rows, columns, channels))

    def _result(self, link: str) -> str:
        """What leaves: full beats of the output's own type."""
        kind = self.model.tensors[self.model.output].type
        link = self.whole(link)
        frame = self.links[link]
        spans = (Range(kind.lo, kind.hi, kind.frac),) * len(frame.spans)
        link = self.wired(link, "result", replace(frame, spans=spans))
        ratios = [r for r in range(1, len(spans) + 1) if len(spans) % r == 0]
        ratio = next(r for r in ratios if len(spans) // r * kind.width <= self.widest_vector)
        if ratio == 1 or frame.rows * frame.columns > 1:
            return link
        out = self.link("result", Layout(1, ratio, 1, spans[: len(spans) // ratio]))
        self.blocks.append(Narrow(f"narrow_{out}", link, out, ratio, 1, ratio))
        return out
