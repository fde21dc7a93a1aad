"""Running AMD's tools, which take a Tcl file and leave reports: to the end, or stopped with all they started."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from dwell.errors import ToolFailedError
from dwell.guard import guarded
from dwell.processes import kill_tree
from dwell.tools import Tool

TIMEOUT_S = 6 * 3600.0
"""A run that takes longer is given up."""


def run_tool(
    tool: Tool, arguments: Sequence[str], *, folder: Path, log: Path, timeout_s: float = TIMEOUT_S
) -> None:
    """Run `tool` in `folder`; all it says goes to `log`.

    Raises `ToolFailedError` for a non-zero exit or a run longer than `timeout_s`.
    """
    with log.open("ab") as stream:
        process = subprocess.Popen(
            guarded([*tool.command, *arguments]),
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=tool.environment(),
            start_new_session=True,
        )
        try:
            status = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            hint = f"it was stopped after {timeout_s:.0f} s; its log is {log}"
            raise ToolFailedError(tool.name, log=log, tail=tail_of(log), hint=hint) from None
        finally:
            kill_tree(process.pid)
            process.wait()
    if status != 0:
        raise ToolFailedError(tool.name, log=log, tail=tail_of(log), hint=f"exit status {status}; see {log}")


def tail_of(log: Path, lines: int = 20) -> str:
    """The end of a log."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
