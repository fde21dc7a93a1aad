"""Children that end when they have to."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dwell.sim.process import CANNOT_START, run_child


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def _wait_dead(pid: int, seconds: float = 10.0) -> bool:
    limit = time.monotonic() + seconds
    while _alive(pid) and time.monotonic() < limit:
        time.sleep(0.05)
    return not _alive(pid)


def _wait_file(path: Path, seconds: float = 20.0) -> int:
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        if path.exists() and path.read_text().strip():
            return int(path.read_text())
        time.sleep(0.05)
    raise AssertionError(f"{path} did not come")


def _grandparent(pids: Path) -> list[str]:
    """A shell that starts a child of its own, as make does, and waits for it."""
    return ["sh", "-c", f"sleep 300 & echo $! > {pids}; wait"]


def test_status_and_output_come_back(tmp_path: Path) -> None:
    log, lines = tmp_path / "log", list[str]()
    done = run_child(
        ["sh", "-c", "echo one; echo two >&2; exit 3"], log=log, timeout_s=20, on_line=lines.append
    )
    assert (done.status, done.timed_out) == (3, False)
    assert lines == ["one", "two"]
    assert log.read_text() == "one\ntwo\n"


def test_a_signal_is_told(tmp_path: Path) -> None:
    done = run_child(["sh", "-c", "kill -SEGV $$"], log=tmp_path / "log", timeout_s=20)
    assert done.status == 128 + signal.SIGSEGV


def test_a_missing_program_is_told(tmp_path: Path) -> None:
    done = run_child([str(tmp_path / "absent")], log=tmp_path / "log", timeout_s=20)
    assert done.status == CANNOT_START
    assert "absent" in (tmp_path / "log").read_text()


def test_past_the_limit_all_descendants_are_killed(tmp_path: Path) -> None:
    pids = tmp_path / "pid"
    done = run_child(_grandparent(pids), log=tmp_path / "log", timeout_s=1.0)
    assert done.timed_out
    assert _wait_dead(int(pids.read_text()))


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_descendants_die_with_the_caller(tmp_path: Path, how: signal.Signals) -> None:
    pids = tmp_path / "pid"
    program = (
        "from pathlib import Path; from dwell.sim.process import run_child; "
        f"run_child({_grandparent(pids)!r}, log=Path({str(tmp_path / 'log')!r}), timeout_s=300)"
    )
    caller = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.DEVNULL)
    child = _wait_file(pids)
    assert _alive(child)
    os.kill(caller.pid, how)
    caller.wait(20)
    assert _wait_dead(child)
