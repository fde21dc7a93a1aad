"""A loaded overlay behind two pipes: `python3 -m dwell_board.server FOLDER`.

Requests come on standard input, replies go to standard output; what anything prints goes to standard error.
The process ends when its input does.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from .errors import BoardError
from .framing import ProtocolError, pack, unpack

Reply = "tuple[dict[str, Any], dict[str, np.ndarray]]"


def own_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Standard input and output as binary files of our own; prints go to standard error from now on."""
    source = os.fdopen(os.dup(0), "rb", buffering=0)
    sink = os.fdopen(os.dup(1), "wb", buffering=0)
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    os.dup2(2, 1)
    return source, sink


def serve(source: BinaryIO, sink: BinaryIO, open_it: Any) -> int:
    """Answer requests until the input ends or `close` comes; returns the exit status.

    `open_it()` opens the board.
    """

    def read(count: int) -> bytes:
        parts = []
        while count:
            part = source.read(count)
            if not part:
                raise EOFError
            parts.append(part)
            count -= len(part)
        return b"".join(parts)

    def write(head: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        view = memoryview(pack(head, arrays))
        while view:
            view = view[sink.write(view) :]

    try:
        board = open_it()
    except Exception as error:
        write(_failure(error), {})
        return 1
    write({"ok": True, "info": {**board.described, "geometry": board.geometry}}, {})
    while True:
        try:
            head, arrays = unpack(read)
        except EOFError:
            return 0
        except ProtocolError as error:
            write(_failure(error), {})
            return 1
        started = time.perf_counter()
        try:
            value, out = _answer(board, str(head.get("do")), dict(head.get("with", {})), arrays)
            reply = {"ok": True, "value": value, "seconds": time.perf_counter() - started}
        except Exception as error:
            reply, out = _failure(error), {}
        write(reply, out)
        if head.get("do") == "close":
            return 0


def _failure(error: Exception) -> dict[str, Any]:
    if isinstance(error, BoardError):
        return {"ok": False, "code": error.code, "message": error.message, "hint": error.hint}
    return {"ok": False, "code": "unexpected", "message": f"{type(error).__name__}: {error}", "hint": ""}


def _answer(board: Any, what: str, options: dict[str, Any], arrays: dict[str, np.ndarray]) -> Any:
    if what == "configure":
        board.configure(**options)
        return None, {}
    if what in ("process_frame", "process_frames", "send_rows") and hasattr(board, what):
        found = getattr(board, what)(arrays["frames"])
        if what == "send_rows":
            return None, {"events": found}
        return None, {"scores": found.scores, "mask": found.mask, "events": found.events}
    if what == "events":
        return None, {"events": board.events()}
    if what == "write_weights":
        board.write_weights(arrays["writes"])
        return None, {}
    if what in ("counters", "self_test", "free_bank", "swap_weights"):
        return getattr(board, what)(), {}
    if what in ("clear", "reset", "start_frame", "close") and hasattr(board, what):
        getattr(board, what)()
        return None, {}
    if what == "simulation" and hasattr(board.overlay.device, "simulation"):
        return board.overlay.device.simulation(**options), {}
    raise BoardError(
        f"a board of kind {board.kind} cannot '{what}'",
        "the overlay is of the other kind, or the client is newer than the overlay",
    )


def main(arguments: list[str]) -> int:
    """Serve the overlay in `arguments[0]`, this package's own folder by default."""
    source, sink = own_pipes()

    def open_it() -> Any:
        from .board import open_board

        return open_board(arguments[0] if arguments else Path(__file__).resolve().parent.parent)

    return serve(source, sink, open_it)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
