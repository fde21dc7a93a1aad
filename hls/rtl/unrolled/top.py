"""The top of an unrolled design: a register, the network, the output FIFO."""

from __future__ import annotations

from dataclasses import dataclass

from dwell.hls.qmodel import FixedPoint
from dwell.hls.rtl.kernel.kernel import Kernel
from dwell.hls.rtl.tops import FIFO_LATENCY, FRONT_LATENCY, fifo
from dwell.hls.rtl.verilog.axis import padding, ports, results

_INDENT = "    "


@dataclass(frozen=True)
class SampleTop:
    """What the top module `top` is made of; `module` is the name of the network's own module."""

    top: str
    module: str
    header: str
    kernel: Kernel
    output: FixedPoint

    @property
    def in_flight(self) -> int:
        """Clocks from acceptance of a sample to its result at the FIFO."""
        return FRONT_LATENCY + self.kernel.latency

    @property
    def latency(self) -> int:
        """Clock edges from the one that accepts a sample to the one that hands over its result."""
        return self.in_flight + FIFO_LATENCY

    @property
    def depth_log2(self) -> int:
        """log2 of the places of the FIFO: enough for a sample every clock."""
        return max((self.in_flight + 3 - 1).bit_length(), 2)


def print_sample_top(design: SampleTop) -> str:
    """The top module's text."""
    kernel, bits, depth = design.kernel, design.kernel.input_bits, design.kernel.latency
    in_bytes = (bits + 7) // 8
    out_bytes = (design.output.width * len(kernel.result) + 7) // 8
    lines = [
        design.header,
        "`default_nettype none",
        "",
        *ports(design.top, in_bytes, out_bytes),
        "",
        "    // ---- samples in",
        "    wire accept;",
        "    wire sample_valid, sample_first, sample_last;",
        f"    wire [{bits - 1}:0] sample;",
        *_delay("front", 1, ("accept", "sample_valid"), ("s_axis_tuser", "s_axis_tlast"), "sample"),
        f"    dwell_delay #(.BITS({bits})) u_front (.clk(aclk), .rst_n(1'b1), .d(s_axis_tdata[{bits - 1}:0]), "
        ".q(sample));",
        *padding(in_bytes, bits),
        "",
        f"    // ---- the network: {len(kernel.circuit.inputs)} inputs, {len(kernel.result)} outputs, {depth} clocks",
        "    wire network_valid, network_first, network_last;",
        f"    wire [{kernel.result_bits - 1}:0] network_result;",
        f"    {design.module} u_network (.aclk(aclk), .taps(sample), .result(network_result));",
        *_delay(
            "network", depth, ("sample_valid", "network_valid"), ("sample_first", "sample_last"), "network"
        ),
        *fifo(
            kernel.result_bits,
            design.in_flight,
            design.depth_log2,
            ("network_valid", "network_first", "network_last", "network_result"),
        ),
        *results(kernel.result, design.output, out_bytes, "result"),
        "",
        "endmodule",
        "",
        "`default_nettype wire",
        "",
    ]
    return "\n".join(lines)


def _delay(name: str, depth: int, valid: tuple[str, str], marks: tuple[str, str], out: str) -> list[str]:
    """The valid bit, which a reset clears, and the marks beside it."""
    return [
        f"{_INDENT}dwell_delay #(.BITS(1), .DEPTH({depth}), .RESET(1)) u_{name}_valid "
        f"(.clk(aclk), .rst_n(aresetn), .d({valid[0]}), .q({valid[1]}));",
        f"{_INDENT}dwell_delay #(.BITS(2), .DEPTH({depth})) u_{name}_marks "
        f"(.clk(aclk), .rst_n(aresetn), .d({{{', '.join(marks)}}}), .q({{{out}_first, {out}_last}}));",
    ]
