"""What a stream is made of: blocks joined by elastic links.

A block reads links and writes links, which it knows by name; `Plan` holds both, in an order in which
whatever writes a link comes before what reads it. An `Island` is a part that never stalls: something that
takes beats by steps (`front`), a kernel for each lane, and a credit FIFO behind it. Everything else moves
beats without computing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from dwell.hls.qmodel import Node, Recurrent
from dwell.hls.rtl.circuit.builder import Range
from dwell.hls.rtl.folded.layer import FoldedLayer
from dwell.hls.rtl.kernel.kernel import Kernel
from dwell.hls.rtl.stream.layout import Geometry, Layout


@dataclass(frozen=True)
class Pixels:
    """A beat as it comes; from several links one beat of each, pixel by pixel side by side."""

    latency = 0


@dataclass(frozen=True)
class Window:
    """Windows of a frame; `pad` is a pixel of padding, one code a channel."""

    geometry: Geometry
    pad: tuple[int, ...]

    @property
    def latency(self) -> int:
        """Clocks from a step to the kernel's input."""
        return self.geometry.latency


@dataclass(frozen=True)
class Repeat:
    """Pixels and rows repeated `factor` (rows, columns) times."""

    factor: tuple[int, int]
    latency = 1


@dataclass(frozen=True)
class Reduce:
    """One pixel a frame: sum or maximum of all; `lanes` first brings a beat's pixels to one, if there are several.

    `sums` are the results' intervals.
    """

    largest: bool
    lanes: Kernel | None
    sums: tuple[Range, ...]

    @property
    def latency(self) -> int:
        """Clocks from a step to the kernel's input."""
        return 1 + (self.lanes.latency if self.lanes else 0)


Front: TypeAlias = Pixels | Window | Repeat | Reduce


@dataclass(frozen=True)
class Island:
    """Nodes of the graph in hardware. `kernel` is None where there is nothing to compute behind `front`."""

    name: str
    inputs: tuple[str, ...]
    output: str
    nodes: tuple[Node, ...]
    front: Front
    kernel: Kernel | None

    @property
    def latency(self) -> int:
        """Clocks from a step to its result at the credit FIFO."""
        return self.front.latency + (self.kernel.latency if self.kernel else 0)

    @property
    def depth_log2(self) -> int:
        """log2 of the places of the credit FIFO: enough for a step every clock."""
        return max((self.latency + 2).bit_length(), 2)

    @property
    def outputs(self) -> tuple[str, ...]:
        return (self.output,)


@dataclass(frozen=True)
class _Line:
    """What all blocks with one link in and one link out have."""

    name: str
    input: str
    output: str

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.input,)

    @property
    def outputs(self) -> tuple[str, ...]:
        return (self.output,)


@dataclass(frozen=True)
class Folded(_Line):
    """A layer with shared multipliers. It takes its vector in beats; all channels of a result leave together."""

    nodes: tuple[Node, ...]
    layer: FoldedLayer

    @property
    def beats(self) -> int:
        """Beats of a vector."""
        return self.layer.unit.folding.inputs // self.layer.in_lanes


@dataclass(frozen=True)
class Entry:
    """The front door: whole frames, whatever comes in."""

    name: str
    output: str
    inputs: tuple[str, ...] = ()

    @property
    def outputs(self) -> tuple[str, ...]:
        return (self.output,)


@dataclass(frozen=True)
class Fork:
    """One link to several."""

    name: str
    input: str
    outputs: tuple[str, ...]

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.input,)


@dataclass(frozen=True)
class Join:
    """Several links side by side, pixel by pixel; wires only."""

    name: str
    inputs: tuple[str, ...]
    output: str

    @property
    def outputs(self) -> tuple[str, ...]:
        return (self.output,)


@dataclass(frozen=True)
class Fifo(_Line):
    """Places before a join. `bound`: how many of them keep it from a deadlock."""

    depth: int
    bound: int = 0


@dataclass(frozen=True)
class Narrow(_Line):
    """A beat in `ratio` parts, one after the other; of the last beat of a line only `last_parts`."""

    ratio: int
    line_beats: int
    last_parts: int


@dataclass(frozen=True)
class Regroup(_Line):
    """Beats of a row as beats of another number of pixels, which divides the row."""


@dataclass(frozen=True)
class Widen(_Line):
    """`ratio` beats in one."""

    ratio: int


@dataclass(frozen=True)
class Steps(_Line):
    """The steps of a recurrence, one after the other through the module `top`, which takes `latency` clocks.

    `state` are the intervals of the state's codes.
    """

    node: Recurrent
    top: str
    latency: int
    state: tuple[Range, ...]


@dataclass(frozen=True)
class Wires(_Line):
    """Elements of a beat in another order, or brought to another type: element i of the output is `source[i]`."""

    source: tuple[int, ...]


Block: TypeAlias = Entry | Island | Folded | Fork | Join | Fifo | Narrow | Regroup | Widen | Steps | Wires


@dataclass(frozen=True)
class Plan:
    """A whole stream. `links` gives each link's layout; `result` is the last one.

    `modules` names the modules of kernels and folded layers, by the kernels' and the nodes' names.
    """

    blocks: tuple[Block, ...]
    links: Mapping[str, Layout]
    result: str
    modules: Mapping[str, str]
