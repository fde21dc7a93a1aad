"""The FIFO behind a folded layer, proved by induction: every result of a start finds a place and leaves in order.

The ports are for the numbering in `formal/burst_fifo_proof.v`. A FIFO that promises one place too many must fail.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from rtl_proofs import Proof, prove

pytestmark = pytest.mark.rtl

FIFO = Proof(
    "dwell_burst_fifo",
    "burst_fifo_proof",
    ports="""\
    input  wire            f_on,
    input  wire      [3:0] f_sent,
    input  wire      [3:0] f_got,
    input  wire      [5:0] f_owed,""",
    invariants="""\
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
    end""",
)


@pytest.mark.parametrize(("burst", "depth_log2"), [(1, 2), (2, 2), (3, 2), (4, 2)])
def test_nothing_is_lost(tmp_path: Path, burst: int, depth_log2: int) -> None:
    assert prove(tmp_path, FIFO, {"BURST": burst, "DEPTH_LOG2": depth_log2})


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
    assert not prove(tmp_path, FIFO, {"BURST": 2, "DEPTH_LOG2": 2}, old=old, new=new)
