"""What can be chosen about a design."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, get_args

from dwell.errors import ConfigError
from dwell.hls.rtl.circuit.passes import Passes

Style = Literal["stream", "unrolled", "folded"]
STYLES: tuple[str, ...] = get_args(Style)
Multiplier = Literal["auto", "dsp", "lut"]
MULTIPLIERS: tuple[str, ...] = get_args(Multiplier)
LANES = (1, 2, 4, 8, 16, 32)


@dataclass(frozen=True)
class RtlOptions:
    """Choices of the `rtl` back end.

    `latency_cutoff` is the logic allowed between two registers, in adder levels: one level is a carry
    chain of some ten bits with the routing to it, about 1.3 ns on xc7z020. `max_width` is the longest
    line a streaming design of any frame size takes, in pixels. `pixels_per_clock` is how many pixels a
    streaming design takes in a beat. `reuse` says how often a multiplier is used for one result of a
    layer: one number for all layers, or by layer name (1, the default, is an adder graph).
    `multiplier` is what a folded layer multiplies with; `reload` makes the weights and biases of folded
    layers writable over AXI4-Lite, in two banks. `passes` are those that make adder graphs smaller.
    """

    style: Style = "stream"
    latency_cutoff: float = 4.0
    max_width: int = 256
    clock_mhz: float = 100.0
    board: str = "pynq-z2"
    pixels_per_clock: int = 1
    reuse: int | Mapping[str, int] = 1
    multiplier: Multiplier = "auto"
    reload: bool = False
    passes: Passes = field(default_factory=Passes)
    _reuse: Mapping[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _choice(self.style, STYLES, "style", "convert.style")
        _choice(self.multiplier, MULTIPLIERS, "multiplier", "convert.multiplier")
        if self.pixels_per_clock not in LANES:
            raise ConfigError(
                f"{self.pixels_per_clock} pixels a clock",
                hint=f"choose one of {', '.join(map(str, LANES))}",
                place="convert.pixels_per_clock",
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
        given = {} if isinstance(self.reuse, int) else dict(self.reuse)
        for name, factor in [("", self.reuse)] if isinstance(self.reuse, int) else given.items():
            if not isinstance(factor, int) or factor < 1:
                raise ConfigError(f"reuse {factor!r} {name}".strip(), hint="1 or more", place="convert.reuse")
        object.__setattr__(self, "_reuse", MappingProxyType(given))

    def reuse_of(self, layer: str) -> int:
        """How often a multiplier of that layer is used for one result."""
        return self.reuse if isinstance(self.reuse, int) else self._reuse.get(layer, 1)

    @property
    def folds(self) -> bool:
        """Whether any layer shares multipliers."""
        return self.reuse > 1 if isinstance(self.reuse, int) else any(v > 1 for v in self._reuse.values())


def _choice(value: str, known: tuple[str, ...], what: str, place: str) -> None:
    if value not in known:
        raise ConfigError(
            f"{what} {value!r} is not known", hint=f"choose one of {', '.join(known)}", place=place
        )
