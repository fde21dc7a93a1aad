"""Where the logs of commands that belong to no project are kept."""

from __future__ import annotations

import os
import time
from pathlib import Path

import platformdirs

_KEPT = 50


def log_folder() -> Path:
    """`$DWELL_LOGS`, or the user's log folder."""
    chosen = os.environ.get("DWELL_LOGS")
    return Path(chosen).expanduser().resolve() if chosen else Path(platformdirs.user_log_dir("dwell"))


def new_log(name: str) -> Path:
    """A path for a new log; the oldest logs are removed."""
    folder = log_folder()
    folder.mkdir(parents=True, exist_ok=True)
    logs = sorted(folder.glob("*.log"), key=lambda path: path.stat().st_mtime)
    for old in logs[:-_KEPT]:
        old.unlink(missing_ok=True)
    return folder / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"
