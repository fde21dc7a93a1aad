"""The credit FIFO, proved by induction: no result is lost, doubled or out of order, and none finds no place.

The module's text gets ports for the numbering in `formal/credit_fifo_proof.v` and the invariants below;
Yosys' own SAT solver does the rest. A FIFO with one credit too many must fail.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dwell.hls.rtl import library_files

pytestmark = pytest.mark.rtl

PROOF = Path(__file__).parent / "formal" / "credit_fifo_proof.v"

PORTS = """\
    input  wire                f_on,
    input  wire          [3:0] f_sent,
    input  wire          [3:0] f_got,
    input  wire [LATENCY-1:0]  f_tokens,
    input  wire [LATENCY-1:0]  f_alive,
    input  wire            clk,
"""

INVARIANTS = """
    wire [DEPTH_LOG2:0] f_stored = tail - head;
    reg [3:0] f_flying, f_results;
    integer f_i;
    always @* begin
        f_flying = 0;
        f_results = 0;
        for (f_i = 0; f_i < LATENCY; f_i = f_i + 1) begin
            f_flying = f_flying + {3'b0, f_tokens[f_i]};
            f_results = f_results + {3'b0, f_alive[f_i]};
        end
    end
    always @(posedge clk) if (f_on) begin
        assert (f_stored <= DEPTH);
        assert (used == f_flying + f_stored + m_valid);
        assert (!ready || used < DEPTH);
        assert (used <= DEPTH);
        assert (f_sent == (f_got + m_valid + f_stored + f_results) % 16);
        assert (m_valid || f_stored == 0);
        if (m_valid) assert (m_data == f_got);
        for (f_i = 0; f_i < DEPTH; f_i = f_i + 1)
            if (f_i < f_stored) assert (memory[(head + f_i) % DEPTH] == (f_got + m_valid + f_i) % 16);
    end

endmodule
"""

YOSYS = """
import sys
from pyosys import libyosys as ys
design = ys.Design()
proof, fifo, delay, latency, depth = sys.argv[1:]
for command in (
    f"read_verilog -formal {proof} {fifo} {delay}",
    f"chparam -set LATENCY {latency} -set DEPTH_LOG2 {depth} credit_fifo_proof",
    "prep -top credit_fifo_proof -flatten",
    "memory_map", "opt -full", "async2sync", "chformal -lower", "opt_clean",
    "sat -verify -prove-asserts -tempinduct -maxsteps 12 -timeout 240",
):
    ys.run_pass(command, design)
print("PROVED")
"""


def prove(folder: Path, latency: int, depth_log2: int, *, old: str = "", new: str = "") -> bool:
    """Whether the FIFO, with `old` replaced by `new`, is proved."""
    library = {file.stem: file for file in library_files()}
    text = library["dwell_credit_fifo"].read_text()
    assert text.count("    input  wire            clk,\n") == 1 and text.count("\nendmodule\n") == 1
    if old:
        assert text.count(old) == 1
        text = text.replace(old, new)
    text = text.replace("    input  wire            clk,\n", PORTS).replace("\nendmodule\n", INVARIANTS)
    fifo = folder / "fifo.v"
    fifo.write_text(text)
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            YOSYS,
            str(PROOF),
            str(fifo),
            str(library["dwell_delay"]),
            str(latency),
            str(depth_log2),
        ],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert "PROVED" in done.stdout or "ERROR: Called with -verify" in done.stdout + done.stderr, done.stdout[
        -3000:
    ]
    return "PROVED" in done.stdout


@pytest.mark.parametrize(("latency", "depth_log2"), [(2, 1), (3, 2), (5, 2)])
def test_nothing_is_lost(tmp_path: Path, latency: int, depth_log2: int) -> None:
    assert prove(tmp_path, latency, depth_log2)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("ready <= left != ALL;", "ready <= left <= ALL;"),  # admits one too many
        ("wire                nothing = done & ~out_valid;", "wire                nothing = done;"),
        ("if (load & ~empty) head", "if (load) head"),
        ("if (load) m_data <=", "m_data <="),
    ],
)
def test_a_planted_fault_is_found(tmp_path: Path, old: str, new: str) -> None:
    assert not prove(tmp_path, 3, 2, old=old, new=new)
