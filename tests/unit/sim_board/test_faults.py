"""What goes wrong on a board is an error that says so, in time, and leaves no process."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from board_overlays import scores_of, small_design

from dwell.errors import ConfigError, DeviceError, VerificationError
from dwell.firmware.links import open_board
from dwell.hls.design import Design
from dwell.sim.board.rung import climb_board
from dwell.sim.commands import simulate
from dwell.sim.workload import Frame

pytestmark = pytest.mark.rtl


def pixels_of(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (12, 30), dtype=np.uint8)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("frames", r"frames DMA running.* after 1 s; firmware: at rest; pixels taken 0"),
        ("decisions", r"decisions DMA running.* pixels taken 360, to the network 360"),
        ("events", r"events DMA running.* after 1 s"),
    ],
)
def test_a_dma_that_never_completes(design: Design, packaged: Path, fault: str, message: str) -> None:
    frame = pixels_of(1)
    with open_board("sim", packaged, extra=("--timeout", "1")) as board:
        board.configure(0, lines=12, pixels=30)
        board.clear()
        board.simulation(fault=fault)
        started = time.monotonic()
        with pytest.raises(DeviceError, match=message):
            board.process_frame(frame)
        assert time.monotonic() - started < 10
        # The fault gone, the same board goes on.
        board.simulation(fault="none")
        board.configure(0, lines=12, pixels=30)
        assert np.array_equal(board.process_frame(frame).scores, scores_of(design.qmodel(), frame))


def test_a_board_that_is_killed(packaged: Path) -> None:
    with open_board("sim", packaged) as board:
        board.configure(0, lines=12, pixels=30)
        os.kill(board.pid, signal.SIGKILL)
        with pytest.raises(DeviceError, match=r"the board has gone: its process ended with status -9"):
            board.process_frame(pixels_of(2))
        assert not board.alive
        with pytest.raises(DeviceError, match="is closed"):
            board.counters()


def test_a_board_that_stops_answering(packaged: Path) -> None:
    with open_board("sim", packaged) as board:
        board._limit_s = 1.0
        os.kill(board.pid, signal.SIGSTOP)
        with pytest.raises(DeviceError, match="has not answered for 1 s; its process was ended"):
            board.counters()
        assert not psutil.pid_exists(board.pid)


def test_the_board_ends_with_its_user(packaged: Path) -> None:
    board = open_board("sim", packaged)
    process = psutil.Process(board.pid)
    assert board._process.stdin is not None
    board._process.stdin.close()  # what the kernel does when the user is killed
    assert process.wait(10) == 0
    board.close()


def test_memory_stays_flat(packaged: Path) -> None:
    frame = pixels_of(3)
    with open_board("sim", packaged) as board:
        board.configure(0, lines=12, pixels=30)
        board.process_frame(frame)
        process = psutil.Process(board.pid)
        free, used = board.simulation()["memory_free"], process.memory_info().rss
        for _ in range(100):
            board.process_frame(frame)
        assert board.simulation()["memory_free"] == free
        assert process.memory_info().rss - used < 4 << 20


def test_pauses_change_nothing(design: Design, packaged: Path) -> None:
    frame = pixels_of(4)
    golden = scores_of(design.qmodel(), frame)
    with open_board("sim", packaged) as board:
        board.configure(int(np.median(golden)), dead_time=2, lines=12, pixels=30)
        plain = board.process_frame(frame)
        for seed in range(4):
            board.simulation(gap=40, stall=50, seed=seed)
            found = board.process_frame(frame)
            assert np.array_equal(found.scores, golden)
            assert (
                found.events[["line", "pixel", "score"]].tolist()
                == plain.events[["line", "pixel", "score"]].tolist()
            )


def test_the_pulse_pin(packaged: Path) -> None:
    with open_board("sim", packaged) as board:
        board.configure(-(2**31), dead_time=2**32 - 1, lines=12, pixels=30, pulse_clocks=70)
        before = board.simulation()
        assert len(board.process_frame(pixels_of(5)).events) == 1
        after = board.simulation(run=200)
        assert after["pulses"] - before["pulses"] == 1
        assert after["pulse_clocks"] - before["pulse_clocks"] == 70
        board.configure(-(2**31), lines=12, pixels=30, pulse_clocks=0)
        board.process_frame(pixels_of(6))
        assert board.simulation(run=200)["pulses"] == after["pulses"]


# ---- overlays that are not what they should be


def test_a_build_digest_that_differs(overlay: Path) -> None:
    file = overlay / "overlay.json"
    described = json.loads(file.read_text())
    described["build_digest"] = "ab" * 32
    file.write_text(json.dumps(described))
    with pytest.raises(
        DeviceError, match=r"the board runs build [0-9a-f]{16}, the overlay is build abababababababab"
    ):
        open_board("sim", overlay)


@pytest.mark.parametrize("name", ["small", "hwh", "added"])
def test_files_that_do_not_belong_to_the_bitstream(overlay: Path, name: str) -> None:
    network = next(p for p in (overlay / "rtl").glob("*.v") if p.name.endswith("_overlay.v"))
    file = {"small": network, "hwh": next(overlay.glob("*.hwh")), "added": overlay / "rtl" / "more.v"}[name]
    file.write_text((file.read_text() if file.exists() else "") + "\n")
    with pytest.raises(DeviceError, match="does not belong to this overlay"):
        open_board("sim", overlay)


def test_a_bitstream_for_a_device(overlay: Path) -> None:
    file = next(overlay.glob("*.bit"))
    raw = file.read_bytes()
    mark = raw.index(b"DWELL SIMULATION ONLY, NOT")
    file.write_bytes(raw[:mark] + b"\xff" * (len(raw) - mark))
    with pytest.raises(DeviceError, match="not for a simulated board"):
        open_board("sim", overlay)


def test_another_version_of_the_registers(overlay: Path) -> None:
    trigger = overlay / "dwell_board" / "trigger.py"
    trigger.write_text(trigger.read_text().replace("MAJOR_VERSION = 2", "MAJOR_VERSION = 3"))
    with pytest.raises(DeviceError, match=r"registers are version 2\.0, this driver knows 3\.x"):
        open_board("sim", overlay)


def test_a_folder_that_is_no_overlay(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not an overlay"):
        open_board("sim", tmp_path)


def test_a_board_nobody_knows(packaged: Path) -> None:
    with pytest.raises(ConfigError, match="there is no board 'simm'") as raised:
        open_board("simm", packaged)
    assert "sim" in raised.value.hint


# ---- rung 6


def test_rung_6(design: Design, board_python: Path, tmp_path: Path) -> None:
    args = {"design": str(design.path), "level": "board", "count": 3000, "seed": 3, "stalls": True}
    found = simulate({**args, "out": str(tmp_path)})
    assert found["rung"] == 6
    assert found["mismatches"] == 0
    assert found["vectors"] >= 3000
    assert json.loads((tmp_path / "rungs" / "6.json").read_text())["ok"]


def test_rung_6_finds_a_fault_in_the_network(board_python: Path, tmp_path: Path) -> None:
    design = small_design(tmp_path / "design")
    kernel = next(path for path in design.sources if path.name.endswith("_conv2.v"))
    before, found, after = kernel.read_text().rpartition(".MINUS_B(0)")
    assert found
    kernel.write_text(f"{before}.MINUS_B(1){after}")
    frame = Frame(pixels_of(7).astype(np.int64)[..., None], "noise")
    with pytest.raises(VerificationError) as raised:
        climb_board(design.path, [frame], board="pynq-z2", seed=1, stalls=False, allow_edited=True)
    first = raised.value.first_mismatch
    assert first is not None
    assert first["what"] == "score"
    assert first["expected"] != first["found"]


@pytest.mark.parametrize(
    ("file", "old", "new", "what"),
    [
        ("dwell_trigger.v", "score >= threshold", "score > threshold", "mask"),
        ("dwell_shell.v", ".step(taken)", ".step(frame_started)", "counters"),
        pytest.param(
            "dwell_trigger.v",
            "if (trigger) quiet <= dead_time;",
            "if (trigger) quiet <= dead_time + 1;",
            "event",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "dwell_pixel_path.v",
            "out_line + OFFSET_LINE_32[15:0]",
            "out_line",
            "event",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_rung_6_finds_a_fault_in_the_firmware(
    design: Design,
    board_python: Path,
    monkeypatch: pytest.MonkeyPatch,
    file: str,
    old: str,
    new: str,
    what: str,
) -> None:
    from dwell.firmware.package import build

    whole = build._rtl

    def planted(of: Design) -> dict[str, bytes]:
        files = whole(of)
        text = files[f"rtl/{file}"].decode()
        assert old in text
        files[f"rtl/{file}"] = text.replace(old, new).encode()
        return files

    monkeypatch.setattr(build, "_rtl", planted)
    frames = [Frame(pixels_of(seed).astype(np.int64)[..., None], "noise") for seed in range(3)]
    with pytest.raises(VerificationError) as raised:
        climb_board(design.path, frames, board="pynq-z2", seed=1, stalls=False)
    assert raised.value.first_mismatch is not None
    assert raised.value.first_mismatch["what"] == what
