"""One direction of an AXI DMA, with a limit to every wait. PYNQ's own `wait()` has none."""

from __future__ import annotations

import time
from typing import Any

from .errors import BoardTimeoutError, TransferError

_RESET = 0x4
_ERRORS = {
    0x10: "internal error: more data than the buffer holds, or length 0",
    0x20: "slave error: memory refused the access",
    0x40: "decode error: no memory at this address",
}
_LATEST_RESET_S = 1.0


class Channel:
    """A channel of `pynq.lib.dma.DMA`; `name` is for messages, `length_bits` that of its length field."""

    def __init__(self, dma: Any, *, receive: bool, name: str, length_bits: int) -> None:
        self._dma = dma
        self._channel = dma.recvchannel if receive else dma.sendchannel
        self._offset = 0x30 if receive else 0
        self._most_bytes = (1 << length_bits) - 1
        self.name = name
        self.armed = False

    def start(self, buffer: Any, nbytes: int = 0) -> None:
        """Start a transfer of `nbytes` (0: all) of a buffer. Raises `TransferError` if the engine refuses."""
        size = nbytes or buffer.nbytes
        if size > self._most_bytes:
            raise TransferError(
                f"{self.name}: {size} bytes do not fit the DMA's length field ({self._most_bytes} at most)",
                "send smaller frames",
            )
        try:
            self._channel.transfer(buffer, nbytes=size)
        except (RuntimeError, ValueError) as error:
            raise TransferError(f"{self.name}: {error}; {self.describe()}", "reset the board") from error
        self.armed = True

    def done(self) -> bool:
        """Whether the transfer has ended. Raises `TransferError` if it ended in an error."""
        status = self._status()
        problems = [text for bit, text in _ERRORS.items() if status & bit]
        if problems:
            self.armed = False
            raise TransferError(f"{self.name}: DMA stopped with {problems[0]}", "reset the board")
        return bool(status & 0x2)

    def finish(self) -> int:
        """After `done`: make the data visible and return the bytes moved."""
        self._channel.wait()  # returns at once: the engine is idle
        self.armed = False
        return int(self._channel.transferred)

    def wait(self, timeout_s: float, diagnosis: Any) -> int:
        """Wait for the end of the transfer, return the bytes moved.

        Raises `BoardTimeoutError` after `timeout_s` seconds; `diagnosis()` says what the board is at.
        """
        limit = time.monotonic() + timeout_s
        while not self.done():
            if time.monotonic() > limit:
                raise BoardTimeoutError(
                    f"{self.name}: no end after {timeout_s:g} s. {self.describe()}; {diagnosis()}",
                    "reset the board",
                )
        return self.finish()

    def reset(self) -> None:
        """Reset the engine (both of its channels) and start this channel again."""
        mmio = self._channel._mmio
        mmio.write(self._offset, _RESET)
        limit = time.monotonic() + _LATEST_RESET_S
        while mmio.read(self._offset) & _RESET:
            if time.monotonic() > limit:
                raise BoardTimeoutError(
                    f"{self.name}: the DMA does not come out of reset", "load the overlay again"
                )
        self.restart()

    def restart(self) -> None:
        """Set the channel running after a reset of its engine."""
        self._channel.start()
        self.armed = False

    def describe(self) -> str:
        """The channel's state in words."""
        status = self._status()
        state = "halted" if status & 1 else "idle" if status & 2 else "running"
        return f"{self.name} DMA {state}, status {status:#x}"

    def _status(self) -> int:
        return int(self._channel._mmio.read(self._offset + 4))
