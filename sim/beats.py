"""Beats of an AXI4-Stream as bytes and flags."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]

USER, LAST = 1, 2
"""Bits of a beat's flags: TUSER (first of its frame) and TLAST (last of its line)."""


@dataclass(frozen=True)
class Beats:
    """Beats of a stream: `data` uint8 (N, bytes a beat), little-endian, and `flags` uint8 (N,)."""

    data: Bytes
    flags: Bytes

    def __len__(self) -> int:
        return len(self.flags)
