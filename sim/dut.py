"""A design as simulation sees it: sources, ports and the golden model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

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
