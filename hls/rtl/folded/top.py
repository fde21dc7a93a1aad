"""The top of a folded design: instances, wires and parameters, nothing else."""

from __future__ import annotations

from collections.abc import Sequence

from dwell.hls.qmodel import FixedPoint, QModel
from dwell.hls.rtl.circuit.builder import Range
from dwell.hls.rtl.folded.layer import LOAD_PORTS, FoldedLayer, Loads
from dwell.hls.rtl.folded.memory import BUS_BITS
from dwell.hls.rtl.folded.plan import KernelIsland, Plan
from dwell.hls.rtl.folded.text import INDENT, delay, instance, module_text, vector, wires
from dwell.hls.rtl.netlist import Port
from dwell.hls.rtl.verilog.axis import declarations, extended

_LITE = (
    ("awaddr", 0, "input"), ("awprot", 3, "input"), ("awvalid", 1, "input"), ("awready", 1, "output"),
    ("wdata", 32, "input"), ("wstrb", 4, "input"), ("wvalid", 1, "input"), ("wready", 1, "output"),
    ("bresp", 2, "output"), ("bvalid", 1, "output"), ("bready", 1, "input"),
    ("araddr", 0, "input"), ("arprot", 3, "input"), ("arvalid", 1, "input"), ("arready", 1, "output"),
    ("rdata", 32, "output"), ("rresp", 2, "output"), ("rvalid", 1, "output"), ("rready", 1, "input"),
)  # fmt: skip


def print_top(
    model: QModel, plan: Plan, ports: tuple[Port, Port], top: str, header: str, loads: Loads | None
) -> str:
    """The top module's text."""
    body = [*_front(ports[0], plan, loads)]
    link = "frame"
    for number, island in enumerate(plan.islands):
        name = f"link{number}"
        spans = island.out_spans
        body += ["", f"{INDENT}// ---- {_remark(plan, number)}"]
        body += wires(name, link_bits(sum(s.bits for s in spans)))
        if isinstance(island, KernelIsland):
            body += _kernel(island, link, name)
        else:
            body += layer_instance(island.layer, f"u_{name}", link, name, loads)
        link = name
    body += _back(model.tensors[model.output].type, plan.islands[-1].out_spans, ports[1], link)
    remarks = [f"{len(plan.islands)} islands, each with its own flow control."]
    return module_text(header, remarks, top, axis_ports(ports, loads), body)


def link_bits(data: int) -> dict[str, int]:
    """The wires of a link."""
    return {"valid": 1, "ready": 1, "first": 1, "last": 1, "bank": 1, "data": data}


def axis_ports(ports: tuple[Port, Port], loads: Loads | None) -> list[str]:
    """Port declarations of a design."""
    lines = [f"{INDENT}{line}," for line in declarations(ports[0].size, ports[1].size)]
    return lines + [f"{INDENT}{line}," for line in (lite_declarations(loads) if loads else ())]


def lite_declarations(loads: Loads) -> list[str]:
    """Declarations of the AXI4-Lite port of a design, one a line, without commas."""
    lines = []
    for name, bits, direction in _LITE:
        width = bits or loads.bits + 4
        span = f" {vector(width)}" if width > 1 else ""
        lines.append(f"{direction.ljust(6)} wire{span} s_axil_{name}")
    return lines


def lite_ports() -> dict[str, str]:
    """Connections of the AXI4-Lite port of `dwell_weight_port`."""
    return {f"s_axil_{name}": f"s_axil_{name}" for name, _, _ in _LITE}


def _front(port: Port, plan: Plan, loads: Loads | None) -> list[str]:
    lines = [
        f"{INDENT}wire back_last, back_bank;  // of the result at the output",
        "",
        f"{INDENT}// ---- beats in: every frame behind the guard is whole",
    ]
    lines += wires("frame", link_bits(port.bits))
    lines += instance(
        "dwell_frame_guard", "u_guard", {"BITS": port.bits, "BEATS": port.line_beats},
        {
            "clk": "aclk", "rst_n": "aresetn", "s_valid": "s_axis_tvalid", "s_ready": "s_axis_tready",
            "s_user": "s_axis_tuser", "s_data": f"s_axis_tdata[{port.bits - 1}:0]",
            "m_valid": "frame_valid", "m_ready": "frame_ready", "m_first": "frame_first",
            "m_last": "frame_last", "m_data": "frame_data",
        },
    )  # fmt: skip
    unused = "s_axis_tlast"
    if 8 * port.size > port.bits:
        unused += f", s_axis_tdata[{8 * port.size - 1}:{port.bits}]"
    lines.append(f"{INDENT}wire unused_input = &{{1'b0, {unused}}};")
    if not loads:
        return [*lines, f"{INDENT}assign frame_bank = 1'b0;"]
    return [*lines, *frame_banks("frame"), *weight_port(loads, "current", "flying")]


def frame_banks(link: str) -> list[str]:
    """The bank of the frames on `link`, and how many use each: from there to the output."""
    lines = ["", f"{INDENT}// ---- which bank a frame uses: it travels with the frame"]
    lines += [f"{INDENT}wire select, current;", f"{INDENT}wire [31:0] flying;"]
    return lines + instance(
        "dwell_bank_frames", "u_banks", {},
        {
            "clk": "aclk", "rst_n": "aresetn", "select": "select",
            "moves": f"{link}_valid & {link}_ready", "first": f"{link}_first", "bank": f"{link}_bank",
            "ends": "m_axis_tvalid & m_axis_tready & back_last", "end_bank": "back_bank",
            "current": "current", "flying": "flying",
        },
    )  # fmt: skip


def weight_port(loads: Loads, current: str, flying: str) -> list[str]:
    """The AXI4-Lite port with the bus to the memories; `select` is the bank of the frames to come.

    `current` is the bank of the frame that has begun last, `flying` {of bank 1, of bank 0} how many frames use one.
    """
    lines = [
        "",
        f"{INDENT}// ---- weights in",
        f"{INDENT}wire load, load_bank;",
        f"{INDENT}wire {vector(loads.bits)} load_address;",
        f"{INDENT}wire {vector(BUS_BITS)} load_data;",
    ]
    parameters = {"BITS": loads.bits, "MEMORIES": len(loads.windows), "WORDS": loads.words}
    text = instance(
        "dwell_weight_port", "u_weights", parameters,
        {
            "clk": "aclk", "rst_n": "aresetn", **lite_ports(),
            "select": "select", "current": current, "flying": flying, **LOAD_PORTS,
        },
    )  # fmt: skip
    text[1] = text[1].replace(".BITS(", f".STRUCTURE(32'h{loads.structure:08x}), .BITS(", 1)
    return lines + text


def layer_instance(layer: FoldedLayer, name: str, source: str, target: str, loads: Loads | None) -> list[str]:
    """An instance of a folded layer between two links."""
    ports = {"aclk": "aclk", "aresetn": "aresetn"}
    for prefix, link in (("in", source), ("out", target)):
        ports |= {f"{prefix}_{n}": f"{link}_{n}" for n in ("valid", "ready", "first", "last", "bank", "data")}
    if loads:
        ports |= LOAD_PORTS
    return instance(layer.module, name, {}, ports)


def _remark(plan: Plan, number: int) -> str:
    return " > ".join(f"{type(n).__name__} '{n.name}'" for n in plan.islands[number].nodes)


def _kernel(island: KernelIsland, source: str, target: str) -> list[str]:
    """A kernel with a credit FIFO, behind a collector of beats where it takes several."""
    kernel, lines = island.kernel, []
    if island.gather > 1:
        bits = sum(s.bits for s in island.in_spans)
        wide = f"{target}_in"
        lines += wires(wide, link_bits(bits))
        lines += widen(f"u_{wide}", bits // island.gather, island.gather, source, wide)
        source = wide
    lines += [
        f"{INDENT}wire {target}_accept, {target}_done;",
        f"{INDENT}wire {target}_first_q, {target}_last_q, {target}_bank_q;",
        f"{INDENT}wire {vector(kernel.result_bits)} {target}_result;",
        f"{INDENT}{island.module} u_{target} (.aclk(aclk), .taps({source}_data), .result({target}_result));",
    ]
    lines += delay(f"u_{target}_done", kernel.latency, f"{target}_accept", f"{target}_done", 1, reset=True)
    lines += delay(
        f"u_{target}_marks", kernel.latency, f"{{{source}_first, {source}_last, {source}_bank}}",
        f"{{{target}_first_q, {target}_last_q, {target}_bank_q}}", 3,
    )  # fmt: skip
    return lines + instance(
        "dwell_credit_fifo", f"u_{target}_fifo",
        {"BITS": kernel.result_bits + 3, "LATENCY": kernel.latency, "DEPTH_LOG2": island.depth_log2},
        {
            "clk": "aclk", "rst_n": "aresetn", "s_valid": f"{source}_valid", "s_ready": f"{source}_ready",
            "accept": f"{target}_accept", "out_valid": f"{target}_done",
            "out_data": f"{{{target}_first_q, {target}_last_q, {target}_bank_q, {target}_result}}",
            "m_valid": f"{target}_valid", "m_ready": f"{target}_ready",
            "m_data": f"{{{target}_first, {target}_last, {target}_bank, {target}_data}}",
        },
    )  # fmt: skip


def widen(name: str, bits: int, ratio: int, source: str, target: str) -> list[str]:
    """Beats of a link into wider ones."""
    ports = {"clk": "aclk", "rst_n": "aresetn"}
    for prefix, link in (("in", source), ("out", target)):
        ports |= {f"{prefix}_{n}": f"{link}_{n}" for n in ("valid", "ready", "first", "last", "bank", "data")}
    return instance("dwell_widen", name, {"BITS": bits, "RATIO": ratio, "LINE_PARTS": ratio}, ports)


def _back(kind: FixedPoint, spans: Sequence[Range], port: Port, link: str) -> list[str]:
    lines = ["", f"{INDENT}// ---- results out: {kind} a code"]
    ratio = port.elements // len(spans)
    if ratio > 1:
        bits = sum(s.bits for s in spans)
        lines += wires("wide", link_bits(bits * ratio))
        lines += widen("u_wide", bits, ratio, link, "wide")
        link = "wide"
    return lines + back(kind, list(spans) * ratio, port, link)


def back(kind: FixedPoint, spans: Sequence[Range], port: Port, link: str) -> list[str]:
    """A link to the output port: each code in the output's type, the last one's sign in the padding."""
    lines = [
        f"{INDENT}assign back_last = {link}_last;",
        f"{INDENT}assign back_bank = {link}_bank;",
        f"{INDENT}assign m_axis_tvalid = {link}_valid;",
        f"{INDENT}assign m_axis_tuser = {link}_first;",
        f"{INDENT}assign m_axis_tlast = back_last;",
        f"{INDENT}assign {link}_ready = m_axis_tready;",
        f"{INDENT}wire unused_back = &{{1'b0, back_bank}};",
    ]
    return lines + extended(spans, kind, port.size, f"{link}_data")
