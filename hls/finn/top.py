"""The Verilog round FINN's layers: the stitched core with its FIFOs, and dwell's own outside."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, replace
from typing import Any

from dwell.hls.qmodel import FixedPoint
from dwell.hls.rtl.circuit.builder import Range
from dwell.hls.rtl.verilog.axis import padding, ports, results

CLOCK, RESET = "ap_clk", "ap_rst_n"
#: How the name of a module ends that holds a layer's weights.
MEMORY = "_memstream_wrapper"


@dataclass(frozen=True)
class Core:
    """A stitched graph as `stitched.json` has it; the links `opened` come in from outside, by their own names."""

    cells: tuple[Mapping[str, Any], ...]
    links: tuple[Mapping[str, Any], ...]
    entry: str
    final: str
    opened: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Core:
        """Read `stitched.json`."""
        return cls(tuple(body["cells"]), tuple(body["links"]), str(body["entry"]), str(body["final"]))

    @property
    def queued(self) -> tuple[Mapping[str, Any], ...]:
        """The links between two layers: each may have a FIFO."""
        return tuple(link for link in self.links if len(link["layers"]) == 2)

    def without_memories(self) -> Core:
        """The graph without the memories of its weights, whose links come in from outside instead."""
        memories = [cell for cell in self.cells if cell["module"].endswith(MEMORY)]
        opened = [cell["ports"]["m_axis_0_tdata"].split(".")[0] for cell in memories]
        rest = tuple(cell for cell in self.cells if cell not in memories)
        return replace(self, cells=rest, opened=tuple(opened))

    def weights_of(self, layer: str) -> str:
        """The link that carries the weights of a layer."""
        memory = next(cell for cell in self.cells if cell["module"] == f"{layer}{MEMORY}")
        return str(memory["ports"]["m_axis_0_tdata"].split(".")[0])

    def bits(self, link: str) -> int:
        """Bits of a link."""
        return next(int(one["bits"]) for one in self.links if one["name"] == link)


def print_core(core: Core, module: str, depths: Mapping[str, int] | None) -> str:
    """The layers, wired; between layers FIFOs of `depths` (0: a wire), or, where None, of a depth that the
    port `limits` sets, 16 bits each, for finding out how deep they have to be."""
    lines = ["`default_nettype none", "", f"module {module} (", *_core_ports(core, depths is None), ");", ""]
    for link in core.links:
        lines += _wires(link, core)
    for number, link in enumerate(core.queued):
        lines += _queue(link, number, depths)
    for cell in core.cells:
        lines += _instance(cell, {str(link["name"]) for link in core.queued})
    return "\n".join([*lines, "", "endmodule", "", "`default_nettype wire", ""])


def _core_ports(core: Core, limited: bool) -> list[str]:
    into, out = core.bits(core.entry), core.bits(core.final)
    ports = [f"    input  wire {CLOCK},", f"    input  wire {RESET},"]
    if limited:
        ports.append(f"    input  wire [{16 * len(core.queued) - 1}:0] limits,")
    for name in core.opened:
        ports += [
            f"    input  wire [{core.bits(name) - 1}:0] {name}_data,",
            f"    input  wire {name}_valid,",
            f"    output wire {name}_ready,",
        ]
    return [
        *ports,
        f"    input  wire [{into - 1}:0] s_data,",
        "    input  wire s_valid,",
        "    output wire s_ready,",
        f"    output wire [{out - 1}:0] m_data,",
        "    output wire m_valid,",
        "    input  wire m_ready",
    ]


def _wires(link: Mapping[str, Any], core: Core) -> list[str]:
    name, bits = link["name"], int(link["bits"])
    lines: list[str] = []
    if name in core.opened:
        return lines
    for side in ("from", "to") if link in core.queued else ("",):
        tag = f"{name}_{side}" if side else name
        lines.append(f"    wire [{bits - 1}:0] {tag}_data; wire {tag}_valid, {tag}_ready;")
    if name == core.entry:
        lines.append(f"    assign {name}_data = s_data, {name}_valid = s_valid, s_ready = {name}_ready;")
    if name == core.final:
        lines.append(f"    assign m_data = {name}_data, m_valid = {name}_valid, {name}_ready = m_ready;")
    return lines


def _queue(link: Mapping[str, Any], number: int, depths: Mapping[str, int] | None) -> list[str]:
    name, bits = link["name"], int(link["bits"])
    ports = (
        f".s_valid({name}_from_valid), .s_ready({name}_from_ready), .s_data({name}_from_data), "
        f".m_valid({name}_to_valid), .m_ready({name}_to_ready), .m_data({name}_to_data)"
    )
    if depths is None:
        limit = f".limit(limits[{16 * number} +: 16])"
        head = f"dwell_limited_fifo #(.BITS({bits})) {name}_fifo (.clk({CLOCK}), .rst_n({RESET}), {limit},"
        return [f"    {head} {ports});"]
    if depths[name] == 0:
        return [
            f"    assign {name}_to_data = {name}_from_data, {name}_to_valid = {name}_from_valid, "
            f"{name}_from_ready = {name}_to_ready;"
        ]
    head = f"dwell_fifo #(.BITS({bits}), .DEPTH({depths[name]})) {name}_fifo"
    return [f"    {head} (.clk({CLOCK}), .rst_n({RESET}), {ports});"]


def _instance(cell: Mapping[str, Any], queued: Set[str]) -> list[str]:
    parameters = ", ".join(f".{key}({value})" for key, value in sorted(cell["parameters"].items()))
    ports = ", ".join(f".{port}({_signal(wire, queued)})" for port, wire in cell["ports"].items())
    return [f"    {cell['module']} {f'#({parameters}) ' if parameters else ''}{cell['name']} ({ports});"]


def _signal(wire: str, queued: Set[str]) -> str:
    plain = {"clock": CLOCK, "reset": RESET, "0": "'0", "": ""}
    if wire in plain:
        return plain[wire]
    link, side, signal = wire.split(".")
    return f"{link}_{side}_{signal}" if link in queued else f"{link}_{signal}"


@dataclass(frozen=True)
class WeightsOutside:
    """Ports and text that weights from outside add to a top (see `reload_text`)."""

    ports: tuple[str, ...]
    front: tuple[str, ...]
    core: tuple[str, ...]
    back: tuple[str, ...]


@dataclass(frozen=True)
class Outside:
    """What the top has to know: bits and bytes of a beat on both sides, beats of a frame and of a line."""

    top: str
    header: str
    core: str
    in_bits: int
    in_bytes: int
    in_beats: int
    out_elements: int
    out_span: Range  # an element as FINN gives it
    out_type: FixedPoint  # an element of the port
    out_bytes: int
    out_line_beats: int
    out_lines: int
    weights: WeightsOutside | None = None

    @property
    def out_bits(self) -> int:
        """Bits of a result as FINN gives it, without padding."""
        return self.out_elements * self.out_span.bits


def print_outside(shell: Outside, core: Core) -> str:
    """dwell's AXI4-Stream outside: whole frames in, marked beats out, no path from ready to ready."""
    into, out = core.bits(core.entry), core.bits(core.final)
    beat = f"{{{into - shell.in_bits}'b0, beat}}" if into > shell.in_bits else "beat"
    more = shell.weights or WeightsOutside((), (), (), ())
    enter = "enter" if shell.weights else "beat"
    return "\n".join(
        [
            shell.header,
            "`default_nettype none",
            "",
            *ports(shell.top, shell.in_bytes, shell.out_bytes, more.ports),
            "",
            "    // ---- whole frames in",
            "    wire beat_valid, beat_ready, beat_first, beat_last;",
            f"    wire [{shell.in_bits - 1}:0] beat;",
            f"    dwell_frame_guard #(.BITS({shell.in_bits}), .BEATS({shell.in_beats})) u_guard (",
            "        .clk(aclk), .rst_n(aresetn),",
            "        .s_valid(s_axis_tvalid), .s_ready(s_axis_tready), .s_user(s_axis_tuser), "
            f".s_data(s_axis_tdata[{shell.in_bits - 1}:0]),",
            "        .m_valid(beat_valid), .m_ready(beat_ready), .m_first(beat_first), .m_last(beat_last), "
            ".m_data(beat)",
            "    );",
            "    wire unused_marks = &{1'b0, s_axis_tlast, beat_first, beat_last};",
            *padding(shell.in_bytes, shell.in_bits),
            *more.front,
            "",
            "    // ---- FINN's layers",
            "    wire result_valid, result_ready;",
            f"    wire [{out - 1}:0] result;",
            f"    {shell.core} u_core (",
            f"        .{CLOCK}(aclk), .{RESET}(aresetn),",
            *more.core,
            f"        .s_data({beat}), .s_valid({enter}_valid), .s_ready({enter}_ready),",
            "        .m_data(result), .m_valid(result_valid), .m_ready(result_ready)",
            "    );",
            "",
            "    // ---- results out",
            f"    wire [{shell.out_bits - 1}:0] score;",
            f"    dwell_fifo #(.BITS({shell.out_bits}), .DEPTH(2)) u_out (",
            f"        .clk(aclk), .rst_n(aresetn), .s_valid(result_valid), .s_ready(result_ready), "
            f".s_data(result[{shell.out_bits - 1}:0]),",
            "        .m_valid(m_axis_tvalid), .m_ready(m_axis_tready), .m_data(score)",
            "    );",
            *(
                [f"    wire unused_result = &{{1'b0, result[{out - 1}:{shell.out_bits}]}};"]
                if out > shell.out_bits
                else []
            ),
            f"    dwell_line_marks #(.LINE_BEATS({shell.out_line_beats}), .LINES({shell.out_lines})) u_marks (",
            "        .clk(aclk), .rst_n(aresetn), .leave(m_axis_tvalid & m_axis_tready), .user(m_axis_tuser), "
            ".last(m_axis_tlast)",
            "    );",
            *more.back,
            *results([shell.out_span] * shell.out_elements, shell.out_type, shell.out_bytes, "score"),
            "",
            "endmodule",
            "",
            "`default_nettype wire",
            "",
        ]
    )
