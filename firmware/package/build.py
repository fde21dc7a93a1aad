"""Writes an overlay folder."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata, resources
from pathlib import Path

from dwell.artifact import json_digest, write_atomic_dir
from dwell.errors import ConfigError
from dwell.firmware.boards import Board, System
from dwell.firmware.package.bitfile import simulation_bit
from dwell.firmware.package.describe import FORMAT, describe
from dwell.firmware.package.fusesoc import core_file
from dwell.firmware.package.hwh import hwh, regions
from dwell.firmware.package.plan import ShellPlan, plan_shell
from dwell.firmware.package.selftest import self_test_vectors
from dwell.firmware.package.top import top_module
from dwell.firmware.package.vivado import build_tcl, pins_xdc
from dwell.hls.design import Design
from dwell.plugins import load_plugin

DRIVER = "dwell_board"
"""The name of the driver's package in an overlay."""


@dataclass(frozen=True)
class Overlay:
    """What was written: `files` relative to `path`, `build_digest` in hexadecimal (SHA-256)."""

    path: Path
    name: str
    files: tuple[str, ...]
    build_digest: str


def package_design(design: Design, board_name: str, out: Path) -> Overlay:
    """Write the overlay of a design into `out`, whole or not at all; what was there before is replaced.

    Raises `ConfigError` for an unknown board, a design that the shell cannot carry, or a folder `out` that
    holds something else.
    """
    board: Board = load_plugin("dwell.boards", board_name, place="--board")()
    if board.system is None:
        raise ConfigError(
            f"board '{board_name}' has no [system]", hint="only synthesis knows it so far", place="--board"
        )
    plan = plan_shell(design)
    for block, _, _ in regions(plan):
        if block not in board.system.addresses:
            raise ConfigError(
                f"board '{board_name}' has no address for '{block}'",
                hint="add it to [system.addresses] of the board's file",
                place="--board",
            )
    _check_free(out)
    files = overlay_files(design, plan, board, board.system)
    with write_atomic_dir(out) as folder:
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    digest = json.loads(files["overlay.json"])["build_digest"]
    return Overlay(out, design.name, tuple(sorted(files)), digest)


def overlay_files(design: Design, plan: ShellPlan, board: Board, system: System) -> dict[str, bytes]:
    """Every file of the overlay by its name."""
    hand_off = hwh(plan, system)
    rtl = _rtl(design)
    driver = _driver()
    release = metadata.version("dwell")
    digest = json_digest(
        {
            "format": FORMAT,
            "dwell": release,
            "board": board.name,
            "rtl": _digests(rtl),
            "top": _sha256(top_module(plan, "0" * 32).encode()),
            "hwh": _sha256(hand_off.encode()),
            "driver": _digests(driver),
        }
    )
    rtl[f"rtl/{plan.top}.v"] = top_module(plan, digest).encode()
    sources = sorted(rtl)
    marks: dict[str, object] = {
        "build_digest": digest,
        "top": plan.top,
        "hwh": _sha256(hand_off.encode()),
        "rtl": _digests(rtl),
    }
    described = describe(design, plan, board, digest, release)
    texts = {
        f"{design.name}.hwh": hand_off,
        f"{design.name}.core": core_file(plan, board, release, sources),
        "overlay.json": json.dumps(described, indent=1, sort_keys=True) + "\n",
        "vivado/build.tcl": build_tcl(plan, board, system, design.name, sources),
        "vivado/pins.xdc": pins_xdc(system),
        "README.md": _readme(design, board),
    }
    return {
        **{name: text.encode() for name, text in texts.items()},
        **rtl,
        **driver,
        f"{design.name}.bit": simulation_bit(plan.top, system, marks),
        "include/dwell_registers.h": _resource("registers", "dwell_registers.h"),
        "docs/registers.md": _resource("registers", "registers.md"),
        "self_test.npz": self_test_vectors(design.qmodel(), plan),
    }


def _rtl(design: Design) -> dict[str, bytes]:
    """The network's Verilog and the shell's. Raises `ConfigError` where both define a module."""
    files = {f"rtl/{path.name}": path.read_bytes() for path in design.sources}
    owner = {module: name for name, text in files.items() for module in _modules(text)}
    folder = resources.files("dwell.firmware.rtl")
    for entry in sorted(folder.iterdir(), key=lambda e: e.name):
        if not entry.name.endswith(".v"):
            continue
        text = entry.read_bytes()
        for module in _modules(text):
            if module in owner:
                raise ConfigError(
                    f"module {module} is in the design and in the shell",
                    hint="give the network another name",
                    place=owner[module],
                )
        files[f"rtl/{entry.name}"] = text
    return files


def _modules(text: bytes) -> list[str]:
    return re.findall(r"^\s*module\s+(\w+)", text.decode(), re.MULTILINE)


def _driver() -> dict[str, bytes]:
    folder = resources.files("dwell.firmware.driver")
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".py"))
    return {f"{DRIVER}/{name}": folder.joinpath(name).read_bytes() for name in names}


def _readme(design: Design, board: Board) -> str:
    return f"""# Overlay {design.name} for {board.title}

- `{design.name}.bit` is **not a bitstream**: only a simulated board takes it. `vivado/build.tcl` makes a real
  one (and a `.hwh`); that script has never been run.
- `dwell_board/` is the driver: PYNQ, NumPy and the standard library, Python 3.10 or newer.
- `rtl/`, `{design.name}.core`: the Verilog, and a FuseSoC description of it.
- `docs/registers.md`, `include/dwell_registers.h`: the registers.
- `self_test.npz`: a frame and the scores that the golden model gives for it.
"""


def _check_free(out: Path) -> None:
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / "overlay.json").is_file())):
        raise ConfigError(
            f"{out} is there already and is no overlay", hint="give another --out", place=str(out)
        )


def _resource(package: str, name: str) -> bytes:
    return resources.files(f"dwell.firmware.{package}").joinpath(name).read_bytes()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _digests(files: Mapping[str, bytes]) -> dict[str, str]:
    return {name: _sha256(content) for name, content in sorted(files.items())}
