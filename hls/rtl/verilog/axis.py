"""The AXI4-Stream outside that every top module has, as Verilog."""

from __future__ import annotations

from collections.abc import Sequence

from dwell.hls.qmodel import FixedPoint
from dwell.hls.rtl.circuit.builder import Range

_INDENT = "    "


def declarations(in_bytes: int, out_bytes: int) -> list[str]:
    """Port declarations, one a line, without commas."""
    return [
        "input  wire aclk",
        "input  wire aresetn",
        f"input  wire [{8 * in_bytes - 1}:0] s_axis_tdata",
        "input  wire s_axis_tvalid",
        "output wire s_axis_tready",
        "input  wire s_axis_tlast",
        "input  wire s_axis_tuser",
        f"output wire [{8 * out_bytes - 1}:0] m_axis_tdata",
        "output wire m_axis_tvalid",
        "input  wire m_axis_tready",
        "output wire m_axis_tlast",
        "output wire m_axis_tuser",
    ]


def ports(top: str, in_bytes: int, out_bytes: int, more: Sequence[str] = ()) -> list[str]:
    """The head of a top module; `more` are declarations of its own."""
    *most, last = [*declarations(in_bytes, out_bytes), *more]
    return [f"module {top} (", *(f"{_INDENT}{line}," for line in most), f"{_INDENT}{last}", ");"]


def padding(in_bytes: int, input_bits: int) -> list[str]:
    """Takes what is left of the last byte of the input."""
    top = 8 * in_bytes - 1
    if input_bits > top:
        return []
    return [f"{_INDENT}wire unused_padding = &{{1'b0, s_axis_tdata[{top}:{input_bits}]}};"]


def results(spans: Sequence[Range], kind: FixedPoint, out_bytes: int, source: str) -> list[str]:
    """The wire `source` into `m_axis_tdata`: codes aligned to `kind`; the last one's sign fills the padding."""
    return [
        "",
        f"{_INDENT}// ---- {kind} each, the first one lowest",
        *extended(spans, kind, out_bytes, source),
    ]


def extended(spans: Sequence[Range], kind: FixedPoint, out_bytes: int, source: str) -> list[str]:
    """As `results`, without the remark."""
    lines = []
    low, target = 0, 0
    for place, span in enumerate(spans):
        out = kind.width if place < len(spans) - 1 else 8 * out_bytes - target
        lines.append(
            f"{_INDENT}dwell_extend #(.IN_BITS({span.bits}), .IN_SIGNED({int(span.signed)}), "
            f".UP({kind.frac - span.frac}), .OUT_BITS({out})) u_out{place} "
            f"(.a({source}[{low + span.bits - 1}:{low}]), .y(m_axis_tdata[{target + out - 1}:{target}]));"
        )
        low, target = low + span.bits, target + kind.width
    return lines
