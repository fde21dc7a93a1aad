"""The top of a chain of layers: instances, wires and parameters, nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dwell.hls.qmodel import FixedPoint
from dwell.hls.rtl.circuit.builder import Range
from dwell.hls.rtl.lowering import Stage
from dwell.hls.rtl.verilog.axis import padding, ports, results

_INDENT = "    "

#: Clocks from acceptance into the first stage, and from the last stage to the output's handshake.
FRONT_LATENCY, FIFO_LATENCY = 1, 1


@dataclass(frozen=True)
class Shell:
    """What lies round the stages: the AXI4-Stream ports and the FIFO."""

    top: str
    header: str
    stages: tuple[Stage, ...]
    modules: tuple[str, ...]
    input_bits: int
    output_type: FixedPoint
    max_width: int

    @property
    def in_bytes(self) -> int:
        """Bytes of `s_axis_tdata`."""
        return (self.input_bits + 7) // 8

    @property
    def out_bits(self) -> int:
        """Bits of a result before padding."""
        return self.output_type.width * len(self.stages[-1].result)

    @property
    def out_bytes(self) -> int:
        """Bytes of `m_axis_tdata`."""
        return (self.out_bits + 7) // 8

    @property
    def in_flight(self) -> int:
        """Clocks from acceptance of a beat to its result at the FIFO."""
        return FRONT_LATENCY + sum(stage.latency for stage in self.stages)

    @property
    def latency(self) -> int:
        """Clock edges from the one that accepts a beat to the one that hands over its result."""
        return self.in_flight + FIFO_LATENCY

    @property
    def depth_log2(self) -> int:
        """log2 of the places of the FIFO: enough for a beat every clock."""
        return max((self.in_flight + 3 - 1).bit_length(), 2)


def print_top(shell: Shell) -> str:
    """The top module's text."""
    lines = [
        shell.header,
        "`default_nettype none",
        "",
        *ports(shell.top, shell.in_bytes, shell.out_bytes),
        "",
    ]
    lines += _frame_front(shell)
    lines += _chain(shell, "pixel_valid", "pixel_first", "pixel_last", "pixel")
    lines += results(shell.stages[-1].result, shell.output_type, shell.out_bytes, "result")
    lines += ["", "endmodule", "", "`default_nettype wire", ""]
    return "\n".join(lines)


def _frame_front(shell: Shell) -> list[str]:
    bits = shell.input_bits
    return [
        "    // ---- pixels in: waits for a frame, cuts lines that are too long",
        "    wire accept;",
        "    wire pixel_valid, pixel_first, pixel_last;",
        f"    wire [{bits - 1}:0] pixel;",
        f"    dwell_frame_in #(.PIXEL_BITS({bits}), .MAX_WIDTH({shell.max_width})) u_front (",
        "        .clk(aclk), .rst_n(aresetn),",
        f"        .in_valid(accept), .in_first(s_axis_tuser), .in_last(s_axis_tlast), "
        f".in_pixel(s_axis_tdata[{bits - 1}:0]),",
        "        .out_valid(pixel_valid), .out_first(pixel_first), .out_last(pixel_last), .out_pixel(pixel)",
        "    );",
        *padding(shell.in_bytes, shell.input_bits),
    ]


def _chain(shell: Shell, valid: str, first: str, last: str, data: str) -> list[str]:
    lines: list[str] = []
    width = shell.max_width
    for stage, module in zip(shell.stages, shell.modules, strict=True):
        tag = module.removeprefix(f"{shell.top}_")
        lines += ["", *_remark(stage)]
        if stage.window is not None:
            lines += _window(stage, tag, width, (valid, first, last, data))
            width -= stage.window.columns
            valid, first, last, data = (f"{tag}_window_{s}" for s in ("valid", "first", "last", "taps"))
        lines += _kernel(stage, module, tag, (valid, first, last, data))
        valid, first, last, data = (f"{tag}_{s}" for s in ("valid", "first", "last", "result"))
    bits = sum(span.bits for span in shell.stages[-1].result)
    lines += fifo(bits, shell.in_flight, shell.depth_log2, (valid, first, last, data))
    return lines


def _remark(stage: Stage) -> list[str]:
    names = " → ".join(f"{type(node).__name__} '{node.name}'" for node in stage.nodes)
    result = _types(stage.result)
    return [
        f"{_INDENT}// ---- {names}".replace("→", ">"),
        f"{_INDENT}//      {_types(stage.pixel)} in, {result} out; {stage.latency} clocks",
    ]


def _types(spans: Sequence[Range]) -> str:
    """Channel types, runs of the same written once."""
    runs: list[tuple[str, int]] = []
    for span in spans:
        text = str(span)
        if runs and runs[-1][0] == text:
            runs[-1] = (text, runs[-1][1] + 1)
        else:
            runs.append((text, 1))
    if len(runs) > 4:
        return f"{len(spans)} channels of {sum(s.bits for s in spans)} bits in all"
    return ", ".join(f"{count} x {text}" for text, count in runs)


def _window(stage: Stage, tag: str, width: int, source: tuple[str, str, str, str]) -> list[str]:
    window = stage.window
    assert window is not None
    valid, first, last, data = source
    total = window.height * window.width * stage.pixel_bits
    return [
        f"{_INDENT}wire {tag}_window_valid, {tag}_window_first, {tag}_window_last;",
        f"{_INDENT}wire [{total - 1}:0] {tag}_window_taps;",
        f"{_INDENT}dwell_conv_window #(",
        f"{_INDENT}    .PIXEL_BITS({stage.pixel_bits}), "
        f".KERNEL_H({window.height}), .KERNEL_W({window.width}), "
        f".DILATION_H({window.dilation[0]}), .DILATION_W({window.dilation[1]}), .MAX_WIDTH({width})",
        f"{_INDENT}) u_{tag}_window (",
        f"{_INDENT}    .clk(aclk), .rst_n(aresetn),",
        f"{_INDENT}    .in_valid({valid}), .in_first({first}), .in_last({last}), .in_pixel({data}),",
        f"{_INDENT}    .out_valid({tag}_window_valid), .out_first({tag}_window_first), "
        f".out_last({tag}_window_last), .out_taps({tag}_window_taps)",
        f"{_INDENT});",
    ]


def _kernel(stage: Stage, module: str, tag: str, source: tuple[str, str, str, str]) -> list[str]:
    valid, first, last, data = source
    bits = sum(span.bits for span in stage.result)
    depth = stage.kernel.latency
    return [
        f"{_INDENT}wire {tag}_valid, {tag}_first, {tag}_last;",
        f"{_INDENT}wire [{bits - 1}:0] {tag}_result;",
        f"{_INDENT}{module} u_{tag} (.aclk(aclk), .taps({data}), .result({tag}_result));",
        f"{_INDENT}dwell_delay #(.BITS(1), .DEPTH({depth}), .RESET(1)) u_{tag}_valid "
        f"(.clk(aclk), .rst_n(aresetn), .d({valid}), .q({tag}_valid));",
        f"{_INDENT}dwell_delay #(.BITS(2), .DEPTH({depth})) u_{tag}_marks "
        f"(.clk(aclk), .rst_n(aresetn), .d({{{first}, {last}}}), .q({{{tag}_first, {tag}_last}}));",
    ]


def fifo(bits: int, in_flight: int, depth_log2: int, source: tuple[str, str, str, str]) -> list[str]:
    """The output FIFO: `source` names its valid, first, last and data of `bits`, `in_flight` clocks after `accept`."""
    valid, first, last, data = source
    return [
        "",
        f"{_INDENT}// ---- results out: a place for everything in flight, so that the stages never stall",
        f"{_INDENT}wire [{bits - 1}:0] result;",
        f"{_INDENT}dwell_credit_fifo #(.BITS({bits + 2}), .LATENCY({in_flight}), "
        f".DEPTH_LOG2({depth_log2})) u_fifo (",
        f"{_INDENT}    .clk(aclk), .rst_n(aresetn),",
        f"{_INDENT}    .s_valid(s_axis_tvalid), .s_ready(s_axis_tready), .accept(accept),",
        f"{_INDENT}    .out_valid({valid}), .out_data({{{first}, {last}, {data}}}),",
        f"{_INDENT}    .m_valid(m_axis_tvalid), .m_ready(m_axis_tready), "
        ".m_data({m_axis_tuser, m_axis_tlast, result})",
        f"{_INDENT});",
    ]
