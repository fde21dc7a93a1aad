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


SIMULATED_RUNG, BOARD_RUNG = 6, 7


def deploy(args: Mapping[str, Any]) -> dict[str, Any]:
    """`dwell deploy`: load `overlay` onto `board` and run the self-test that travels with it.

    Raises `VerificationError` when the board gives other scores than the golden model or a check fails,
    `DeviceError` when it refuses the overlay or does not answer.
    """
    from dwell.errors import VerificationError
    from dwell.firmware.links import open_board

    name = str(args["board"])
    with open_board(name, Path(args["overlay"])) as board:
        found = board.self_test()
        info = board.info
    failed = [check for check, good in found["checks"].items() if not good]
    if not found["ok"]:
        raise VerificationError(
            f"board '{name}' fails its self-test: {', '.join(failed)}",
            first_mismatch=found["first_mismatch"],
            hint="package the design again and deploy that",
            place=str(args["overlay"]),
        )
    return {
        "rung": SIMULATED_RUNG if name == "sim" else BOARD_RUNG,
        "ok": True,
        "board": name,
        "kind": "simulated" if name == "sim" else "board",
        "build_digest": info["build_digest"],
        "compared": found["compared"],
        "mismatches": found["mismatches"],
        "checks": found["checks"],
    }
