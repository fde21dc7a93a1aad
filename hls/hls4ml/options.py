"""What an hls4ml project is made for."""

from __future__ import annotations

from dataclasses import dataclass

IO_TYPE = "io_stream"


@dataclass(frozen=True)
class ProjectOptions:
    """What hls4ml is told about the target; `io_type` is ``io_stream`` or ``io_parallel``."""

    name: str
    part: str = "xc7z020clg400-1"
    clock_mhz: float = 100.0
    io_type: str = IO_TYPE
