"""A recurrence in Verilog: `dwell_recurrent`, the body beside it, and the codes between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dwell.hls.qmodel import FixedPoint
from dwell.hls.rtl.circuit.builder import Range
from dwell.hls.rtl.design.text import (
    CLOCK,
    INDENT,
    bits_of,
    instance,
    moved,
    offsets,
    packed_literal,
    unused,
    wire,
)
from dwell.hls.rtl.stream.blocks import Plan, Steps


def steps_lines(block: Steps, plan: Plan, through: Mapping[str, str]) -> list[str]:
    """The lines of a recurrence; `through` are the ports of a module between its two links."""
    name, node, frame, out = block.name, block.node, plan.links[block.input], plan.links[block.output]
    taken, given = (node.body.tensors[t] for t in (node.body.input, node.body.output))
    in_bits, out_bits = (_bytes(t.shape[0] * t.type.width) * 8 for t in (taken, given))
    state = bits_of(block.state)
    lines = [
        f"{INDENT}wire {name}_step_valid, {name}_step_ready, {name}_done_valid, {name}_done_ready;",
        f"{INDENT}wire {name}_user, {name}_last;",
        wire(f"{name}_state", state),
        wire(f"{name}_taken", in_bits),
        wire(f"{name}_given", out_bits),
    ]
    ports = {
        **CLOCK,
        **{key: signal for key, signal in through.items() if key != "in_data"},
        "step_valid": f"{name}_step_valid", "step_ready": f"{name}_step_ready", "step_state": f"{name}_state",
        "done_valid": f"{name}_done_valid", "done_ready": f"{name}_done_ready",
        "done_state": _picked(f"{name}_given", given.type, block.state, node.results),
        "done_data": _picked(f"{name}_given", given.type, out.spans, 0),
    }  # fmt: skip
    first = packed_literal([int(code) for code in node.initial], block.state)
    parameters = {
        "STATE_BITS": state, "DATA_BITS": out.bits, "SEQUENCE": int(node.sequence), "INITIAL": first,
    }  # fmt: skip
    lines.append(instance("dwell_recurrent", f"u_{name}", ports, parameters))
    lines += _extended(f"{name}_x", f"{block.input}_data", frame.spans, f"{name}_taken", taken.type, 0)
    at = len(frame.spans) * taken.type.width
    lines += _extended(f"{name}_s", f"{name}_state", block.state, f"{name}_taken", taken.type, at)
    rest = in_bits - taken.shape[0] * taken.type.width
    if rest:
        lines.append(f"{INDENT}assign {name}_taken[{in_bits - 1}:{in_bits - rest}] = {rest}'d0;")
    body = {
        "aclk": "aclk", "aresetn": "aresetn", "s_axis_tdata": f"{name}_taken",
        "s_axis_tvalid": f"{name}_step_valid", "s_axis_tready": f"{name}_step_ready",
        "s_axis_tlast": "1'b1", "s_axis_tuser": "1'b1", "m_axis_tdata": f"{name}_given",
        "m_axis_tvalid": f"{name}_done_valid", "m_axis_tready": f"{name}_done_ready",
        "m_axis_tlast": f"{name}_last", "m_axis_tuser": f"{name}_user",
    }  # fmt: skip
    return [
        *lines,
        instance(block.top, f"u_{name}_body", body),
        unused(name, f"{name}_given", f"{name}_last", f"{name}_user"),
    ]


def _bytes(bits: int) -> int:
    return (bits + 7) // 8


def _picked(source: str, kind: FixedPoint, spans: Sequence[Range], start: int) -> str:
    """Elements from `start` on of codes of `kind`, each at its own width, side by side."""
    lows = [(start + place) * kind.width for place in range(len(spans))]
    parts = [f"{source}[{low + span.bits - 1}:{low}]" for low, span in zip(lows, spans, strict=True)]
    return f"{{{', '.join(reversed(parts))}}}"


def _extended(
    name: str, source: str, spans: Sequence[Range], target: str, kind: FixedPoint, at: int
) -> list[str]:
    """Codes of `spans`, side by side, as codes of `kind` from bit `at` on."""
    lines, whole = [], Range(kind.lo, kind.hi, kind.frac)
    for place, (low, span) in enumerate(zip(offsets(spans), spans, strict=True)):
        to = at + place * kind.width
        lines.append(
            moved(
                f"{name}{place}",
                f"{source}[{low + span.bits - 1}:{low}]",
                f"{target}[{to + kind.width - 1}:{to}]",
                span,
                whole,
            )
        )
    return lines
