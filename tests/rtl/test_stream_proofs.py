"""FIFO and frame guard proved by induction; planted faults in them, and in the windower, are found.

The ports are for the numbering in `formal/`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rtl_scan
from rtl_proofs import Proof, prove
from rtl_scan import Scan, check_scan, run_scan

from dwell.hls.rtl import library_files

pytestmark = pytest.mark.rtl

FIFO = Proof(
    "dwell_fifo",
    "fifo_proof",
    ports="    input wire f_on, input wire [3:0] f_sent, input wire [3:0] f_got,",
    invariants="""\
    integer f_i;
    always @(posedge clk) if (f_on) begin
        assert (count <= DEPTH);
        assert (room ? count < DEPTH : (count == DEPTH || f_sent == 0));
        assert (head < DEPTH && tail < DEPTH);
        assert ((head + count) % DEPTH == tail);
        assert (f_sent == (f_got + m_valid + count) % 16);
        if (m_valid) assert (m_data == f_got);
        for (f_i = 0; f_i < DEPTH; f_i = f_i + 1)
            if (f_i < count) assert (memory[(head + f_i) % DEPTH] == (f_got + m_valid + f_i) % 16);
    end""",
)

GUARD = Proof(
    "dwell_frame_guard",
    "guard_proof",
    ports="    input wire f_on, input wire [3:0] f_place,",
    invariants="""\
    always @(posedge clk) if (f_on) begin
        assert (place == f_place);
        assert (!more || held);
    end""",
)


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_the_fifo_loses_nothing(depth: int, tmp_path: Path) -> None:
    assert prove(tmp_path, FIFO, {"DEPTH": depth})


@pytest.mark.parametrize("beats", [1, 2, 5])
def test_frames_behind_the_guard_are_whole(beats: int, tmp_path: Path) -> None:
    assert prove(tmp_path, GUARD, {"BEATS": beats})


@pytest.mark.parametrize(
    ("proof", "old", "new"),
    [
        (FIFO, "wire                  put   = s_valid & room;", "wire                  put   = s_valid;"),
        (FIFO, "room  <= left != DEPTH_32[COUNT_BITS-1:0];", "room  <= 1'b1;"),
        (FIFO, "if (load) m_valid <= get;", "m_valid <= get;"),
        (GUARD, "assign m_valid = held & ~drop;", "assign m_valid = held;"),
        (GUARD, "held <= (held & ~used) | more | taken;", "held <= more | taken;"),
        (GUARD, "if (leave) place <=", "if (m_valid) place <="),
    ],
)
def test_a_planted_fault_is_found(proof: Proof, old: str, new: str, tmp_path: Path) -> None:
    parameters = {"DEPTH" if proof is FIFO else "BEATS": 3}
    assert not prove(tmp_path, proof, parameters, old=old, new=new)


def faulty_library(folder: Path, module: str, old: str, new: str) -> list[Path]:
    """The library with a fault in one module."""
    files = []
    for file in library_files():
        text = file.read_text()
        if file.stem == module:
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        (folder / file.name).write_text(text)
        files.append(folder / file.name)
    return files


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("dwell_scan", "wire over = by_self & frame_ends;", "wire over = 1'b0;"),
        ("dwell_scan", "wire by_self = alone | (finish & ~in_valid);", "wire by_self = alone;"),
        ("dwell_scan", "assign result_bank  = starts ? fresh : place_bank;", "assign result_bank  = fresh;"),
        ("dwell_scan", "assign result_first = starts;", "assign result_first = shows;"),
        (
            "dwell_scan_window",
            "always @(posedge clk) keep <= seen < ROWS_32;",
            "always @(posedge clk) keep <= 1'b1;",
        ),
        ("dwell_scan_window", "wire        in_frame = at < COLUMNS_32;", "wire        in_frame = 1'b1;"),
        ("dwell_scan_window", "if (row_valid) line <= moved;", "line <= moved;"),
    ],
)
def test_a_fault_in_the_windower_is_found(
    module: str, old: str, new: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = faulty_library(tmp_path, module, old, new)
    monkeypatch.setattr(rtl_scan, "library_files", lambda: files)
    scan = Scan(2, (4, 8))
    frames = np.random.default_rng(0).integers(0, 16, (5, 4, 8))
    banks = [0, 1, 1, 0, 1]
    with pytest.raises(AssertionError):
        for gap, stall in ((0, 0), (60, 30)):
            run = run_scan(scan, tmp_path, frames, banks, gap_percent=gap, stall_percent=stall)
            check_scan(scan, run, frames, banks)
