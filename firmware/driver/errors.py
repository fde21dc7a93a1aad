"""What can go wrong on a board."""

from __future__ import annotations


class BoardError(RuntimeError):
    """Something is wrong with the board or with what was asked of it. `hint` says what to do."""

    code = "board"

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class BuildMismatchError(BoardError):
    """What runs on the board is not what the overlay's folder describes."""

    code = "build-mismatch"


class BoardTimeoutError(BoardError):
    """The board did not do in time what it had to; the message holds the diagnosis."""

    code = "timeout"


class TransferError(BoardError):
    """A DMA engine stopped with an error, or moved another number of bytes than it should."""

    code = "transfer"
