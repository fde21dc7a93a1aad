"""Links while a stream is being laid out, and the blocks that carry a tensor from one layout to another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from dwell.errors import ResourceError
from dwell.hls.qmodel import Node
from dwell.hls.rtl.kernel.kernel import Kernel
from dwell.hls.rtl.stream.blocks import Block, Front, Island, Narrow, Regroup, Widen, Wires
from dwell.hls.rtl.stream.layout import Layout
from dwell.hls.rtl.stream.order import hull

#: A tensor that has to be in one beat, to be rearranged or to go into a dense layer, in bits.
MOST_GATHERED_BITS = 16_384


#: How many times the pixels of a beat a beat of another grouping may hold.
_WIDEST = 4


class Links:
    """Blocks so far, the layout of each link, and which links carry each tensor, one for each reader left."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self.links: dict[str, Layout] = {}
        self.ready: dict[str, list[str]] = {}
        self.bases: dict[str, str] = {}  # which node's a link is

    def link(self, base: str, layout: Layout) -> str:
        link = f"l{len(self.links)}_{base}"
        self.links[link], self.bases[link] = layout, base
        return link

    def take(self, tensor: str) -> str:
        return self.ready[tensor].pop()

    def at_lanes(self, link: str, lanes: int) -> str:
        """The same tensor, fewer pixels a beat."""
        layout = self.links[link]
        if layout.lanes == lanes:
            return link
        rest = layout.columns - (layout.row_beats - 1) * layout.lanes
        out = self.link(self.bases[link], replace(layout, lanes=lanes))
        self.blocks.append(
            Narrow(f"narrow_{out}", link, out, layout.lanes // lanes, layout.row_beats, -(-rest // lanes))
        )
        return out

    def island(
        self,
        name: str,
        links: tuple[str, ...],
        nodes: Sequence[Node],
        front: Front,
        kernel: Kernel | None,
        out: Layout,
    ) -> str:
        link = self.link(name, out)
        self.blocks.append(Island(name, links, link, tuple(nodes), front, kernel))
        return link

    def whole(self, link: str) -> str:
        """The same tensor, every beat of a row full: as many pixels a beat as a row can keep up with, or nearly so."""
        frame = self.links[link]
        if frame.columns % frame.lanes == 0:
            return link
        sizes = [n for n in range(1, _WIDEST * frame.lanes + 1) if frame.columns % n == 0]
        fast = [n for n in sizes if n >= frame.lanes and frame.columns // n <= frame.row_beats]
        size = min(fast, default=sizes[-1])
        if size <= frame.whole_lanes:
            return self.at_lanes(link, frame.whole_lanes)
        out = self.link(self.bases[link], replace(frame, lanes=size))
        self.blocks.append(Regroup(f"regroup_{out}", link, out))
        return out

    def chosen(self, link: str, name: str, picked: Sequence[int], frame: Layout) -> str:
        """The same pixels with other channels."""
        size = len(frame.spans)
        order = [lane * size + channel for lane in range(frame.lanes) for channel in picked]
        return self.wired(link, name, replace(frame, spans=tuple(frame.spans[c] for c in picked)), order)

    def wired(self, link: str, name: str, layout: Layout, source: Sequence[int] | None = None) -> str:
        count = layout.lanes * len(layout.spans)
        out = self.link(name, layout)
        self.blocks.append(Wires(f"wires_{out}", link, out, tuple(source or range(count))))
        return out

    def gathered(self, link: str, node: Node) -> str:
        """The whole tensor in one beat."""
        link = self.at_lanes(link, self.links[link].whole_lanes)
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
        out = self.link(self.bases[link], Layout(1, 1, 1, spans))
        if frame.beats == 1:
            self.blocks.append(Wires(f"wires_{out}", link, out, tuple(range(len(spans)))))
        else:
            self.blocks.append(Widen(f"gather_{out}", link, out, frame.beats))
        return out

    def scattered(
        self, link: str, name: str, source: npt.NDArray[np.int64], shape: tuple[int, int, int]
    ) -> str:
        """Elements of a tensor in one beat as pixels of another."""
        rows, columns, channels = shape
        spans = self.links[link].spans
        cells = source.reshape(-1, channels)
        merged = tuple(hull([spans[i] for i in cells[:, c]]) for c in range(channels))
        pixels = rows * columns
        whole = self.wired(link, name, Layout(1, 1, 1, merged * pixels), [int(i) for i in cells.ravel()])
        if pixels == 1:
            return whole
        out = self.link(name, Layout(rows, columns, 1, merged))
        self.blocks.append(Narrow(f"scatter_{out}", whole, out, pixels, 1, pixels))
        return out
