"""The top of a stream: its blocks as instances, its links as wires."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dwell.errors import InternalError
from dwell.hls.rtl.netlist import Port
from dwell.hls.rtl.stream.blocks import (
    Block,
    Entry,
    Fifo,
    Fork,
    Island,
    Join,
    Narrow,
    Plan,
    Reduce,
    Repeat,
    Widen,
    Window,
    Wires,
)
from dwell.hls.rtl.stream.layout import Layout
from dwell.hls.rtl.stream.text import (
    INDENT,
    bits_of,
    delay,
    instance,
    moved,
    offsets,
    packed_literal,
    unused,
    wire,
)

_CLOCK = {"clk": "aclk", "rst_n": "aresetn"}


@dataclass(frozen=True)
class Shell:
    """What the top needs beside the plan. `modules` names the kernels' modules by their islands."""

    top: str
    header: str
    input: Port
    output: Port
    modules: Mapping[str, str]


def print_stream(plan: Plan, shell: Shell) -> str:
    """The top module's text."""
    printer = _Printer(plan, shell)
    lines = [
        shell.header + "//",
        "// A link is X_valid, X_ready, X_marks = {first beat of a frame, last beat, weight bank} and X_data:",
        "// pixels from the lowest bits up, channel 0 of each lowest, every channel at its own width.",
        "`default_nettype none",
        "",
        *_ports(shell),
        "",
    ]
    for block in plan.blocks:
        lines += [*printer.block(block), ""]
    lines += [*printer.back(), "", "endmodule", "", "`default_nettype wire", ""]
    return "\n".join(lines)


def _ports(shell: Shell) -> list[str]:
    return [
        f"module {shell.top} (",
        "    input  wire aclk,",
        "    input  wire aresetn,",
        f"    input  wire [{8 * shell.input.size - 1}:0] s_axis_tdata,",
        "    input  wire s_axis_tvalid,",
        "    output wire s_axis_tready,",
        "    input  wire s_axis_tlast,",
        "    input  wire s_axis_tuser,",
        f"    output wire [{8 * shell.output.size - 1}:0] m_axis_tdata,",
        "    output wire m_axis_tvalid,",
        "    input  wire m_axis_tready,",
        "    output wire m_axis_tlast,",
        "    output wire m_axis_tuser",
        ");",
    ]


class _Printer:
    def __init__(self, plan: Plan, shell: Shell) -> None:
        self.plan, self.shell = plan, shell

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
            return lines + self._island(block)
        if isinstance(block, Fork):
            return lines + self._fork(block)
        if isinstance(block, Join):
            return lines + self._join(block)
        if isinstance(block, Fifo):
            return lines + self._fifo(block)
        if isinstance(block, Wires):
            return lines + self._wires(block)
        return lines + self._converter(block)

    def _entry(self, block: Entry) -> list[str]:
        frame, out = self.plan.links[block.output], block.output
        lines = [
            wire(f"{out}_begins"),
            wire(f"{out}_ends"),
            instance(
                "dwell_frame_guard",
                f"u_{block.name}",
                {
                    **_CLOCK,
                    "s_valid": "s_axis_tvalid", "s_ready": "s_axis_tready", "s_user": "s_axis_tuser",
                    "s_data": f"s_axis_tdata[{frame.bits - 1}:0]",
                    "m_valid": f"{out}_valid", "m_ready": f"{out}_ready",
                    "m_first": f"{out}_begins", "m_last": f"{out}_ends", "m_data": f"{out}_data",
                },
                {"BITS": frame.bits, "BEATS": frame.beats},
            ),
            f"{INDENT}assign {out}_marks = {{{out}_begins, {out}_ends, 1'b0}};",
        ]  # fmt: skip
        top = 8 * self.shell.input.size
        rest = [f"s_axis_tdata[{top - 1}:{frame.bits}]"] if frame.bits < top else []
        return [*lines, unused("input", "s_axis_tlast", *rest)]

    # ---- islands

    def _island(self, block: Island) -> list[str]:
        name, out = block.name, self.plan.links[block.output]
        lines = [
            f"{INDENT}wire {name}_want, {name}_credit, {name}_step, {name}_valid;",
            wire(f"{name}_marks", 3),
        ]
        if isinstance(block.front, Window):
            lines += self._window(block, block.front)
        elif isinstance(block.front, Repeat):
            lines += self._repeat(block, block.front)
        elif isinstance(block.front, Reduce):
            lines += self._reduce(block, block.front)
        else:
            lines += self._pixels(block)
        lines += self._kernels(block, out)
        fifo = {
            **_CLOCK,
            "s_valid": f"{name}_want", "s_ready": f"{name}_credit", "accept": f"{name}_step",
            "out_valid": f"{name}_done", "out_data": f"{{{name}_done_marks, {name}_result}}",
            "m_valid": f"{block.output}_valid", "m_ready": f"{block.output}_ready",
            "m_data": f"{{{block.output}_marks, {block.output}_data}}",
        }  # fmt: skip
        parameters = {"BITS": out.bits + 3, "LATENCY": block.latency, "DEPTH_LOG2": block.depth_log2}
        return [*lines, instance("dwell_credit_fifo", f"u_{name}_fifo", fifo, parameters)]

    def _kernels(self, block: Island, out: Layout) -> list[str]:
        """A kernel for each lane behind the front's `taps`."""
        name, kernel = block.name, block.kernel
        lines = [wire(f"{name}_done"), wire(f"{name}_done_marks", 3), wire(f"{name}_result", out.bits)]
        if kernel is None:
            return [
                *lines,
                f"{INDENT}assign {name}_done = {name}_valid;",
                f"{INDENT}assign {name}_done_marks = {name}_marks;",
                f"{INDENT}assign {name}_result = {name}_taps;",
            ]
        taps, bits = kernel.input_bits, kernel.result_bits
        for lane in range(out.lanes):
            lines.append(
                f"{INDENT}{self.shell.modules[kernel.name]} u_{name}_{lane} (.aclk(aclk), "
                f".taps({name}_taps[{(lane + 1) * taps - 1}:{lane * taps}]), "
                f".result({name}_result[{(lane + 1) * bits - 1}:{lane * bits}]));"
            )
        depth = kernel.latency
        return [
            *lines,
            delay(f"{name}_done", f"{name}_valid", f"{name}_done", depth=depth, reset=True),
            delay(f"{name}_done_marks", f"{name}_marks", f"{name}_done_marks", depth=depth, bits=3),
        ]

    def _window(self, block: Island, front: Window) -> list[str]:
        name, link = block.name, block.inputs[0]
        frame, out, geometry = self.plan.links[link], self.plan.links[block.output], front.geometry
        # What a tap carries may reach down to zero, which padding brings in; its bits are those of the pixel.
        parameters = {
            "PIXEL_BITS": frame.pixel_bits, "LANES": frame.lanes, "ROWS": frame.rows, "COLUMNS": frame.columns,
            "KERNEL_H": geometry.kernel[0], "KERNEL_W": geometry.kernel[1],
            "DILATION_H": geometry.dilation[0], "DILATION_W": geometry.dilation[1],
            "STRIDE_H": geometry.stride[0], "STRIDE_W": geometry.stride[1],
            "TOP": geometry.padding[0], "LEFT": geometry.padding[2],
            "OUT_ROWS": out.rows, "OUT_COLUMNS": out.columns,
            "PAD": packed_literal(front.pad, frame.spans),
        }  # fmt: skip
        taps = out.lanes * geometry.kernel[0] * geometry.kernel[1] * frame.pixel_bits
        return [
            wire(f"{name}_taps", taps),
            instance(
                "dwell_scan_window", f"u_{name}_window", self._step_ports(block, "out_taps"), parameters
            ),
            unused(name, f"{name}_step", f"{link}_marks[2:1]"),
        ]

    def _step_ports(self, block: Island, data: str) -> dict[str, str]:
        name, link = block.name, block.inputs[0]
        return {
            **_CLOCK,
            "in_valid": f"{link}_valid", "in_ready": f"{link}_ready",
            "in_bank": f"{link}_marks[0]", "in_data": f"{link}_data",
            "want": f"{name}_want", "credit": f"{name}_credit",
            "out_valid": f"{name}_valid", "out_first": f"{name}_marks[2]",
            "out_last": f"{name}_marks[1]", "out_bank": f"{name}_marks[0]", data: f"{name}_taps",
        }  # fmt: skip

    def _repeat(self, block: Island, front: Repeat) -> list[str]:
        name, link = block.name, block.inputs[0]
        frame = self.plan.links[link]
        parameters = {
            "PIXEL_BITS": frame.pixel_bits, "LANES": frame.lanes, "ROWS": frame.rows, "BEATS": frame.row_beats,
            "FACTOR_H": front.factor[0], "FACTOR_W": front.factor[1],
        }  # fmt: skip
        return [
            wire(f"{name}_taps", frame.bits * front.factor[1]),
            instance("dwell_upsample", f"u_{name}_repeat", self._step_ports(block, "out_data"), parameters),
            unused(name, f"{name}_step", f"{link}_marks[2:1]"),
        ]

    def _pixels(self, block: Island) -> list[str]:
        name, links = block.name, block.inputs
        lines = [
            wire(f"{name}_taps", sum(self.plan.links[link].bits for link in links)),
            f"{INDENT}assign {name}_valid = {name}_step;",
            f"{INDENT}assign {name}_marks = {links[0]}_marks;",
        ]
        if len(links) == 1:
            return [
                *lines,
                f"{INDENT}assign {name}_want = {links[0]}_valid;",
                f"{INDENT}assign {links[0]}_ready = {name}_credit;",
                f"{INDENT}assign {name}_taps = {links[0]}_data;",
            ]
        return [
            *lines,
            *self._joined(name, links, f"{name}_want", f"{name}_credit"),
            *self._side_by_side(links, f"{name}_taps"),
        ]

    def _joined(self, name: str, links: tuple[str, ...], valid: str, ready: str) -> list[str]:
        ports = {
            "in_valid": "{" + ", ".join(f"{link}_valid" for link in reversed(links)) + "}",
            "in_ready": "{" + ", ".join(f"{link}_ready" for link in reversed(links)) + "}",
            "out_valid": valid, "out_ready": ready,
        }  # fmt: skip
        others = [f"{link}_marks" for link in links[1:]]
        return [instance("dwell_join", f"u_{name}_join", ports, {"WAYS": len(links)}), unused(name, *others)]

    def _side_by_side(self, links: tuple[str, ...], target: str) -> list[str]:
        """The pixels of several links, lane by lane."""
        parts = []
        for lane in range(self.plan.links[links[0]].lanes):
            for link in links:
                bits = self.plan.links[link].pixel_bits
                parts.append(f"{link}_data[{(lane + 1) * bits - 1}:{lane * bits}]")
        return [f"{INDENT}assign {target} = {{", *_listed(list(reversed(parts))), f"{INDENT}}};"]

    def _reduce(self, block: Island, front: Reduce) -> list[str]:
        name, link = block.name, block.inputs[0]
        frame = self.plan.links[link]
        spans = front.lanes.result if front.lanes else frame.spans
        lines = [
            f"{INDENT}assign {name}_want = {link}_valid;",
            f"{INDENT}assign {link}_ready = {name}_credit;",
            wire(f"{name}_one", bits_of(spans)),
            wire(f"{name}_one_valid"),
            wire(f"{name}_one_marks", 3),
            wire(f"{name}_taps", bits_of(front.sums)),
        ]
        depth = front.lanes.latency if front.lanes else 0
        if front.lanes:
            module = self.shell.modules[front.lanes.name]
            lines.append(
                f"{INDENT}{module} u_{name}_lanes (.aclk(aclk), .taps({link}_data), .result({name}_one));"
            )
        else:
            lines.append(f"{INDENT}assign {name}_one = {link}_data;")
        lines += [
            delay(f"{name}_one_valid", f"{name}_step", f"{name}_one_valid", depth=depth, reset=True),
            delay(f"{name}_one_marks", f"{link}_marks", f"{name}_one_marks", depth=depth, bits=3),
        ]
        lines += self._accumulators(name, front, [s.bits for s in spans], [int(s.signed) for s in spans])
        return [
            *lines,
            delay(
                f"{name}_valid",
                f"{name}_one_valid & {name}_one_marks[1]",
                f"{name}_valid",
                depth=1,
                reset=True,
            ),
            delay(f"{name}_bank", f"{name}_one_marks[0]", f"{name}_marks[0]", depth=1),
            f"{INDENT}assign {name}_marks[2:1] = 2'b11;",
        ]

    def _accumulators(self, name: str, front: Reduce, bits: list[int], signed: list[int]) -> list[str]:
        lines, low, place = [], 0, offsets(front.sums)
        for channel, span in enumerate(front.sums):
            ports = {
                "clk": "aclk", "in_valid": f"{name}_one_valid", "in_first": f"{name}_one_marks[2]",
                "a": f"{name}_one[{low + bits[channel] - 1}:{low}]",
                "y": f"{name}_taps[{place[channel] + span.bits - 1}:{place[channel]}]",
            }  # fmt: skip
            parameters = {
                "A_BITS": bits[channel], "A_SIGNED": signed[channel], "MAX": int(front.largest), "Y_BITS": span.bits,
            }  # fmt: skip
            lines.append(instance("dwell_accumulate", f"u_{name}_{channel}", ports, parameters))
            low += bits[channel]
        return lines

    # ---- between islands

    def _fork(self, block: Fork) -> list[str]:
        ways = list(reversed(block.outputs))
        ports = {
            **_CLOCK,
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
            *self._joined(block.name, block.inputs, f"{out}_valid", f"{out}_ready"),
            f"{INDENT}assign {out}_marks = {block.inputs[0]}_marks;",
            *self._side_by_side(block.inputs, f"{out}_data"),
        ]

    def _fifo(self, block: Fifo) -> list[str]:
        ports = {
            **_CLOCK,
            "s_valid": f"{block.input}_valid", "s_ready": f"{block.input}_ready",
            "s_data": f"{{{block.input}_marks, {block.input}_data}}",
            "m_valid": f"{block.output}_valid", "m_ready": f"{block.output}_ready",
            "m_data": f"{{{block.output}_marks, {block.output}_data}}",
        }  # fmt: skip
        bits = self.plan.links[block.output].bits + 3
        return [instance("dwell_fifo", f"u_{block.name}", ports, {"BITS": bits, "DEPTH": block.depth})]

    def _converter(self, block: Narrow | Widen) -> list[str]:
        frame, out = self.plan.links[block.input], self.plan.links[block.output]
        ports = {
            **_CLOCK,
            "in_valid": f"{block.input}_valid", "in_ready": f"{block.input}_ready",
            "in_first": f"{block.input}_marks[2]", "in_last": f"{block.input}_marks[1]",
            "in_bank": f"{block.input}_marks[0]", "in_data": f"{block.input}_data",
            "out_valid": f"{block.output}_valid", "out_ready": f"{block.output}_ready",
            "out_first": f"{block.output}_marks[2]", "out_last": f"{block.output}_marks[1]",
            "out_bank": f"{block.output}_marks[0]", "out_data": f"{block.output}_data",
        }  # fmt: skip
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
            **_CLOCK,
            "leave": "m_axis_tvalid & m_axis_tready",
            "user": "m_axis_tuser",
            "last": "m_axis_tlast",
        }
        return [
            f"{INDENT}// ---- out: {port.elements} codes of {port.type} a beat",
            f"{INDENT}assign m_axis_tvalid = {link}_valid;",
            f"{INDENT}assign {link}_ready = m_axis_tready;",
            f"{INDENT}assign m_axis_tdata = {data};",
            unused("result", f"{link}_marks"),
            instance(
                "dwell_line_marks", "u_marks", marks, {"LINE_BEATS": frame.row_beats, "LINES": frame.rows}
            ),
        ]


def _listed(parts: list[str]) -> list[str]:
    return [
        f"{INDENT * 2}{', '.join(parts[at : at + 4])}{',' if at + 4 < len(parts) else ''}"
        for at in range(0, len(parts), 4)
    ]


def _remark(block: Block) -> str:
    if isinstance(block, Island):
        names = " > ".join(f"{type(node).__name__} '{node.name}'" for node in block.nodes)
        return f"{INDENT}// ---- {names}; {block.latency} clocks"
    return f"{INDENT}// ---- {type(block).__name__.lower()} {block.name}"
