"""The credit FIFO, proved by induction: no result is lost, doubled or out of order, and none finds no place.

The ports are for the numbering in `formal/credit_fifo_proof.v`. A FIFO with one credit too many must fail.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from rtl_proofs import Proof, prove

pytestmark = pytest.mark.rtl

FIFO = Proof(
    "dwell_credit_fifo",
    "credit_fifo_proof",
    ports="""\
    input  wire                f_on,
    input  wire          [3:0] f_sent,
    input  wire          [3:0] f_got,
    input  wire [LATENCY-1:0]  f_tokens,
    input  wire [LATENCY-1:0]  f_alive,""",
    invariants="""\
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
    end""",
    uses=("dwell_delay",),
)


@pytest.mark.parametrize(("latency", "depth_log2"), [(2, 1), (3, 2), (5, 2)])
def test_nothing_is_lost(tmp_path: Path, latency: int, depth_log2: int) -> None:
    assert prove(tmp_path, FIFO, {"LATENCY": latency, "DEPTH_LOG2": depth_log2})


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
    assert not prove(tmp_path, FIFO, {"LATENCY": 3, "DEPTH_LOG2": 2}, old=old, new=new)
