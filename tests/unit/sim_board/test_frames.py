"""Overlays of kind "frames" on the simulated board: what goes wrong, and that rung 6 finds it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from board_overlays import map_design, overlay_of

from dwell.errors import DeviceError, DwellError, VerificationError
from dwell.firmware.commands import deploy
from dwell.firmware.links import open_board
from dwell.hls.design import Design
from dwell.hls.qmodel import run_codes
from dwell.sim.board.rung import climb_board
from dwell.sim.commands import simulate
from dwell.sim.dut import load_dut
from dwell.sim.vectors import default_frames

pytestmark = pytest.mark.rtl

Planted = Callable[[str, str, str], None]


@pytest.fixture(scope="module")
def maps(tmp_path_factory: pytest.TempPathFactory) -> Design:
    return map_design(tmp_path_factory.mktemp("frames") / "design")


@pytest.fixture(scope="module")
def overlay_of_maps(maps: Design, board_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return overlay_of(maps, tmp_path_factory.mktemp("frames") / "overlay")


def some_frames(design: Design, count: int = 4) -> np.ndarray:
    kind = design.input.type
    shape = (count, *design.input.shape)
    return np.random.default_rng(count).integers(kind.lo, kind.hi, shape, endpoint=True)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (
            "frames",
            r"frames DMA running.*decisions DMA running.* after 1 s; firmware: at rest; beats taken 0",
        ),
        ("decisions", r"decisions DMA running.* beats taken [0-9]+, to the network [0-9]+, decisions [0-9]+"),
        ("events", r"events DMA running.* after 1 s; firmware: .*beats taken 432"),
    ],
)
def test_a_dma_that_never_completes(maps: Design, overlay_of_maps: Path, fault: str, message: str) -> None:
    codes = some_frames(maps)
    golden = run_codes(maps.qmodel(), codes)
    with open_board("sim", overlay_of_maps, extra=("--timeout", "1")) as board:
        board.configure(10, select=1)
        board.clear()
        board.simulation(fault=fault)
        started = time.monotonic()
        with pytest.raises(DeviceError, match=message):
            board.process_frames(codes)
        assert time.monotonic() - started < 10
        board.simulation(fault="none")
        found = board.process_frames(codes)  # the settings are still there
        assert np.array_equal(found.scores, golden)
        assert np.array_equal(found.mask, golden[..., 1] >= 10)


def test_pauses_change_nothing(maps: Design, overlay_of_maps: Path) -> None:
    codes = some_frames(maps, 8)
    golden = run_codes(maps.qmodel(), codes)
    with open_board("sim", overlay_of_maps) as board:
        board.configure(int(np.median(golden[..., 2])), dead_time=2, select=2, class_trigger=True)
        plain = board.process_frames(codes)
        for seed in range(4):
            board.simulation(gap=40, stall=50, seed=seed)
            found = board.process_frames(codes)
            assert np.array_equal(found.scores, golden)
            names = ["line", "pixel", "score"]
            assert found.events[names].tolist() == plain.events[names].tolist()


def test_more_frames_than_go_in_one_transfer(maps: Design, overlay_of_maps: Path, tmp_path: Path) -> None:
    driver = overlay_of_maps / "dwell_board" / "frames.py"
    text = driver.read_text()
    assert "_MOST_BYTES = 1 << 20" in text
    try:  # three frames of 216 bytes a transfer
        driver.write_text(text.replace("_MOST_BYTES = 1 << 20", "_MOST_BYTES = 700"))
        codes = some_frames(maps, 10)
        golden = run_codes(maps.qmodel(), codes)
        with open_board("sim", overlay_of_maps) as board:
            board.configure(int(golden.min()))
            board.clear()
            found = board.process_frames(codes)
            assert np.array_equal(found.scores, golden)
            assert found.events["frame"].tolist() == np.repeat(np.arange(10), 20).tolist()
    finally:
        driver.write_text(text)


def test_an_overlay_that_does_not_describe_its_firmware(overlay_of_maps: Path) -> None:
    file = overlay_of_maps / "overlay.json"
    text = file.read_text()
    described = json.loads(text)
    described["output"]["shape"] = [4, 4, 3]
    try:
        file.write_text(json.dumps(described))
        with pytest.raises(DeviceError, match="the firmware has 4 x 5 decisions, not 16"):
            open_board("sim", overlay_of_maps)
    finally:
        file.write_text(text)


def test_deploy(maps: Design, overlay_of_maps: Path) -> None:
    found = deploy({"overlay": str(overlay_of_maps), "board": "sim"})
    assert found["ok"]
    assert found["kind"] == "simulated"
    assert found["compared"] == 2 * 2 * 20  # two settings, two frames
    assert found["mismatches"] == 0


def test_deploy_finds_a_golden_frame_that_is_not(overlay_of_maps: Path) -> None:
    file = overlay_of_maps / "self_test.npz"
    whole = file.read_bytes()
    vectors = dict(np.load(file))
    vectors["scores"][1, 2, 3, 0] += 1
    try:
        np.savez(file, **vectors)
        with pytest.raises(VerificationError, match="fails its self-test: scores") as raised:
            deploy({"overlay": str(overlay_of_maps), "board": "sim"})
        assert raised.value.first_mismatch is not None
        assert raised.value.first_mismatch["place"] == [2, 3, 0]
    finally:
        file.write_bytes(whole)


# ---- rung 6


def test_rung_6(maps: Design, board_python: Path, tmp_path: Path) -> None:
    args = {"design": str(maps.path), "level": "board", "count": 4000, "seed": 3, "stalls": True}
    found = simulate({**args, "out": str(tmp_path)})
    assert found["rung"] == 6
    assert found["mismatches"] == 0
    assert found["vectors"] >= 4000
    assert found["detail"]["kind"] == "frames"
    assert found["detail"]["rounds"] >= 6
    assert json.loads((tmp_path / "rungs" / "6.json").read_text())["ok"]


def climb(design: Path, *, allow_edited: bool = False) -> None:
    frames, _ = default_frames(load_dut(design, allow_edited=allow_edited), 800, 1)
    climb_board(design, frames, board="pynq-z2", seed=1, stalls=False, allow_edited=allow_edited)


def test_rung_6_finds_a_changed_weight(board_python: Path, tmp_path: Path) -> None:
    design = map_design(tmp_path / "design")
    kernel = next(path for path in design.sources if ".MINUS_B(0)" in path.read_text())
    before, found, after = kernel.read_text().rpartition(".MINUS_B(0)")
    assert found
    kernel.write_text(f"{before}.MINUS_B(1){after}")
    with pytest.raises(VerificationError) as raised:
        climb(design.path, allow_edited=True)
    first = raised.value.first_mismatch
    assert first is not None
    assert first["what"] == "score"
    assert first["expected"] != first["found"]
    assert {"frame", "line", "pixel", "element", "origin"} <= first.keys()


@pytest.fixture
def plant(monkeypatch: pytest.MonkeyPatch) -> Planted:
    """Change one place of the shell's Verilog in every overlay that is packaged."""
    from dwell.firmware.package import build

    whole = build._rtl

    def change(file: str, old: str, new: str) -> None:
        def planted(of: Design) -> dict[str, bytes]:
            files = whole(of)
            text = files[f"rtl/{file}"].decode()
            assert len(re.findall(re.escape(old), text)) == 1, old
            files[f"rtl/{file}"] = text.replace(old, new).encode()
            return files

        monkeypatch.setattr(build, "_rtl", planted)

    return change


PATH, LARGER = "dwell_frame_path.v", "dwell_larger.v"
FAULTS = {
    "a decision is lost": (
        PATH, "(net_m_axis_tuser | going);", "(net_m_axis_tuser | going) & ~(line == 2 & pixel == 1);",
        "decisions: DMA stopped with internal error|bytes of decisions came where",
    ),
    "an event lies elsewhere": (PATH, "at_pixel       = pixel;", "at_pixel       = line;", "events: "),
    "an event is of another frame": (PATH, "- {16'd0, flying};", "- {16'd0, flying} + 32'd1;", "events: "),
    "the largest need not be the largest": (PATH, "(largest | ~class_trigger)", "1'b1", "in mask"),
    "the last of equals is the largest": (LARGER, "b > a;", "b >= a;", "in mask"),
    "every beat of a result counts as lost": (
        PATH, "assign lost     = decision & unsent;", "assign lost = scored;", "counters",
    ),
}  # fmt: skip
QUICK = ("a decision is lost", "an event lies elsewhere")


@pytest.mark.parametrize(
    "fault", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in FAULTS]
)
def test_rung_6_finds_a_fault_in_the_firmware(
    maps: Design, board_python: Path, plant: Planted, fault: str
) -> None:
    file, old, new, what = FAULTS[fault]
    plant(file, old, new)
    with pytest.raises(DwellError) as raised:
        climb(maps.path)
    assert re.search(what, raised.value.message)
