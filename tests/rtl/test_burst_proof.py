"""The FIFO behind a folded layer, proved by induction: every result of a start finds a place and leaves in order.

The module's text gets ports for the numbering in `formal/burst_fifo_proof.v` and the invariants below; Yosys' own
SAT solver does the rest. A FIFO that promises one place too many must fail.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dwell.hls.rtl import library_files

pytestmark = pytest.mark.rtl

PROOF = Path(__file__).parent / "formal" / "burst_fifo_proof.v"
CLOCK = "    input  wire            clk,\n"

PORTS = """\
    input  wire            f_on,
    input  wire      [3:0] f_sent,
    input  wire      [3:0] f_got,
    input  wire      [5:0] f_owed,
    input  wire            clk,
"""

INVARIANTS = """
    wire [DEPTH_LOG2:0] f_stored = tail - head;
    integer f_i;
    always @(posedge clk) if (f_on) begin
        assert (f_stored <= DEPTH);
        assert (f_owed <= DEPTH);
        assert (used == f_owed + f_stored + m_valid);
        assert (used <= DEPTH);
        assert (!room || used + BURST <= DEPTH);
        assert (f_sent == (f_got + m_valid + f_stored) % 16);
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
proof, fifo, burst, depth = sys.argv[1:]
for command in (
    f"read_verilog -formal {proof} {fifo}",
    f"chparam -set BURST {burst} -set DEPTH_LOG2 {depth} burst_fifo_proof",
    "prep -top burst_fifo_proof -flatten",
    "memory_map", "opt -full", "async2sync", "chformal -lower", "opt_clean",
    "sat -verify -prove-asserts -tempinduct -maxsteps 12 -timeout 240",
):
    ys.run_pass(command, design)
print("PROVED")
"""


def prove(folder: Path, burst: int, depth_log2: int, *, old: str = "", new: str = "") -> bool:
    """Whether the FIFO, with `old` replaced by `new`, is proved."""
    text = next(file for file in library_files() if file.stem == "dwell_burst_fifo").read_text()
    assert text.count(CLOCK) == 1 and text.count("\nendmodule\n") == 1
    if old:
        assert text.count(old) == 1
        text = text.replace(old, new)
    fifo = folder / "fifo.v"
    fifo.write_text(text.replace(CLOCK, PORTS).replace("\nendmodule\n", INVARIANTS))
    done = subprocess.run(
        [sys.executable, "-c", YOSYS, str(PROOF), str(fifo), str(burst), str(depth_log2)],
        capture_output=True,
        text=True,
        timeout=300,
    )
    said = done.stdout + done.stderr
    assert "PROVED" in said or "ERROR: Called with -verify" in said, said[-3000:]
    return "PROVED" in done.stdout


@pytest.mark.parametrize(("burst", "depth_log2"), [(1, 2), (2, 2), (3, 2), (4, 2)])
def test_nothing_is_lost(tmp_path: Path, burst: int, depth_log2: int) -> None:
    assert prove(tmp_path, burst, depth_log2)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("room <= left <= MOST;", "room <= left <= MOST + 1'b1;"),  # promises one too many
        ("if (load & ~empty) head", "if (load) head"),
        ("if (load) m_data <=", "m_data <="),
        ("- {{DEPTH_LOG2{1'b0}}, leaves};", "- {{DEPTH_LOG2{1'b0}}, m_ready};"),
    ],
)
def test_a_planted_fault_is_found(tmp_path: Path, old: str, new: str) -> None:
    assert not prove(tmp_path, 2, 2, old=old, new=new)
