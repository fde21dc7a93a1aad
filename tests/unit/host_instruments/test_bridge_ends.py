"""However a run of the bridge ends: the beam is blanked, the record can be read, no process is left."""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest

from dwell.errors import ResourceError
from dwell.hls.qmodel import QModel, run_codes, save_model
from dwell.host.bridge.headroom import MARGIN_BYTES, STEP_BYTES, Headroom
from dwell.host.bridge.record import Record, open_record

Detector = tuple[QModel, int]
PROGRAM = Path(__file__).parent / "experiment.py"


class Run:
    """The program, started; `say` waits for its next word."""

    def __init__(self, arguments: list[str], limit_bytes: int | None = None) -> None:
        def starve() -> None:
            if limit_bytes is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))

        self.record = Path(arguments[4])
        self.process = subprocess.Popen(
            [sys.executable, str(PROGRAM), *arguments], stdout=subprocess.PIPE, text=True, preexec_fn=starve
        )
        self.say()

    def say(self) -> dict[str, object]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        return json.loads(line) if line else {}

    def wait_for_rows(self, rows: int) -> None:
        """Until so many rows are in the record, which is read while it is written."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if self.record.exists():
                try:
                    if open_record(self.record).counters["rows"] >= rows:
                        return
                except Exception:  # not laid out yet
                    time.sleep(0.01)
            time.sleep(0.02)
        raise AssertionError("no rows came")


@pytest.fixture
def start(scope_python: Path, certificates: Path, detector: Detector, tmp_path: Path) -> Callable[..., Run]:
    save_model(detector[0], tmp_path / "model")

    def run(frames: int, *, record: Path | None = None, limit_bytes: int | None = None) -> Run:
        path = record or tmp_path / "run.h5"
        return Run(
            [
                str(scope_python),
                str(certificates),
                str(tmp_path / "model"),
                str(detector[1]),
                str(path),
                str(frames),
            ],
            limit_bytes,
        )

    return run


def _gone(pid: int) -> bool:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.05)
    return False


def _is_whole(record: Record, detector: Detector) -> None:
    """Rows without a hole, and every event that the recorded rows make, up to where the record ends."""
    flat = record.row_state.ravel()
    rows = int((flat == 1).sum())
    assert (flat[:rows] == 1).all() and (flat[rows:] == 0).all()
    lines = record.row_state.shape[1]
    found = []
    for frame in range(len(record.pixels)):
        scanned = int((record.row_state[frame] == 1).sum())
        if scanned >= 11:
            scores = run_codes(detector[0], record.pixels[frame, :scanned, :, None][None].astype(np.int64))[
                0, :, :, 0
            ]
            found += [(frame, y + 5, x + 5, int(scores[y, x])) for y, x in np.argwhere(scores >= detector[1])]
    recorded = [tuple(int(n) for n in row.tolist()[:4]) for row in record.events]
    assert recorded == found and lines == 96


def test_kill_9_leaves_a_readable_record_and_no_microscope(
    start: Callable[..., Run], detector: Detector
) -> None:
    run = start(50)
    microscope = int(run.say()["microscope"])  # type: ignore[call-overload]
    run.wait_for_rows(150)
    run.process.kill()
    run.process.wait()
    assert _gone(microscope)
    record = open_record(run.record)
    assert record.status == "running" and record.counters["rows"] >= 150
    _is_whole(record, detector)
    assert len(record.commands) == len(record.spectra) > 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_a_run_in_good_order(
    start: Callable[..., Run], detector: Detector, number: signal.Signals
) -> None:
    run = start(50)
    microscope = int(run.say()["microscope"])  # type: ignore[call-overload]
    run.wait_for_rows(50)
    run.process.send_signal(number)
    last = run.say()
    assert run.process.wait(20) == 0 and _gone(microscope)
    assert last["stopped"] == "stopped: asked to" and last["blanked"] == [True]
    record = open_record(run.record)
    assert record.status == "stopped: asked to"
    assert record.counters["pixels_in"] == record.counters["pixels_decided"] == 96 * record.counters["rows"]
    assert record.counters["triggers"] == record.counters["events_recorded"] == len(record.events)
    _is_whole(record, detector)


@pytest.mark.parametrize("delay_s", [0.0, 1.5, 3.2])
def test_ctrl_c_at_any_moment(start: Callable[..., Run], delay_s: float) -> None:
    """While the microscope starts, connects, begins to scan: it ends by itself and nothing is left."""
    run = start(50)
    time.sleep(delay_s)
    run.process.send_signal(signal.SIGINT)
    words = []
    while word := run.say():
        words.append(word)
    assert run.process.wait(20) == 0
    assert words[-1]["blanked"] == [True] and words[-1]["stopped"] == "stopped: asked to"
    assert _gone(int(words[0]["microscope"]))  # type: ignore[call-overload]
    assert open_record(run.record).status == "stopped: asked to"


def test_a_full_disk_ends_a_run_in_good_order(start: Callable[..., Run], detector: Detector) -> None:
    """The file may grow so far and no farther: the run stops before a write fails, and what was scanned is
    there.
    """
    run = start(3000, limit_bytes=MARGIN_BYTES + STEP_BYTES + (1 << 20))
    microscope = int(run.say()["microscope"])  # type: ignore[call-overload]
    last = run.say()
    assert run.process.wait(20) == 0 and _gone(microscope)
    assert last["error"] == "resource" and "no room for the record" in str(last["message"])
    assert last["blanked"] == [True]
    record = open_record(run.record)
    assert "no room" in record.status and record.counters["rows"] > 0
    _is_whole(record, detector)


def test_no_room_at_the_start_is_an_error_before_the_beam_is_on(start: Callable[..., Run]) -> None:
    run = start(5, limit_bytes=1 << 20)
    run.say()
    last = run.say()
    run.process.wait(20)
    assert last["error"] == "resource" and last["blanked"] == [True] and not run.record.exists()


def test_headroom_is_met_before_it_is_needed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 100)
    room = Headroom(path, 100)
    assert path.stat().st_blocks * 512 >= MARGIN_BYTES + STEP_BYTES
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size, before[1]))
    try:
        with pytest.raises(ResourceError, match="no room"):
            room.ensure(STEP_BYTES, MARGIN_BYTES)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    room.close(100)
    assert path.read_bytes() == b"x" * 100
