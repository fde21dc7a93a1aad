"""These run in the environment `board`, started by `test_inside.py`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

# Where PYNQ is absent there is nothing to collect here: `test_inside.py` runs it where PYNQ is.
collect_ignore_glob = []
try:
    import pynq  # noqa: F401
except ImportError:
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(scope="session")
def folder() -> Path:
    path = Path(os.environ["DWELL_TEST_OVERLAY"])
    sys.path.insert(0, str(path))
    return path


@pytest.fixture(scope="session")
def board(folder: Path) -> Any:
    from dwell.sim.board.serve import open_simulated

    return open_simulated(folder, timeout_s=2.0)
