"""Opening an overlay: frames in, decisions and events out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pynq import Overlay

from .base import Board
from .errors import BuildMismatchError
from .frames import FrameBoard
from .pixels import PixelBoard

FORMAT = "dwell-overlay-2"
_KINDS = {"pixels": PixelBoard, "frames": FrameBoard}


def open_board(folder: Any, *, timeout_s: float = 10.0, device: Any = None) -> Board:
    """Load the overlay in `folder` and make sure that it is the one that runs.

    Raises `BuildMismatchError` for a folder that is no overlay or firmware that does not belong to it.
    """
    folder = Path(folder).resolve()
    try:
        described = json.loads((folder / "overlay.json").read_text())
    except (OSError, ValueError) as error:
        raise BuildMismatchError(
            f"{folder} is not an overlay: {error}", "give a folder that `dwell package` wrote"
        ) from error
    if described.get("format") != FORMAT or described.get("kind") not in _KINDS:
        raise BuildMismatchError(f"{folder} is not of format {FORMAT}", "package the design again")
    overlay = Overlay(str(folder / f"{described['name']}.bit"), device=device)
    board = _KINDS[described["kind"]](overlay, described, folder, timeout_s)
    board.reset()
    return board
