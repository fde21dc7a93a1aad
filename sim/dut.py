"""A design as simulation sees it: sources, ports and the golden model."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from pathlib import Path

from dwell.hls.design import Design, StreamPort
from dwell.hls.qmodel import QModel


@dataclass(frozen=True)
class Port:
    """How codes lie in TDATA: bits and sign of each channel, bytes in all, and what pads the top."""

    widths: tuple[int, ...]
    signed: tuple[bool, ...]
    size: int
    sign_extend: bool


@dataclass(frozen=True)
class Dut:
    """The design under test."""

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

    @property
    def streams(self) -> bool:
        """Whether a beat is a pixel (else it is a whole sample)."""
        return self.style == "stream"

    def decisions(self, shape: tuple[int, ...]) -> int:
        """Decisions in a frame of that shape."""
        if not self.streams:
            return 1
        return (shape[0] - self.window[0] + 1) * (shape[1] - self.window[1] + 1)


def load_dut(directory: Path, *, allow_edited: bool = False) -> Dut:
    """Read a design directory.

    Raises `ConfigError` if it is none, `DesignEditedError` if it was edited, unless `allow_edited`.
    """
    design = Design.load(directory, allow_edited=allow_edited)
    streams = design.style == "stream"
    return Dut(
        name=design.name,
        top=design.top,
        sources=design.sources,
        style=design.style,
        input=_port(design.input, streams, sign_extend=False),
        output=_port(design.output, streams, sign_extend=True),
        window=design.window,
        max_width=design.max_width,
        latency_cycles=design.latency_cycles,
        ii_cycles=design.ii_cycles,
        model=design.qmodel(),
    )


def _port(port: StreamPort, streams: bool, *, sign_extend: bool) -> Port:
    """A beat holds the channels of a pixel, or a whole sample."""
    channels = port.shape[-1] if streams else prod(port.shape)
    kind = port.type
    return Port((kind.width,) * channels, (kind.signed,) * channels, port.tdata_bits // 8, sign_extend)
