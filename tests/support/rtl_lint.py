"""Verilator as a judge of style: every warning on, and none allowed."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from dwell.tools import find_tool


def lint(sources: Sequence[Path], top: str, settings: dict[str, int] | None = None) -> None:
    """Verilator with every warning on; a warning fails."""
    tool = find_tool("verilator")
    chosen = [f"-G{key}={_literal(value)}" for key, value in (settings or {}).items()]
    command = [*tool.command, "--lint-only", "-Wall", "--default-language", "1364-2005", "--top-module", top]
    done = subprocess.run(
        [*command, *chosen, *map(str, sources)],
        capture_output=True,
        text=True,
        env=tool.environment(),
        timeout=120,
    )
    assert done.returncode == 0 and "%Warning" not in done.stderr, f"{top} {settings}\n{done.stderr[-3000:]}"


def _literal(value: int) -> str:
    """A parameter; one of more than 32 bits as a hexadecimal number."""
    return str(value) if value < 1 << 31 else f"64'h{value:x}"
