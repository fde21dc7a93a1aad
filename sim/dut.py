"""A design as simulation sees it: sources, ports and the golden model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from dwell.hls.design import Design, StreamPort
from dwell.hls.qmodel import FixedPoint, QModel

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Port:
    """How codes lie on a stream: `elements` of `type` a beat of `size` bytes, from the lowest bit.

    A frame is a tensor of `shape` in C order. `line_beats` beats lie from one TLAST to the next, 0 where
    frames are of any size. The bits above the last code are zero, or its sign with `sign_extend`.
    """

    type: FixedPoint
    shape: Shape
    elements: int
    size: int
    line_beats: int
    sign_extend: bool

    @property
    def frame_beats(self) -> int:
        """Beats of a frame of `shape`."""
        return prod(self.shape) // self.elements


@dataclass(frozen=True)
class Dut:
    """The design under test. Latency and intervals are what design.json promises, in clocks.

    `weights` says what can be written over AXI4-Lite, by `dwell.hls.reload` and `design`.
    """

    name: str
    top: str
    sources: tuple[Path, ...]
    style: str
    input: Port
    output: Port
    window: tuple[int, int]
    max_width: int
    latency_cycles: int
    ii_cycles: int
    model: QModel
    latency_exact: bool = True
    frame_cycles: int = 0
    weights: Mapping[str, Any] | None = None
    design: Design | None = None

    @property
    def any_size(self) -> bool:
        """Whether frames of any size are taken, a pixel a beat; else all are of the input's shape."""
        return self.input.line_beats == 0

    def result_shape(self, shape: Shape) -> Shape:
        """Shape of what a frame of that shape gives."""
        if not self.any_size:
            return self.output.shape
        return (shape[0] - self.window[0] + 1, shape[1] - self.window[1] + 1, self.output.shape[-1])

    def decisions(self, shape: Shape) -> int:
        """Decisions in a frame of that shape: places of its result, one for a result without places."""
        return prod(self.result_shape(shape)[:-1])

    def frame_clocks(self, shape: Shape) -> int:
        """Clocks that a frame of that shape keeps the design busy at full speed."""
        if self.any_size:
            return shape[0] * shape[1]
        return max(self.frame_cycles, self.input.frame_beats, self.output.frame_beats)

    @property
    def settle_clocks(self) -> int:
        """Clocks after which a frame that went in must have come out, and what follows it must have begun."""
        return self.latency_cycles + max(self.frame_cycles, self.output.frame_beats)


def load_dut(directory: Path, *, allow_edited: bool = False) -> Dut:
    """Read a design directory.

    Raises `ConfigError` if it is none, `DesignEditedError` if it was edited, unless `allow_edited`.
    """
    design = Design.load(directory, allow_edited=allow_edited)
    return Dut(
        name=design.name,
        top=design.top,
        sources=design.sources,
        style=design.style,
        input=_port(design.input, sign_extend=False),
        output=_port(design.output, sign_extend=True),
        window=design.window,
        max_width=design.max_width,
        latency_cycles=design.latency_cycles,
        ii_cycles=design.ii_cycles,
        model=design.qmodel(),
        latency_exact=design.latency_exact,
        frame_cycles=design.frame_cycles,
        weights=design.weights,
        design=design,
    )


def _port(port: StreamPort, *, sign_extend: bool) -> Port:
    return Port(port.type, port.shape, port.elements, port.tdata_bits // 8, port.line_beats, sign_extend)
