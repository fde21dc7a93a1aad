"""Runs `inside/` where PYNQ is: in the environment `board`."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.rtl


def test_pynq_api_on_the_simulated_device(board_python: Path, packaged: Path) -> None:
    inside = Path(__file__).parent / "inside"
    done = subprocess.run(
        [str(board_python), "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider", str(inside),
        ],
        env={**os.environ, "DWELL_TEST_OVERLAY": str(packaged)},
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
    assert "skipped" not in done.stdout
