"""The tools that simulations are built with: `dwell.tools` finds them, this adds what only builders ask."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from dwell.errors import ToolNotFoundError
from dwell.tools import Tool, find_tool


@dataclass(frozen=True)
class Verilator:
    """A Verilator good enough for us, and the folder that holds its `include/`."""

    tool: Tool
    root: Path

    @property
    def version(self) -> str:
        """As Verilator writes it, 5.048."""
        return self.tool.version

    @property
    def label(self) -> str:
        """How results name it."""
        return f"Verilator {self.tool.version}"

    def environment(self) -> dict[str, str]:
        """The environment to call it in, and to run `make` on what it writes."""
        return {**self.tool.environment(), "VERILATOR_ROOT": str(self.root)}


@dataclass(frozen=True)
class Compiler:
    """The C++ compiler and make."""

    path: str
    make: str
    version: str


def find_verilator() -> Verilator:
    """Verilator with its root folder. Raises `ToolNotFoundError` if it is missing or too old."""
    tool = find_tool("verilator")
    root = tool.environ.get("VERILATOR_ROOT") or _root_of(tool)
    if not (Path(root) / "include" / "verilated.cpp").is_file():
        raise ToolNotFoundError(
            f"{tool.path} is a Verilator whose library is not in {root}",
            hint="set VERILATOR_ROOT, or unset it if it points to another Verilator",
            place=str(tool.path),
        )
    return Verilator(tool, Path(root))


def find_compiler() -> Compiler:
    """g++ and make. Raises `ToolNotFoundError` if one is missing."""
    compiler, make = find_tool("g++"), find_tool("make")
    return Compiler(str(compiler.path), str(make.path), compiler.version)


def find_icarus() -> Tool | None:
    """Icarus Verilog, None where it is absent."""
    try:
        return find_tool("iverilog")
    except ToolNotFoundError:
        return None


def _root_of(tool: Tool) -> str:
    try:
        done = subprocess.run(
            [*tool.command, "-V"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    # The list names the built-in folder and then the environment's; the last one that says something counts.
    found: list[str] = re.findall(r"VERILATOR_ROOT\s*=\s*(\S+)", done.stdout)
    return os.environ.get("VERILATOR_ROOT") or (found[-1] if found else "")
