"""Weights written and swapped on the simulated board, through the driver."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from board_overlays import overlay_of, vector_design

from dwell.errors import DeviceError, VerificationError
from dwell.firmware.links import open_board
from dwell.hls.design import Design
from dwell.hls.qmodel import run_codes
from dwell.hls.rtl import RtlOptions
from dwell.sim.bench.reload import other_network
from dwell.sim.board.rung import climb_board
from dwell.sim.commands import simulate
from dwell.sim.dut import load_dut
from dwell.sim.vectors import default_frames

pytestmark = pytest.mark.rtl

OPTIONS = RtlOptions(style="folded", reuse=7, reload=True)


@pytest.fixture(scope="module")
def reloadable(tmp_path_factory: pytest.TempPathFactory) -> Design:
    return vector_design(tmp_path_factory.mktemp("weights") / "design", options=OPTIONS)


@pytest.fixture(scope="module")
def overlay_of_it(reloadable: Design, board_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return overlay_of(reloadable, tmp_path_factory.mktemp("weights") / "overlay")


def test_banks_are_written_and_swapped(reloadable: Design, overlay_of_it: Path) -> None:
    codes = np.random.default_rng(1).integers(-16, 16, (12, 6))
    own = run_codes(reloadable.qmodel(), codes)
    found = other_network(reloadable, 1, 1)
    assert found is not None
    other, writes = run_codes(found[0], codes), found[1]
    assert (own != other).any()
    with open_board("sim", overlay_of_it) as board:
        assert board.self_test()["ok"]
        board.configure(0, select=3)
        assert board.free_bank() == 1
        board.write_weights(writes)
        assert (board.process_frames(codes).scores == own).all()
        assert board.swap_weights() == 1
        assert (board.process_frames(codes).scores == other).all()
        # The other bank holds what it held.
        assert board.swap_weights() == 0
        assert (board.process_frames(codes).scores == own).all()


def test_a_reset_leaves_the_weights_that_are_in_use(reloadable: Design, overlay_of_it: Path) -> None:
    codes = np.random.default_rng(2).integers(-16, 16, (3, 6))
    found = other_network(reloadable, 1, 2)
    assert found is not None
    with open_board("sim", overlay_of_it, extra=("--timeout", "1")) as board:
        board.configure(0)
        board.write_weights(found[1])
        board.swap_weights()
        board.simulation(fault="decisions")
        with pytest.raises(DeviceError, match="decisions DMA running"):
            board.process_frames(codes)  # the driver resets the board
        board.simulation(fault="none")
        assert board.free_bank() == 0
        assert (board.process_frames(codes).scores == run_codes(found[0], codes)).all()


def test_writes_that_cannot_be(reloadable: Design, overlay_of_it: Path) -> None:
    found = other_network(reloadable, 1, 1)
    assert found is not None
    (address, word), *_ = found[1]
    assert reloadable.weights is not None
    in_use = address - int(reloadable.weights["bank_offset"])
    with open_board("sim", overlay_of_it) as board:
        for wrong in (in_use, 0x14, address + 1):
            with pytest.raises(DeviceError, match="writes must be words in bank 1"):
                board.write_weights([(wrong, word)])
        board.write_weights(found[1])
        board.swap_weights()
        with pytest.raises(DeviceError, match="writes must be words in bank 0"):
            board.write_weights(found[1])


def test_fixed_weights_stay(packaged: Path) -> None:
    with (
        open_board("sim", packaged) as board,
        pytest.raises(DeviceError, match="weights of this design are fixed"),
    ):
        board.free_bank()


# ---- rung 6


def test_rung_6_swaps_twice(reloadable: Design, board_python: Path, tmp_path: Path) -> None:
    args = {"design": str(reloadable.path), "level": "board", "count": 300, "seed": 2, "stalls": True}
    found = simulate({**args, "out": str(tmp_path)})
    assert found["mismatches"] == 0
    assert found["detail"]["swaps"] == {"swaps": 2, "words": 24}
    assert found["vectors"] == 300 + 4 * 20


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("dwell_bank_frames.v", "first ? select : current", "1'b0 & (first ? select : current)"),
        pytest.param("vector_second_weights.v", "{load_bank,", "{1'b0 & load_bank,", marks=pytest.mark.slow),
    ],
)
def test_rung_6_finds_a_bank_that_is_not_used(
    board_python: Path, tmp_path: Path, file: str, old: str, new: str
) -> None:
    design = vector_design(tmp_path / "design", options=OPTIONS)
    path = design.path / "rtl" / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    frames, _ = default_frames(load_dut(design.path, allow_edited=True), 100, 1)
    with pytest.raises(VerificationError) as raised:
        climb_board(design.path, frames, board="pynq-z2", seed=1, stalls=False, allow_edited=True)
    first = raised.value.first_mismatch
    assert first is not None
    assert first["what"] == "score"
    assert int(str(first["frame"])) >= 100  # not before weights are written
