"""PYNQ.remote against the simulated board: PYNQ's own client in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dwell.errors import ConfigError
from dwell.sim.board.remote import start

# An address of this machine's own that nothing else in a test run uses.
ADDRESS = f"127.77.{os.getpid() % 250 + 1}.1"
CLIENT = """
import json, sys
sys.path.insert(0, sys.argv[1])
import pynq
from dwell_board.board import open_board
board = open_board(sys.argv[1])
found = board.self_test()
found["device"] = type(board.overlay.device).__name__
try:
    pynq.MMIO(0x50000000, 16).read(0)
except RuntimeError as error:
    found["wrong_address"] = str(error)
board.close()
print(json.dumps(found))
"""


@pytest.fixture
def served(folder: Path) -> Iterator[Path]:
    server = subprocess.Popen(
        [sys.executable, "-P", "-m", "dwell.sim.board.remote", str(folder),
         "--address", ADDRESS, "--while-input"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert server.stdout is not None
    assert server.stdin is not None
    assert "serving" in server.stdout.readline()
    yield folder
    server.stdin.close()
    assert server.wait(20) == 0


def run_client(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-c", CLIENT, str(folder)],
        env={**os.environ, "PYNQ_REMOTE_DEVICES": ADDRESS},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


def test_the_driver_runs_over_pynq_remote(served: Path) -> None:
    done = run_client(served)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["ok"], found
    assert found["device"] == "RemoteDevice"
    assert "DECERR" in found["wrong_address"]


def test_another_bitstream_is_refused(served: Path, tmp_path: Path) -> None:
    import shutil

    other = Path(shutil.copytree(served, tmp_path / "other"))
    bit = next(other.glob("*.bit"))
    bit.write_bytes(bit.read_bytes()[:-4] + b"\n\n\n ")
    done = run_client(other)
    assert done.returncode != 0
    assert "is not the bitstream of the overlay that this board simulates" in done.stderr


def test_only_this_machine_can_reach_it(folder: Path) -> None:
    with pytest.raises(ConfigError, match="can be reached from outside"):
        start(folder, "0.0.0.0")
