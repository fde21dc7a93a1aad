"""Writes what comes from `dwell_shell.rdl`: `python -m dwell.firmware.registers.generate [--check]`.

`--check` writes nothing and ends with status 1 if a file is not what it would write.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from dwell.firmware.registers.constants import c_header, page, python
from dwell.firmware.registers.verilog import verilog

_FIRMWARE = Path(__file__).resolve().parent.parent
SOURCE = _FIRMWARE / "registers" / "dwell_shell.rdl"


def generated() -> dict[Path, str]:
    """Every generated file with its text. Raises `ConfigError` if the source cannot be read."""
    from dwell.firmware.registers.read_rdl import read_rdl

    regs = read_rdl(SOURCE)
    files = {
        _FIRMWARE / "rtl" / "dwell_registers.v": verilog(regs),
        _FIRMWARE / "driver" / "registers.py": python(regs),
        _FIRMWARE / "registers" / "dwell_registers.h": c_header(regs),
        _FIRMWARE / "registers" / "registers.md": page(regs),
    }
    docs = _FIRMWARE.parent / "docs" / "reference"
    return {**files, docs / "registers.md": page(regs)} if docs.is_dir() else files


def stale() -> list[Path]:
    """The files that are not what the source gives."""
    return [path for path, text in generated().items() if not path.is_file() or path.read_text() != text]


def main(argv: Sequence[str] | None = None) -> int:
    """The command line of this module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say which files are stale")
    if parser.parse_args(argv).check:
        old = stale()
        for path in old:
            sys.stderr.write(f"{path} is stale: run `python -m dwell.firmware.registers.generate`\n")
        return 1 if old else 0
    for path, text in generated().items():
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
