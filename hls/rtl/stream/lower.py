"""From the integer graph to the blocks of a stream."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from math import gcd, prod

import numpy as np
import numpy.typing as npt

from dwell.errors import ConfigError, ResourceError, UnsupportedLayerError
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
    Reshape,
    Slice,
    Softmax,
    TopK,
    Transpose,
    Upsample,
)
from dwell.hls.qmodel.nodes import ELEMENTWISE_NODES
from dwell.hls.rtl.circuit import Range
from dwell.hls.rtl.kernel import Kernel
from dwell.hls.rtl.kernels import make_kernel, pixel_ranges
from dwell.hls.rtl.names import identifier
from dwell.hls.rtl.options import LANES, RtlOptions
from dwell.hls.rtl.stream.blocks import (
    Block,
    Entry,
    Fifo,
    Fork,
    Front,
    Island,
    Join,
    Narrow,
    Pixels,
    Plan,
    Repeat,
    Widen,
    Wires,
)
from dwell.hls.rtl.stream.islands import (
    check_linear,
    check_window,
    is_global,
    reduce_front,
    window_front,
    window_kernel,
)
from dwell.hls.rtl.stream.layout import Layout

#: What a stream of frames of a fixed size carries.
CARRIED = (
    "Input", "Conv2D", "Dense", "Affine", "Relu", "LeakyRelu", "Clip", "Cast", "Table", "Pool2D", "Add",
    "Multiply", "Concat", "Upsample", "TopK", "Softmax", "Flatten", "Reshape", "Slice", "Transpose",
)  # fmt: skip

#: A tensor that has to be in one beat, to be rearranged or to go into a dense layer, in bits.
MOST_GATHERED_BITS = 16_384

#: A vector of results goes out in several beats beyond so many bits.
_WIDEST_VECTOR = 512


def frame_shape(shape: tuple[int, ...], place: str) -> tuple[int, int, int]:
    """A tensor's (rows, columns, channels): a sequence is one row, a vector one pixel."""
    if len(shape) > 3:
        raise UnsupportedLayerError(place, f"tensor of {len(shape)} axes", CARRIED, reason="style 'stream'")
    rows, columns, channels = (1,) * (3 - len(shape)) + shape
    return rows, columns, channels


def lower_stream(model: QModel, options: RtlOptions) -> Plan:
    """The blocks of `model`, FIFOs before joins without a depth yet.

    Raises `UnsupportedLayerError`, `ConfigError` or `ResourceError` for what the style cannot carry.
    """
    return _Lowering(model, options).plan()


class _Lowering:
    def __init__(self, model: QModel, options: RtlOptions) -> None:
        self.model, self.options = model, options
        self.order = model.order()
        self.uses = Counter(name for node in self.order for name in node.inputs)
        self.blocks: list[Block] = []
        self.links: dict[str, Layout] = {}
        self.ready: dict[str, list[str]] = {}  # links that carry a tensor, one for each reader left
        # Numbered, so that no wire of one block can be called as one of another.
        self.names = {node.name: f"n{i}_{identifier(node.name)}" for i, node in enumerate(self.order)}
        self.bases: dict[str, str] = {}  # which node's a link is

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
        return Plan(tuple(self.blocks), self.links, result)

    def _follower(self, tensor: str) -> Node | None:
        """The element-wise node that alone reads a tensor."""
        if tensor == self.model.output or self.uses[tensor] != 1:
            return None
        node = next(n for n in self.order if tensor in n.inputs)
        return node if isinstance(node, ELEMENTWISE_NODES) else None

    # ---- links

    def _link(self, base: str, layout: Layout) -> str:
        link = f"l{len(self.links)}_{base}"
        self.links[link], self.bases[link] = layout, base
        return link

    def _provide(self, tensor: str, link: str) -> None:
        readers = self.uses[tensor] + (tensor == self.model.output)
        if readers <= 1:
            self.ready[tensor] = [link]
            return
        ways = tuple(self._link(self.bases[link], self.links[link]) for _ in range(readers))
        self.blocks.append(Fork(f"fork_{link}", link, ways))
        self.ready[tensor] = list(reversed(ways))

    def _take(self, tensor: str) -> str:
        return self.ready[tensor].pop()

    def _at_lanes(self, link: str, lanes: int) -> str:
        """The same tensor, fewer pixels a beat."""
        layout = self.links[link]
        if layout.lanes == lanes:
            return link
        rest = layout.columns - (layout.row_beats - 1) * layout.lanes
        out = self._link(self.bases[link], replace(layout, lanes=lanes))
        self.blocks.append(
            Narrow(f"narrow_{out}", link, out, layout.lanes // lanes, layout.row_beats, -(-rest // lanes))
        )
        return out

    def _island(
        self,
        name: str,
        links: tuple[str, ...],
        nodes: Sequence[Node],
        front: Front,
        kernel: Kernel | None,
        out: Layout,
    ) -> str:
        link = self._link(name, out)
        self.blocks.append(Island(name, links, link, tuple(nodes), front, kernel))
        return link

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
        if isinstance(head, Flatten | Reshape | Slice | Transpose):
            link = self._rearrange(head, name)
            return self._pixels(tail, name, (link,)) if tail else link
        if isinstance(head, (Dense, Softmax, TopK, *ELEMENTWISE_NODES)):
            return self._pixels([head, *tail], name, (self._take(head.inputs[0]),))
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
        link = self._link(name, Layout(rows, columns, lanes, pixel_ranges(tensor)))
        self.blocks.append(Entry(name, link))
        return link

    def _window(self, head: Conv2D | Pool2D, tail: list[Node], name: str) -> str:
        check_window(head, CARRIED)
        link = self._take(head.inputs[0])
        if isinstance(head, Pool2D) and is_global(head, self.links[link]):
            return self._reduce(head, tail, name, link)
        window, taps = window_front(head, self.links[link].spans)
        link = self._at_lanes(link, window.geometry.lanes(self.links[link]))
        frame = self.links[link]
        lanes = window.geometry.out_lanes(frame.lanes)
        if isinstance(head, Conv2D):
            check_linear(self.model, head, lanes, CARRIED)
        nodes = (head, *tail)
        kernel = window_kernel(nodes, self.model.tensors, window, taps, self.options.latency_cutoff)
        rows, columns = window.geometry.results(frame)
        return self._island(name, (link,), nodes, window, kernel, Layout(rows, columns, lanes, kernel.result))

    def _reduce(self, head: Pool2D, tail: list[Node], name: str, link: str) -> str:
        link = self._at_lanes(link, self.links[link].whole_lanes)
        front = reduce_front(head, self.links[link], self.options.latency_cutoff)
        kernel = None
        if tail:
            kernel = make_kernel(tail, self.model.tensors, front.sums, cutoff=self.options.latency_cutoff)
        out = Layout(1, 1, 1, kernel.result if kernel else front.sums)
        return self._island(name, (link,), (head, *tail), front, kernel, out)

    def _join(self, head: Add | Multiply | Concat, tail: list[Node], name: str) -> str:
        links = [self._take(tensor) for tensor in head.inputs]
        lanes = gcd(*(self.links[link].lanes for link in links))
        links = [self._buffered(self._at_lanes(link, lanes)) for link in links]
        if not isinstance(head, Concat):
            return self._pixels([head, *tail], name, tuple(links))
        if tail:
            return self._pixels(tail, name, tuple(links))
        frame = self.links[links[0]]
        out = self._link(name, replace(frame, spans=sum((self.links[link].spans for link in links), ())))
        self.blocks.append(Join(name, tuple(links), out))
        return out

    def _buffered(self, link: str) -> str:
        out = self._link(self.bases[link], self.links[link])
        self.blocks.append(Fifo(f"fifo_{out}", link, out, 2))
        return out

    def _pixels(self, nodes: Sequence[Node], name: str, links: tuple[str, ...]) -> str:
        frame = self.links[links[0]]
        for node in nodes:
            if isinstance(node, Dense):
                check_linear(self.model, node, frame.lanes, CARRIED)
        spans = sum((self.links[link].spans for link in links), ())
        kernel = make_kernel(nodes, self.model.tensors, spans, cutoff=self.options.latency_cutoff)
        return self._island(name, links, nodes, Pixels(), kernel, replace(frame, spans=kernel.result))

    def _upsample(self, head: Upsample, tail: list[Node], name: str) -> str:
        link = self._take(head.inputs[0])
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
        link = self._island(name, (link,), (head, *tail), Repeat(head.factor), kernel, out)
        # No more lanes than before, as every kernel behind would be there once for each.
        return self._at_lanes(link, frame.lanes)

    # ---- other orders

    def _rearrange(self, node: Flatten | Reshape | Slice | Transpose, name: str) -> str:
        before, after = self.model.tensors[node.inputs[0]].shape, self.model.tensors[node.output].shape
        frame_shape(before, node.name)
        source = _source(node, np.arange(prod(before)).reshape(before))
        rows, columns, channels = frame_shape(after, node.name)
        link = self._take(node.inputs[0])
        frame = self.links[link]
        picked = _per_pixel(source, len(frame.spans), channels)
        if picked is not None and (rows, columns) == (frame.rows, frame.columns):
            return self._chosen(link, name, picked, frame)
        same_order = np.array_equal(source, np.arange(source.size))
        if (
            same_order and node.output == self.model.output
        ):  # what leaves is codes in C order, however they came
            link = self._at_lanes(link, frame.whole_lanes)
            return self._wired(
                link, name, replace(self.links[link], rows=1, columns=frame.rows * frame.columns)
            )
        if same_order and channels == len(frame.spans):
            link = self._at_lanes(link, gcd(frame.lanes, frame.columns, columns))
            return self._wired(link, name, replace(self.links[link], rows=rows, columns=columns))
        return self._scattered(self._gathered(link, node), name, source, (rows, columns, channels))

    def _chosen(self, link: str, name: str, picked: Sequence[int], frame: Layout) -> str:
        """The same pixels with other channels."""
        size = len(frame.spans)
        order = [lane * size + channel for lane in range(frame.lanes) for channel in picked]
        return self._wired(link, name, replace(frame, spans=tuple(frame.spans[c] for c in picked)), order)

    def _wired(self, link: str, name: str, layout: Layout, source: Sequence[int] | None = None) -> str:
        count = layout.lanes * len(layout.spans)
        out = self._link(name, layout)
        self.blocks.append(Wires(f"wires_{out}", link, out, tuple(source or range(count))))
        return out

    def _gathered(self, link: str, node: Node) -> str:
        """The whole tensor in one beat."""
        link = self._at_lanes(link, self.links[link].whole_lanes)
        frame = self.links[link]
        if frame.bits * frame.beats > MOST_GATHERED_BITS:
            raise ResourceError(
                f"{type(node).__name__} '{node.name}' needs a tensor of {frame.bits * frame.beats} bits in one beat; "
                f"{MOST_GATHERED_BITS} is the limit",
                hint="pool before it, quantize its input more coarsely, or share the next dense layer's multipliers "
                "(reuse)",
                place=node.name,
            )
        if frame.beats == 1 and frame.lanes == 1:
            return link
        spans = frame.spans * (frame.lanes * frame.beats)
        out = self._link(self.bases[link], Layout(1, 1, 1, spans))
        if frame.beats == 1:
            self.blocks.append(Wires(f"wires_{out}", link, out, tuple(range(len(spans)))))
        else:
            self.blocks.append(Widen(f"gather_{out}", link, out, frame.beats))
        return out

    def _scattered(
        self, link: str, name: str, source: npt.NDArray[np.int64], shape: tuple[int, int, int]
    ) -> str:
        """Elements of a tensor in one beat as pixels of another."""
        rows, columns, channels = shape
        spans = self.links[link].spans
        cells = source.reshape(-1, channels)
        merged = tuple(_hull([spans[i] for i in cells[:, c]]) for c in range(channels))
        pixels = rows * columns
        whole = self._wired(link, name, Layout(1, 1, 1, merged * pixels), [int(i) for i in cells.ravel()])
        if pixels == 1:
            return whole
        out = self._link(name, Layout(rows, columns, 1, merged))
        self.blocks.append(Narrow(f"scatter_{out}", whole, out, pixels, 1, pixels))
        return out

    def _result(self, link: str) -> str:
        """What leaves: full beats of the output's own type."""
        kind = self.model.tensors[self.model.output].type
        link = self._at_lanes(link, self.links[link].whole_lanes)
        frame = self.links[link]
        spans = (Range(kind.lo, kind.hi, kind.frac),) * len(frame.spans)
        link = self._wired(link, "result", replace(frame, spans=spans))
        ratios = [r for r in range(1, len(spans) + 1) if len(spans) % r == 0]
        ratio = next(r for r in ratios if len(spans) // r * kind.width <= _WIDEST_VECTOR)
        if ratio == 1 or frame.rows * frame.columns > 1:
            return link
        out = self._link("result", Layout(1, ratio, 1, spans[: len(spans) // ratio]))
        self.blocks.append(Narrow(f"narrow_{out}", link, out, ratio, 1, ratio))
        return out


def _source(
    node: Flatten | Reshape | Slice | Transpose, index: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Which element of its input each element of the output is."""
    if isinstance(node, Transpose):
        index = index.transpose(node.axes)
    elif isinstance(node, Slice):
        index = np.take(index, range(node.start, node.stop), axis=node.axis)
    return index.ravel()


def _per_pixel(source: npt.NDArray[np.int64], before: int, after: int) -> list[int] | None:
    """The channels that every output pixel takes of its own input pixel, if that is what happens."""
    cells = source.reshape(-1, after)
    picked = cells - np.arange(len(cells))[:, None] * before
    if (picked == picked[0]).all() and picked.min() >= 0 and picked.max() < before:
        return [int(c) for c in picked[0]]
    return None


def _hull(spans: Sequence[Range]) -> Range:
    frac = max(s.frac for s in spans)
    return Range(
        min(s.lo << (frac - s.frac) for s in spans), max(s.hi << (frac - s.frac) for s in spans), frac
    )
