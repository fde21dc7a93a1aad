"""What a style makes of a graph: modules in Verilog and all that `design.json` says of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any

from dwell.hls.design import LATENCY_OF_FRAMES, LATENCY_OF_WINDOWS
from dwell.hls.qmodel import FixedPoint, QModel, model_digest


@dataclass(frozen=True)
class Port:
    """An AXI4-Stream port that carries a tensor in C order, `elements` codes of its type a beat.

    Codes are packed from the lowest bit; what is left of the last byte is zeros on an input and copies of
    the last code's sign on an output. `line_beats` beats lie from one TLAST to the next; 0 where lines may
    be of any length.
    """

    tensor: str
    type: FixedPoint
    elements: int
    line_beats: int

    @property
    def bits(self) -> int:
        """Bits of a beat before padding."""
        return self.elements * self.type.width

    @property
    def size(self) -> int:
        """Bytes of TDATA."""
        return (self.bits + 7) // 8


@dataclass(frozen=True)
class Netlist:
    """A design before it is written.

    `modules` holds the text of every generated file by its name, the top's among them; the hand-written
    modules that they instantiate come from the library. Latency and intervals are in clocks, as
    `latency_definition` says, and exact, or upper bounds where `latency_exact` is False. `frame_cycles` is
    0 where frames may be of any size. `layers` are entries of `design.json`, `weights` describes what can
    be written over AXI4-Lite, `checked_codes` counts results held against the golden model on the way.
    """

    top: str
    modules: Mapping[str, str]
    input: Port
    output: Port
    latency_cycles: int
    ii_cycles: int
    frame_cycles: int
    layers: tuple[Mapping[str, Any], ...]
    checked_codes: int
    latency_exact: bool = True
    max_width: int = 0
    fifo_depth: int = 0
    weights: Mapping[str, Any] | None = None
    notes: tuple[str, ...] = field(default=())

    @property
    def any_size(self) -> bool:
        """Whether frames of any size are taken."""
        return self.max_width > 0

    @property
    def latency_definition(self) -> str:
        """What `latency_cycles` counts."""
        return LATENCY_OF_WINDOWS if self.any_size else LATENCY_OF_FRAMES


def type_entry(kind: FixedPoint) -> dict[str, Any]:
    """A type as `design.json` has it."""
    return {"signed": kind.signed, "width": kind.width, "frac": kind.frac, "text": str(kind)}


def header(model: QModel, style: str) -> str:
    """The remark at the head of every generated file."""
    return (
        f"// {model.name}: a network in hardware, style {style}.\n"
        f"// Made by dwell {metadata.version('dwell')} from the integer graph {model_digest(model)[:16]}. "
        "Do not edit.\n"
    )
