"""New weights for a network that runs: they go into the bank that is not in use, then that one is chosen."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from pynq import DefaultIP

from .errors import BoardError, BoardTimeoutError, BuildMismatchError


class DwellWeights(DefaultIP):
    """The address region of the weights."""

    bindto = ["dwell:firmware:dwell_weights:1.0"]  # noqa: RUF012 - PYNQ's own convention

    def read(self, offset: int = 0) -> int:
        """A register. PYNQ.remote gives words as signed numbers, a board as unsigned ones."""
        return int(super().read(offset)) & 0xFFFFFFFF


class Weights:
    """Two banks of weights; `described` is `weights` of the overlay's description."""

    def __init__(self, port: DwellWeights, described: Mapping[str, Any]) -> None:
        self._port = port
        self._at = {name: int(offset) for name, offset in described["registers"].items()}
        self._memory_offset = int(described["memory_offset"])
        self._bank_offset = int(described["bank_offset"])
        for name in ("ID", "VERSION", "STRUCTURE"):
            wanted, found = int(described[name.lower()]), self._register(name)
            if wanted != found:
                raise BuildMismatchError(
                    f"{name} of the weights reads {found:#x}, not {wanted:#x}", "package the design again"
                )

    @property
    def selected(self) -> int:
        """The bank of the frames that begin from now on."""
        return self._register("CONTROL") & 1

    def select(self, bank: int) -> None:
        """Choose the bank of the frames that begin from now on."""
        self._port.write(self._at["CONTROL"], bank)

    def write(self, writes: np.ndarray, timeout_s: float) -> None:
        """Write (byte address, word) pairs (N, 2), which all lie in the bank that is not selected.

        Waits for the last frame that uses it. Raises `BoardError` for another address or a word that was not
        taken, `BoardTimeoutError` where a frame holds the bank for longer than `timeout_s`.
        """
        pairs = np.asarray(writes)
        bank = 1 - self.selected
        first = self._memory_offset + bank * self._bank_offset
        if pairs.ndim != 2 or pairs.shape[1] != 2 or pairs.dtype.kind not in "ui":
            raise BoardError(f"writes are pairs (address, word), not {pairs.dtype} {pairs.shape}")
        pairs = pairs.astype(np.int64)
        good = (pairs[:, 0] >= first) & (pairs[:, 0] < first + self._bank_offset) & (pairs[:, 0] % 4 == 0)
        if not good.all() or (pairs[:, 1] >> 32).any():
            raise BoardError(
                f"writes must be words in bank {bank}, which lies at {first:#x}", "plan them for that bank"
            )
        self._wait_for(bank, timeout_s)
        refused = self._register("REFUSED")
        for address, word in pairs.tolist():
            self._port.write(address, word)
        if self._register("REFUSED") != refused:
            raise BoardError(f"bank {bank} refused words: it came into use", "write all of them again")

    def _wait_for(self, bank: int, timeout_s: float) -> None:
        limit = time.monotonic() + timeout_s
        while self._register("STATUS") & 4 << bank:
            if time.monotonic() > limit:
                raise BoardTimeoutError(
                    f"a frame in flight has used bank {bank} of the weights for {timeout_s:g} s",
                    "frames of any size last until the next begins: send one",
                )

    def _register(self, name: str) -> int:
        return self._port.read(self._at[name])
