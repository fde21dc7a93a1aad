"""The top of a folded chain for frames of any size: instances, wires and parameters, nothing else."""

from __future__ import annotations

from dataclasses import dataclass

from dwell.hls.rtl.circuit.builder import Range
from dwell.hls.rtl.folded.layer import LOAD_PORTS, FoldedLayer, Loads
from dwell.hls.rtl.folded.text import INDENT, delay, instance, module_text, wires
from dwell.hls.rtl.folded.top import axis_ports, back, link_bits, weight_port
from dwell.hls.rtl.kernel.kernel import Kernel
from dwell.hls.rtl.lowering import Window
from dwell.hls.rtl.netlist import Port

#: Clocks from acceptance into the first stage, and from the last stage to the output's handshake.
FRONT, BACK = 1, 1


@dataclass(frozen=True)
class ChainStage:
    """A window (or none) and a kernel, folded (`layer`) or an adder graph (`kernel`)."""

    name: str
    module: str
    window: Window | None
    pixel: tuple[Range, ...]
    layer: FoldedLayer | None
    kernel: Kernel | None

    @property
    def pixel_bits(self) -> int:
        return sum(s.bits for s in self.pixel)

    @property
    def result(self) -> tuple[Range, ...]:
        if self.layer is not None:
            return self.layer.out_spans
        assert self.kernel is not None
        return self.kernel.result

    @property
    def latency(self) -> int:
        """Clocks from a pixel to its result."""
        window = self.window.latency if self.window else 0
        if self.layer is not None:
            return window + self.layer.latency
        assert self.kernel is not None
        return window + self.kernel.latency


@dataclass(frozen=True)
class ChainShell:
    """A design."""

    top: str
    header: str
    stages: tuple[ChainStage, ...]
    input: Port
    output: Port
    max_width: int
    loads: Loads | None

    @property
    def interval(self) -> int:
        """Clocks from pixel to pixel."""
        return max([2, *(s.layer.unit.folding.reuse for s in self.stages if s.layer is not None)])

    @property
    def in_flight(self) -> int:
        """Clocks from acceptance of a pixel to its result at the FIFO."""
        return FRONT + sum(s.latency for s in self.stages)

    @property
    def latency(self) -> int:
        """Clock edges from the one that accepts a pixel to the one that hands over its result."""
        return self.in_flight + BACK

    @property
    def depth_log2(self) -> int:
        """log2 of the places of the FIFO: enough for a pixel every `interval` clocks."""
        return max((self.in_flight // self.interval + 3 - 1).bit_length(), 2)

    def width_at(self, stage: ChainStage) -> int:
        """The longest line at a stage."""
        width = self.max_width
        for before in self.stages:
            if before is stage:
                break
            width -= before.window.columns if before.window else 0
        return width


def print_chain(shell: ChainShell) -> str:
    """The top module's text."""
    body = _front(shell)
    link = "pixel"
    for number, stage in enumerate(shell.stages):
        tag = f"s{number}"
        body += ["", f"{INDENT}// ---- {stage.name}: {stage.latency} clocks"]
        if stage.window is not None:
            body += _window(stage, stage.window, tag, shell.width_at(stage), link)
            link = f"{tag}_window"
        body += wires(tag, link_bits(sum(s.bits for s in stage.result)))
        body += _folded(stage, tag, link, shell.loads) if stage.layer else _adders(stage, tag, link)
        body += [
            f"{INDENT}assign {tag}_ready = 1'b1;",
            f"{INDENT}wire unused_{tag}_ready = &{{1'b0, {tag}_ready}};",
        ]
        link = tag
    body += _fifo(shell, link)
    body += back(shell.output.type, shell.stages[-1].result, shell.output, "result")
    remarks = [f"A pixel every {shell.interval} clocks, decisions {shell.latency} clocks after theirs."]
    return module_text(
        shell.header, remarks, shell.top, axis_ports((shell.input, shell.output), shell.loads), body
    )


def _front(shell: ChainShell) -> list[str]:
    bits = shell.input.bits
    lines = [
        f"{INDENT}wire back_last, back_bank;  // of the result at the output",
        "",
        f"{INDENT}// ---- pixels in: one every {shell.interval} clocks; waits for a frame, cuts long lines",
        f"{INDENT}wire accept, open, has_credit;",
        f"{INDENT}assign s_axis_tready = open & has_credit;",
        *instance(
            "dwell_pace", "u_pace", {"INTERVAL": shell.interval},
            {"clk": "aclk", "rst_n": "aresetn", "accept": "accept", "open": "open"},
        ),
        *wires("pixel", link_bits(bits)),
        *instance(
            "dwell_frame_in", "u_front", {"PIXEL_BITS": bits, "MAX_WIDTH": shell.max_width},
            {
                "clk": "aclk", "rst_n": "aresetn", "in_valid": "accept", "in_first": "s_axis_tuser",
                "in_last": "s_axis_tlast", "in_pixel": f"s_axis_tdata[{bits - 1}:0]",
                "out_valid": "pixel_valid", "out_first": "pixel_first", "out_last": "pixel_last",
                "out_pixel": "pixel_data",
            },
        ),
        f"{INDENT}assign pixel_ready = 1'b1;",
    ]  # fmt: skip
    rest = f", s_axis_tdata[{8 * shell.input.size - 1}:{bits}]" if 8 * shell.input.size > bits else ""
    lines.append(f"{INDENT}wire unused_front = &{{1'b0, pixel_ready{rest}}};")
    if shell.loads is None:
        return [*lines, f"{INDENT}assign pixel_bank = 1'b0;"]
    lines += [
        "",
        f"{INDENT}// ---- which bank a frame uses: it travels with every pixel",
        f"{INDENT}wire select, current, bank;",
        f"{INDENT}wire [31:0] frames, flying;",
        *instance(
            "dwell_bank_frames", "u_banks", {},
            {
                "clk": "aclk", "rst_n": "aresetn", "select": "select", "moves": "accept",
                "first": "s_axis_tuser", "bank": "bank", "ends": "1'b0", "end_bank": "1'b0",
                "current": "current", "flying": "frames",
            },
        ),
        *instance(
            "dwell_bank_timer", "u_timer", {"CLOCKS": shell.in_flight},
            {
                "clk": "aclk", "rst_n": "aresetn", "moves": "accept", "bank": "bank", "current": "current",
                "flying": "flying",
            },
        ),
        *delay("u_bank", FRONT, "bank", "pixel_bank", 1),
        f"{INDENT}wire unused_frames = &{{1'b0, frames}};",
    ]  # fmt: skip
    return [*lines, *weight_port(shell.loads, "current", "flying")]


def _window(stage: ChainStage, window: Window, tag: str, width: int, source: str) -> list[str]:
    name = f"{tag}_window"
    lines = wires(name, link_bits(window.height * window.width * stage.pixel_bits))
    lines += instance(
        "dwell_conv_window", f"u_{name}",
        {
            "PIXEL_BITS": stage.pixel_bits, "KERNEL_H": window.height, "KERNEL_W": window.width,
            "DILATION_H": window.dilation[0], "DILATION_W": window.dilation[1], "MAX_WIDTH": width,
        },
        {
            "clk": "aclk", "rst_n": "aresetn", "in_valid": f"{source}_valid", "in_first": f"{source}_first",
            "in_last": f"{source}_last", "in_pixel": f"{source}_data", "out_valid": f"{name}_valid",
            "out_first": f"{name}_first", "out_last": f"{name}_last", "out_taps": f"{name}_data",
        },
    )  # fmt: skip
    return lines + delay(f"u_{name}_bank", window.latency, f"{source}_bank", f"{name}_bank", 1)


def _folded(stage: ChainStage, tag: str, source: str, loads: Loads | None) -> list[str]:
    """A kernel that always takes the window: the front leaves it the time."""
    ports = {"aclk": "aclk", "aresetn": "aresetn"}
    for prefix, link in (("in", source), ("out", tag)):
        ports |= {f"{prefix}_{n}": f"{link}_{n}" for n in ("valid", "ready", "first", "last", "bank", "data")}
    if loads:
        ports |= LOAD_PORTS
    lines = instance(stage.module, f"u_{tag}", {}, ports)
    return [*lines, f"{INDENT}wire unused_{tag} = &{{1'b0, {source}_ready}};"] if stage.window else lines


def _adders(stage: ChainStage, tag: str, source: str) -> list[str]:
    assert stage.kernel is not None
    depth = stage.kernel.latency
    lines = [
        f"{INDENT}{stage.module} u_{tag} (.aclk(aclk), .taps({source}_data), .result({tag}_data));",
        f"{INDENT}wire unused_{tag} = &{{1'b0, {source}_ready}};",
    ]
    if stage.window is not None:
        lines.insert(0, f"{INDENT}assign {source}_ready = 1'b1;")
    lines += delay(f"u_{tag}_valid", depth, f"{source}_valid", f"{tag}_valid", 1, reset=True)
    return lines + delay(
        f"u_{tag}_marks", depth, f"{{{source}_first, {source}_last, {source}_bank}}",
        f"{{{tag}_first, {tag}_last, {tag}_bank}}", 3,
    )  # fmt: skip


def _fifo(shell: ChainShell, link: str) -> list[str]:
    bits = sum(s.bits for s in shell.stages[-1].result)
    lines = [
        "",
        f"{INDENT}// ---- decisions out: a place for everything in flight, so that the stages never stall",
    ]
    lines += wires("result", link_bits(bits))
    return lines + instance(
        "dwell_credit_fifo", "u_fifo",
        {"BITS": bits + 3, "LATENCY": shell.in_flight, "DEPTH_LOG2": shell.depth_log2},
        {
            "clk": "aclk", "rst_n": "aresetn", "s_valid": "s_axis_tvalid & open", "s_ready": "has_credit",
            "accept": "accept", "out_valid": f"{link}_valid",
            "out_data": f"{{{link}_first, {link}_last, {link}_bank, {link}_data}}",
            "m_valid": "result_valid", "m_ready": "result_ready",
            "m_data": "{result_first, result_last, result_bank, result_data}",
        },
    )  # fmt: skip
