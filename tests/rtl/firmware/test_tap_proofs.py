"""The tap of fixed frames proved by induction; planted faults are found. The ports are for `../formal/`."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import pytest
from rtl_proofs import Proof, prove

pytestmark = pytest.mark.rtl

FIFO = Proof(
    "dwell_tap_fifo",
    "tap_fifo_proof",
    ports="    input wire f_on, input wire [3:0] f_sent, input wire [3:0] f_got,",
    invariants="""\
    integer f_i;
    always @(posedge clk) if (f_on) begin
        assert (level <= DEPTH);
        assert ((head + level) % DEPTH == tail);
        assert (f_sent == (f_got + m_valid + have + level) % 16);
        assert (busy == (f_sent != f_got));
        if (m_valid) assert (m_data == f_got);
        if (have) assert (read == (f_got + m_valid) % 16);
        for (f_i = 0; f_i < DEPTH; f_i = f_i + 1)
            if (f_i < level) assert (memory[(head + f_i) % DEPTH] == (f_got + m_valid + have + f_i) % 16);
    end""",
)

TAP = Proof(
    "dwell_frame_tap",
    "frame_tap_proof",
    ports="    input wire f_on,",
    invariants="""\
    always @(posedge clk) if (f_on) begin
        assert (level <= 1 << DEPTH_LOG2);
        assert (place < FRAME_BEATS && net_place < FRAME_BEATS);
        assert (!open || place != 0);
        assert (!open || level + FRAME_BEATS - place <= 1 << DEPTH_LOG2);
        if (open & taken & ~first) assert (push);
        assert (taken == (push | dropped) && !(push & dropped));
    end""",
    uses=("dwell_tap_fifo",),
)


def firmware() -> list[Path]:
    return sorted(Path(str(resources.files("dwell.firmware.rtl"))).glob("*.v"))


@pytest.mark.parametrize("depth_log2", [1, 2])
def test_the_fifo_loses_nothing(depth_log2: int, tmp_path: Path) -> None:
    assert prove(tmp_path, FIFO, {"DEPTH_LOG2": depth_log2}, library=firmware())


@pytest.mark.parametrize(("beats", "depth_log2"), [(1, 1), (3, 2), (4, 2), (5, 3)])
def test_no_frame_is_torn(beats: int, depth_log2: int, tmp_path: Path) -> None:
    sizes = {"FRAME_BEATS": beats, "DEPTH_LOG2": depth_log2}
    assert prove(tmp_path, TAP, sizes, library=firmware())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("(level <= LEVEL)", "(level <= LEVEL + 1'b1)"),  # one place too few
        ("never_stall | ~enable | room", "~enable | room"),
        ("last ? BEGIN : at_place + 1'b1;\n            open", "at_place + 1'b1;\n            open"),
    ],
)
def test_a_planted_fault_is_found(old: str, new: str, tmp_path: Path) -> None:
    assert not prove(tmp_path, TAP, {"FRAME_BEATS": 3, "DEPTH_LOG2": 2}, old=old, new=new, library=firmware())
