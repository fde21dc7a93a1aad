"""A small stream bench in Icarus Verilog: beats in, beats out, gaps, stalls, the clock of every handshake."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

_SIGNALS = """\
`timescale 1ns / 1ps
`default_nettype none
module bench;
    reg aclk = 0;
    always #5 aclk = ~aclk;
    reg aresetn = 0;
    reg [@IN@-1:0] s_data;
    reg s_valid = 0, s_last = 0, s_user = 0, m_ready = 0;
    wire s_ready, m_valid, m_last, m_user;
    wire [@OUT@-1:0] m_data;
    reg [@IN@+1:0] beats [0:@COUNT@-1];
    integer sent = 0, clock = 0, idle = 0, seed = @SEED@;
    initial begin
        $readmemh("@BEATS@", beats);
        repeat (4) @(posedge aclk);
        #1 aresetn = 1;
    end"""

_PORTS = """\
        .aclk(aclk), .aresetn(aresetn),
        .s_axis_tdata(s_data), .s_axis_tvalid(s_valid), .s_axis_tready(s_ready),
        .s_axis_tlast(s_last), .s_axis_tuser(s_user),
        .m_axis_tdata(m_data), .m_axis_tvalid(m_valid), .m_axis_tready(m_ready),
        .m_axis_tlast(m_last), .m_axis_tuser(m_user)"""

_STREAMS = """\
        clock <= clock + 1;
        if (aresetn && m_valid && m_ready) $display("OUT %0d %b%b %h", clock, m_user, m_last, m_data);
        m_ready <= #1 aresetn && ($unsigned($random(seed)) % 100 >= @STALL@);
        if (!aresetn) s_valid <= #1 0;
        else if (!s_valid || s_ready) begin
            if (sent < @COUNT@ && $unsigned($random(seed)) % 100 >= @GAP@) begin
                {s_user, s_last, s_data} <= #1 beats[sent];
                s_valid <= #1 1;
                sent = sent + 1;
            end else begin
                s_valid <= #1 0;
                {s_user, s_last, s_data} <= #1 {@IN@ + 2{1'bx}};
            end
        end"""

_BENCH = """\
@SIGNALS@
    @TOP@ dut (
@PORTS@
    );
    reg [@OUT@+1:0] held;
    reg waiting = 0;
    always @(posedge aclk) begin
        idle <= (s_valid & s_ready) | (m_valid & m_ready) ? 0 : idle + 1;
        if (idle == 600) begin
            $display("DONE %0d", sent);
            $finish;
        end
        if (waiting && (m_valid !== 1 || {m_user, m_last, m_data} !== held)) $display("UNSTABLE %0d", clock);
        if (m_valid === 1'bx || s_ready === 1'bx) if (aresetn) $display("UNKNOWN %0d", clock);
        waiting <= aresetn && m_valid === 1 && !m_ready;
        held <= {m_user, m_last, m_data};
        if (aresetn && s_valid && s_ready) $display("IN %0d", clock);
@STREAMS@
    end
endmodule
"""


@dataclass(frozen=True)
class Traffic:
    """Beats (user, last, data) and the pauses between them; `bits` are those of s_axis_tdata and m_axis_tdata."""

    bits: tuple[int, int]
    beats: Sequence[tuple[bool, bool, int]]
    gap_percent: int = 0
    stall_percent: int = 0
    seed: int = 1


def write_bench(folder: Path, text: str, top: str, traffic: Traffic, more: Mapping[str, object]) -> Path:
    """`text` as a bench in `folder`; @SIGNALS@, @PORTS@ and @STREAMS@ are a design's two streams, `more` its own keys.

    A file of the traffic's beats lies beside it.
    """
    low, image = traffic.bits[0], folder / "beats.hex"
    image.write_text("".join(f"{(user << 1 | last) << low | data:x}\n" for user, last, data in traffic.beats))
    parts = {"SIGNALS": _SIGNALS, "PORTS": _PORTS, "STREAMS": _STREAMS}
    values = {
        "IN": low, "OUT": traffic.bits[1], "TOP": top, "COUNT": len(traffic.beats), "SEED": traffic.seed,
        "GAP": traffic.gap_percent, "STALL": traffic.stall_percent, "BEATS": image.resolve(),
    }  # fmt: skip
    for key, value in {**parts, **values, **more}.items():
        text = text.replace(f"@{key}@", str(value))
    bench = folder / "bench.v"
    bench.write_text(text)
    return bench


@dataclass(frozen=True)
class StreamRun:
    """What came out: (user, last, data) of each beat, and the clocks of the handshakes on both sides."""

    user: npt.NDArray[np.bool_]
    last: npt.NDArray[np.bool_]
    data: tuple[int, ...]
    in_clocks: npt.NDArray[np.int64]
    out_clocks: npt.NDArray[np.int64]
    faults: tuple[str, ...]


def run_stream(
    folder: Path,
    sources: Sequence[Path],
    top: str,
    bits: tuple[int, int],
    beats: Sequence[tuple[bool, bool, int]],
    *,
    gap_percent: int = 0,
    stall_percent: int = 0,
    seed: int = 1,
) -> StreamRun:
    """Send `beats` (user, last, data) through `top`; `bits` are those of s_axis_tdata and m_axis_tdata."""
    traffic = Traffic(bits, beats, gap_percent, stall_percent, seed)
    bench = write_bench(folder, _BENCH, top, traffic, {})
    lines = simulate(folder, [bench, *sources], "bench")
    out = [line.split() for line in lines if line.startswith("OUT ")]
    faults = [line for line in lines if line.startswith(("UNSTABLE", "UNKNOWN"))]
    if f"DONE {len(beats)}" not in lines:
        faults.append(f"not every beat was taken: {lines[-1:]}")
    return StreamRun(
        np.array([o[2][0] == "1" for o in out], dtype=bool),
        np.array([o[2][1] == "1" for o in out], dtype=bool),
        tuple(int(o[3], 16) if "x" not in o[3].lower() else -1 for o in out),
        np.array([int(line.split()[1]) for line in lines if line.startswith("IN ")], dtype=np.int64),
        np.array([int(o[1]) for o in out], dtype=np.int64),
        tuple(faults),
    )


def simulate(folder: Path, sources: Sequence[Path], top: str, timeout_s: float = 120.0) -> list[str]:
    """Compile with Icarus as Verilog-2005, run, and give the lines printed. A warning fails the test."""
    program = folder / f"{top}.vvp"
    command = ["iverilog", "-g2005", "-Wall", "-Wno-timescale", "-o", str(program), "-s", top]
    built = subprocess.run([*command, *map(str, sources)], capture_output=True, text=True, timeout=timeout_s)
    assert built.returncode == 0 and not built.stderr, built.stderr[-3000:]
    done = subprocess.run(["vvp", "-n", str(program)], capture_output=True, text=True, timeout=timeout_s)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.splitlines()
