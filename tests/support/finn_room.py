"""What tests of the back end `finn` share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dwell.commands import run_command
from dwell.environments.locate import locate
from dwell.environments.lock import read_lock
from dwell.progress import reporter

PART = "xc7z020clg400-1"
needs_finn = pytest.mark.skipif(
    not locate(read_lock("finn")).ready, reason="environment finn: dwell env sync finn"
)


def generate(network: Path, out: Path, **more: Any) -> dict[str, Any]:
    """FINN's part of a conversion, in its own environment."""
    args = {"model": str(network), "out": str(out), "part": PART, "clock_mhz": 100.0, "target_fps": 200_000}
    with reporter(quiet=True) as report:
        return run_command(
            "finn", "dwell.hls.finn.generate:generate", args | more, report, environment="finn"
        )
