"""What can be chosen about a design."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from dwell.errors import ConfigError

Style = Literal["stream", "unrolled"]
STYLES: tuple[str, ...] = get_args(Style)


@dataclass(frozen=True)
class RtlOptions:
    """Choices of the `rtl` back end.

    `latency_cutoff` is the logic allowed between two registers, in adder levels: one level is a carry
    chain of some ten bits with the routing to it, about 1.3 ns on xc7z020. `max_width` is the longest
    line a streaming design takes, in pixels.
    """

    style: Style = "stream"
    latency_cutoff: float = 4.0
    max_width: int = 256
    clock_mhz: float = 100.0
    board: str = "pynq-z2"

    def __post_init__(self) -> None:
        if self.style not in STYLES:
            raise ConfigError(
                f"style {self.style!r} is not known",
                hint=f"choose one of {', '.join(STYLES)}",
                place="convert.style",
            )
        if not 1.0 <= self.latency_cutoff <= 1000.0:
            raise ConfigError(
                f"latency_cutoff {self.latency_cutoff} is outside 1 to 1000 adder levels",
                hint="3 suits 100 MHz on xc7z020; smaller means more registers and a faster clock",
                place="convert.latency_cutoff",
            )
        if not 2 <= self.max_width <= 65536:
            raise ConfigError(
                f"max_width {self.max_width} is outside 2 to 65536 pixels", place="convert.max_width"
            )
        if not self.clock_mhz > 0:
            raise ConfigError(f"clock of {self.clock_mhz} MHz", place="board.clock_mhz")
