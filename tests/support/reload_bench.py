"""A bench in Icarus for weights that are written while frames run: two streams and an AXI4-Lite master.

The master's script is a list of steps: ("write", address, word), ("frames", n) waits until n frames have begun,
("idle", n) waits so many clocks, ("read", address).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rtl_icarus import Traffic, simulate, write_bench

from dwell.hls.design import Design

_BENCH = """\
@SIGNALS@
    reg [@ADDR@-1:0] address;
    reg [31:0] word;
    reg aw = 0, w = 0, b = 0, ar = 0, r = 0;
    wire awready, wready, bvalid, arready, rvalid;
    wire [1:0] bresp, rresp;
    wire [31:0] rdata;
    @TOP@ dut (
@PORTS@,
        .s_axil_awaddr(address), .s_axil_awprot(3'd0), .s_axil_awvalid(aw), .s_axil_awready(awready),
        .s_axil_wdata(word), .s_axil_wstrb(4'hf), .s_axil_wvalid(w), .s_axil_wready(wready),
        .s_axil_bresp(bresp), .s_axil_bvalid(bvalid), .s_axil_bready(b),
        .s_axil_araddr(address), .s_axil_arprot(3'd0), .s_axil_arvalid(ar), .s_axil_arready(arready),
        .s_axil_rdata(rdata), .s_axil_rresp(rresp), .s_axil_rvalid(rvalid), .s_axil_rready(r)
    );
    reg [71:0] script [0:@STEPS@-1];  // {kind, address, word}
    integer begun = 0, at = 0, until = 0;
    initial $readmemh("@SCRIPT@", script);
    always @(posedge aclk) begin
        idle <= (s_valid & s_ready) | (m_valid & m_ready) | (bvalid & b) ? 0 : idle + 1;
        if (idle == 3000) begin
            $display("DONE %0d %0d", sent, at);
            $finish;
        end
        if (aresetn && s_valid && s_ready && s_user) begin
            begun = begun + 1;
            $display("BEGIN %0d", clock);
        end
@STREAMS@
        // ---- the master
        if (aresetn) begin
            if (aw && awready) aw <= #1 0;
            if (w && wready) w <= #1 0;
            if (ar && arready) ar <= #1 0;
            if (b && bvalid) begin
                $display("WROTE %0d %0d %b", at, clock, bresp);
                b <= #1 0;
                at = at + 1;
            end
            if (r && rvalid) begin
                $display("READ %0d %h %b", at, rdata, rresp);
                r <= #1 0;
                at = at + 1;
            end
            if (at < @STEPS@ && !(aw || w || ar) && !(b && !bvalid) && !(r && !rvalid)) begin
                case (script[at][71:64])
                    8'd0: begin
                        address <= #1 script[at][63:32];
                        word <= #1 script[at][31:0];
                        {aw, w, b} <= #1 3'b111;
                    end
                    8'd1: begin
                        address <= #1 script[at][63:32];
                        {ar, r} <= #1 2'b11;
                    end
                    8'd2: if (begun >= script[at][31:0]) at = at + 1;
                    default: begin
                        until = until + 1;
                        if (until >= script[at][31:0]) begin
                            until = 0;
                            at = at + 1;
                        end
                    end
                endcase
            end
        end
    end
endmodule
"""

_KINDS = {"write": 0, "read": 1, "frames": 2, "idle": 3}
Step = tuple[str, int] | tuple[str, int, int]


@dataclass(frozen=True)
class ReloadRun:
    """`data` of every output beat with its marks, `begins` clocks at which frames began, `wrote` (step, clock,
    answer) and `reads` (step, word, answer) of the master's script."""

    data: tuple[tuple[bool, bool, int], ...]
    begins: tuple[int, ...]
    wrote: tuple[tuple[int, int, int], ...]
    reads: tuple[tuple[int, int, int], ...]


def run_reload(
    design: Design,
    folder: Path,
    beats: Sequence[tuple[bool, bool, int]],
    script: Sequence[Step],
    *,
    sources: Sequence[Path] | None = None,
    gap_percent: int = 0,
    stall_percent: int = 0,
    seed: int = 1,
    timeout_s: float = 600.0,
) -> ReloadRun:
    """Send `beats` while the master runs its `script`. `sources`: other Verilog than the design's."""
    assert design.weights is not None
    steps = folder / "script.hex"
    words = []
    for step in script:
        kind, address, word = step[0], step[1] if step[0] in ("write", "read") else 0, step[-1]
        words.append(f"{_KINDS[kind] << 64 | address << 32 | (word if kind != 'read' else 0):x}")
    steps.write_text("\n".join(words) + "\n")
    bits = design.input.tdata_bits, design.output.tdata_bits
    own = {"ADDR": design.weights["address_bits"], "STEPS": len(script), "SCRIPT": steps.resolve()}
    traffic = Traffic(bits, beats, gap_percent, stall_percent, seed)
    bench = write_bench(folder, _BENCH, design.top, traffic, own)
    lines = simulate(folder, [bench, *(sources or design.sources)], "bench", timeout_s)
    rows = [line.split() for line in lines]
    assert ["DONE", str(len(beats)), str(len(script))] in rows, rows[-3:]
    return ReloadRun(
        tuple((r[2][0] == "1", r[2][1] == "1", int(r[3], 16)) for r in rows if r[0] == "OUT"),
        tuple(int(r[1]) for r in rows if r[0] == "BEGIN"),
        tuple((int(r[1]), int(r[2]), int(r[3], 2)) for r in rows if r[0] == "WROTE"),
        tuple((int(r[1]), int(r[2], 16), int(r[3], 2)) for r in rows if r[0] == "READ"),
    )
