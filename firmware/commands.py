"""What the command line calls in this room."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def package(args: Mapping[str, Any]) -> dict[str, Any]:
    """`dwell package`: `design`, `board`, `out`, `allow_edited` in; `files`, `build_digest` and more out."""
    from dwell.firmware.package.build import package_design
    from dwell.hls.design import Design

    design = Design.load(args["design"], allow_edited=bool(args.get("allow_edited", False)))
    overlay = package_design(design, str(args["board"]), Path(args["out"]))
    return {
        "overlay": str(overlay.path),
        "board": args["board"],
        "build_digest": overlay.build_digest,
        "bitstream": "simulation only: vivado/build.tcl makes a real one, and has never been run",
        "files": list(overlay.files),
    }
