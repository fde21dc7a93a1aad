"""Processes that end with their owner, and trees that are killed whole."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from dwell.guard import guarded
from dwell.processes import ProcessIdentity, kill_tree

pytestmark = pytest.mark.fast

_OWNER = """
import subprocess, sys
from dwell.guard import guarded
subprocess.run(guarded(["bash", "-c", "setsid sleep 1000 & echo $! > $0; sleep 1000", sys.argv[1]]))
"""


def _read_pid(path: Path) -> int:
    deadline = time.monotonic() + 20
    while not (path.exists() and path.read_text().strip()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return int(path.read_text())


def test_a_guarded_command_dies_with_its_owner(tmp_path: Path) -> None:
    owner = subprocess.Popen([sys.executable, "-c", _OWNER, str(tmp_path / "pid")])
    _read_pid(tmp_path / "pid")
    below = psutil.Process(owner.pid).children(recursive=True)
    assert len(below) >= 3
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    _, alive = psutil.wait_procs(below, timeout=5.0)
    assert not [p for p in alive if p.status() != psutil.STATUS_ZOMBIE]


def test_a_guard_gives_its_command_s_code_and_leaves_nothing(tmp_path: Path) -> None:
    script = "setsid sleep 1000 & echo $! > $0; exit 3"
    done = subprocess.run(guarded(["bash", "-c", script, str(tmp_path / "pid")]), check=False)
    assert done.returncode == 3
    assert not psutil.pid_exists(_read_pid(tmp_path / "pid"))


def test_a_tree_is_killed_whole(tmp_path: Path) -> None:
    script = "(sleep 1000 & sleep 1000) & echo $$ > $0; while true; do sleep 0.01; done"
    root = subprocess.Popen(["bash", "-c", script, str(tmp_path / "pid")])
    _read_pid(tmp_path / "pid")
    below = psutil.Process(root.pid).children(recursive=True)
    kill_tree(root.pid)
    assert root.wait() == -signal.SIGKILL
    assert not [p for p in below if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
    kill_tree(root.pid)  # gone already: nothing to do


def test_a_process_is_known_by_more_than_its_number() -> None:
    me = ProcessIdentity.current()
    assert me.alive()
    assert ProcessIdentity.from_json(me.to_json()) == me
    assert not ProcessIdentity(os.getpid(), me.started - 10).alive()
    short = subprocess.Popen(["true"])
    started = psutil.Process(short.pid).create_time()
    time.sleep(0.1)
    assert not ProcessIdentity(short.pid, started).alive()  # a zombie
    short.wait()
    assert not ProcessIdentity(short.pid, started).alive()
