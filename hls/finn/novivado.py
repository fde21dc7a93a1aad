"""FINN+ without Vivado: what its import asks for, bound to something that says so when it is called."""

from __future__ import annotations

import os
from importlib import metadata
from pathlib import Path

from dwell.errors import ToolNotFoundError

VERSION = "1.6.1"


def prepare(work: Path) -> None:
    """Make `finn` importable, its build folders under `work`. Raises `ToolNotFoundError` for another version."""
    try:
        found = metadata.version("finn-plus")
    except metadata.PackageNotFoundError:
        raise ToolNotFoundError("FINN+ is not installed here", hint="dwell env sync finn") from None
    if found != VERSION:
        raise ToolNotFoundError(
            f"FINN+ {found} is installed, {VERSION} is what this was made for", hint="dwell env sync finn"
        )
    work.mkdir(parents=True, exist_ok=True)
    os.environ["FINN_BUILD_DIR"] = str(work)
    # Some estimates read the version out of this path; nothing in it is run.
    os.environ.setdefault("XILINX_VIVADO", "/none/Vivado/2024.2")
    from finn import xsi

    for name in xsi._LAZY_NAMES:  # else the first import of one looks for Vivado's simulator
        if name not in vars(xsi):
            setattr(xsi, name, _NoSimulator)
    from finn.util.settings import initialize_dummy_settings

    initialize_dummy_settings()


class _NoSimulator:
    """Stands for Vivado's simulator interface."""

    def __init__(self, *_: object) -> None:
        raise ToolNotFoundError("Vivado's simulator is not here", hint="dwell simulates with Verilator")
