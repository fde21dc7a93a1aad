"""The top of a stream: its blocks as instances, its links as wires."""

from __future__ import annotations

from dataclasses import dataclass

from dwell.errors import InternalError
from dwell.hls.rtl.design.island_text import IslandPrinter
from dwell.hls.rtl.design.steps_text import steps_lines
from dwell.hls.rtl.design.text import (
    CLOCK,
    INDENT,
    instance,
    joined,
    moved,
    offsets,
    side_by_side,
    unused,
    wire,
)
from dwell.hls.rtl.folded.layer import LOAD_PORTS, Loads
from dwell.hls.rtl.folded.top import axis_ports, frame_banks, weight_port
from dwell.hls.rtl.netlist import Port
from dwell.hls.rtl.stream.blocks import (
    Block,
    Entry,
    Fifo,
    Folded,
    Fork,
    Island,
    Join,
    Narrow,
    Plan,
    Regroup,
    Steps,
    Widen,
    Wires,
)


@dataclass(frozen=True)
class Shell:
    """What the top needs beside the plan; `loads` where weights can be written."""

    top: str
    header: str
    input: Port
    output: Port
    loads: Loads | None


def print_stream(plan: Plan, shell: Shell) -> str:
    """The top module's text."""
    printer = _Printer(plan, shell)
    ports = axis_ports((shell.input, shell.output), shell.loads)
    lines = [
        shell.header + "//",
        "// A link is X_valid, X_ready, X_marks = {first beat of a frame, last beat, weight bank} and X_data:",
        "// pixels from the lowest bits up, channel 0 of each lowest, every channel at its own width.",
        "`default_nettype none",
        "",
        f"module {shell.top} (",
        *ports[:-1],
        ports[-1].rstrip(","),
        ");",
        *([f"{INDENT}wire back_last, back_bank;  // of the result at the output"] if shell.loads else []),
        "",
    ]
    for block in plan.blocks:
        lines += [*printer.block(block), ""]
    lines += [*printer.back(), "", "endmodule", "", "`default_nettype wire", ""]
    return "\n".join(lines)


class _Printer:
    def __init__(self, plan: Plan, shell: Shell) -> None:
        self.plan, self.shell = plan, shell
        self.islands = IslandPrinter(plan)

    def block(self, block: Block) -> list[str]:
        lines = [_remark(block)]
        for link in block.outputs:
            lines += [
                f"{INDENT}wire {link}_valid, {link}_ready;",
                wire(f"{link}_marks", 3),
                wire(f"{link}_data", self.plan.links[link].bits),
            ]
        if isinstance(block, Entry):
            return lines + self._entry(block)
        if isinstance(block, Island):
            return lines + self.islands.lines(block)
        if isinstance(block, Folded):
            return lines + self._folded(block)
        if isinstance(block, Fork):
            return lines + self._fork(block)
        if isinstance(block, Join):
            return lines + self._join(block)
        if isinstance(block, Fifo):
            return lines + self._fifo(block)
        if isinstance(block, Wires):
            return lines + self._wires(block)
        if isinstance(block, Steps):
            return lines + steps_lines(block, self.plan, through(block))
        return lines + self._converter(block)

    def _entry(self, block: Entry) -> list[str]:
        frame, out = self.plan.links[block.output], block.output
        lines = [
            f"{INDENT}wire {out}_first, {out}_last, {out}_bank;",
            instance(
                "dwell_frame_guard",
                f"u_{block.name}",
                {
                    **CLOCK,
                    "s_valid": "s_axis_tvalid", "s_ready": "s_axis_tready", "s_user": "s_axis_tuser",
                    "s_data": f"s_axis_tdata[{frame.bits - 1}:0]",
                    "m_valid": f"{out}_valid", "m_ready": f"{out}_ready",
                    "m_first": f"{out}_first", "m_last": f"{out}_last", "m_data": f"{out}_data",
                },
                {"BITS": frame.bits, "BEATS": frame.beats},
            ),
            f"{INDENT}assign {out}_marks = {{{out}_first, {out}_last, {out}_bank}};",
        ]  # fmt: skip
        top = 8 * self.shell.input.size
        rest = [f"s_axis_tdata[{top - 1}:{frame.bits}]"] if frame.bits < top else []
        lines.append(unused("input", "s_axis_tlast", *rest))
        if self.shell.loads is None:
            return [*lines, f"{INDENT}assign {out}_bank = 1'b0;"]
        return [*lines, *frame_banks(out), *weight_port(self.shell.loads, "current", "flying")]

    # ---- between islands

    def _fork(self, block: Fork) -> list[str]:
        ways = list(reversed(block.outputs))
        ports = {
            **CLOCK,
            "in_valid": f"{block.input}_valid", "in_ready": f"{block.input}_ready",
            "out_valid": "{" + ", ".join(f"{w}_valid" for w in ways) + "}",
            "out_ready": "{" + ", ".join(f"{w}_ready" for w in ways) + "}",
        }  # fmt: skip
        return [
            instance("dwell_fork", f"u_{block.name}", ports, {"WAYS": len(ways)}),
            *(
                f"{INDENT}assign {w}_{part} = {block.input}_{part};"
                for w in ways
                for part in ("marks", "data")
            ),
        ]

    def _join(self, block: Join) -> list[str]:
        out = block.output
        return [
            *joined(block.name, block.inputs, f"{out}_valid", f"{out}_ready"),
            f"{INDENT}assign {out}_marks = {block.inputs[0]}_marks;",
            *side_by_side(self.plan.links, block.inputs, f"{out}_data"),
        ]

    def _fifo(self, block: Fifo) -> list[str]:
        ports = {
            **CLOCK,
            "s_valid": f"{block.input}_valid", "s_ready": f"{block.input}_ready",
            "s_data": f"{{{block.input}_marks, {block.input}_data}}",
            "m_valid": f"{block.output}_valid", "m_ready": f"{block.output}_ready",
            "m_data": f"{{{block.output}_marks, {block.output}_data}}",
        }  # fmt: skip
        bits = self.plan.links[block.output].bits + 3
        return [instance("dwell_fifo", f"u_{block.name}", ports, {"BITS": bits, "DEPTH": block.depth})]

    def _folded(self, block: Folded) -> list[str]:
        ports = {"aclk": "aclk", "aresetn": "aresetn", **through(block)}
        if self.shell.loads:
            ports |= LOAD_PORTS
        return [instance(block.layer.module, f"u_{block.name}", ports)]

    def _converter(self, block: Narrow | Regroup | Widen) -> list[str]:
        frame, out = self.plan.links[block.input], self.plan.links[block.output]
        ports = {**CLOCK, **through(block)}
        if isinstance(block, Regroup):
            rest = frame.columns - (frame.row_beats - 1) * frame.lanes
            parameters = {
                "BITS": frame.pixel_bits, "LANES": frame.lanes, "BEATS": frame.row_beats, "LAST": rest,
                "OUT": out.lanes,
            }  # fmt: skip
            return [instance("dwell_regroup", f"u_{block.name}", ports, parameters)]
        if isinstance(block, Narrow):
            if frame.bits != out.bits * block.ratio:
                raise InternalError(
                    f"'{block.name}' cuts {frame.bits} bits into {block.ratio} parts of {out.bits}"
                )
            parameters = {
                "BITS": out.bits, "RATIO": block.ratio, "LINE_BEATS": block.line_beats, "LAST_PARTS": block.last_parts,
            }  # fmt: skip
            return [instance("dwell_narrow", f"u_{block.name}", ports, parameters)]
        parameters = {"BITS": frame.bits, "RATIO": block.ratio, "LINE_PARTS": block.ratio}
        return [instance("dwell_widen", f"u_{block.name}", ports, parameters)]

    def _wires(self, block: Wires) -> list[str]:
        frame, out = self.plan.links[block.input], self.plan.links[block.output]
        before, after = frame.spans * frame.lanes, out.spans * out.lanes
        froms, tos = offsets(before), offsets(after)
        lines = [
            f"{INDENT}assign {block.output}_valid = {block.input}_valid;",
            f"{INDENT}assign {block.input}_ready = {block.output}_ready;",
            f"{INDENT}assign {block.output}_marks = {block.input}_marks;",
        ]
        for target, source in enumerate(block.source):
            low, high = froms[source], froms[source] + before[source].bits - 1
            to = f"{block.output}_data[{tos[target] + after[target].bits - 1}:{tos[target]}]"
            lines.append(
                moved(
                    f"{block.name}_{target}",
                    f"{block.input}_data[{high}:{low}]",
                    to,
                    before[source],
                    after[target],
                )
            )
        return [*lines, unused(block.name, f"{block.input}_data")]

    def back(self) -> list[str]:
        """Beats out: marks, and the last code's sign in the padding."""
        link, port = self.plan.result, self.shell.output
        frame = self.plan.links[link]
        rest = 8 * port.size - frame.bits
        sign = f"{link}_data[{frame.bits - 1}]" if port.type.signed else "1'b0"
        data = f"{{{{{rest} {{{sign}}}}}, {link}_data}}" if rest else f"{link}_data"
        marks = {
            **CLOCK,
            "leave": "m_axis_tvalid & m_axis_tready",
            "user": "m_axis_tuser",
            "last": "m_axis_tlast",
        }
        last = [f"{INDENT}assign {{back_last, back_bank}} = {link}_marks[1:0];"] if self.shell.loads else []
        return [
            *last,
            f"{INDENT}// ---- out: {port.elements} codes of {port.type} a beat",
            f"{INDENT}assign m_axis_tvalid = {link}_valid;",
            f"{INDENT}assign {link}_ready = m_axis_tready;",
            f"{INDENT}assign m_axis_tdata = {data};",
            unused("result", f"{link}_marks"),
            instance(
                "dwell_line_marks", "u_marks", marks, {"LINE_BEATS": frame.row_beats, "LINES": frame.rows}
            ),
        ]


def through(block: Narrow | Regroup | Widen | Folded | Steps) -> dict[str, str]:
    """Ports of a module between two links."""
    ports: dict[str, str] = {}
    for prefix, link in (("in", block.input), ("out", block.output)):
        ports |= {
            f"{prefix}_valid": f"{link}_valid", f"{prefix}_ready": f"{link}_ready",
            f"{prefix}_first": f"{link}_marks[2]", f"{prefix}_last": f"{link}_marks[1]",
            f"{prefix}_bank": f"{link}_marks[0]", f"{prefix}_data": f"{link}_data",
        }  # fmt: skip
    return ports


def _remark(block: Block) -> str:
    if isinstance(block, Folded):
        names = " > ".join(f"{type(node).__name__} '{node.name}'" for node in block.nodes)
        return f"{INDENT}// ---- {names}; a vector every {block.layer.unit.folding.reuse} clocks"
    if isinstance(block, Steps):
        return f"{INDENT}// ---- Recurrent '{block.node.name}'; a step every {block.latency + 1} clocks"
    if isinstance(block, Island):
        names = " > ".join(f"{type(node).__name__} '{node.name}'" for node in block.nodes)
        return f"{INDENT}// ---- {names}; {block.latency} clocks"
    return f"{INDENT}// ---- {type(block).__name__.lower()} {block.name}"
