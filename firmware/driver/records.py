"""What comes out of the firmware, as NumPy arrays."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

#: One event record as it lies in memory: 16 bytes. `stamp` is the low half of the firmware's clock counter.
EVENT = np.dtype([("frame", "<u4"), ("line", "<u2"), ("pixel", "<u2"), ("score", "<i4"), ("stamp", "<u4")])

CLOSING_LINE = 0xFFFF


class Batch(NamedTuple):
    """Events (EVENT, N) and, where a closing record came with them, what it says."""

    events: np.ndarray
    closed: bool
    frames: int
    dropped: int


def read_batch(raw: np.ndarray) -> Batch:
    """The records (EVENT, N) of one DMA transfer; a closing record can only be the last."""
    if len(raw) and raw["line"][-1] == CLOSING_LINE:
        last = raw[-1]
        return Batch(raw[:-1].copy(), True, int(last["frame"]), int(last["score"]) & 0xFFFFFFFF)
    return Batch(raw.copy(), False, 0, 0)


def split_decisions(beats: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Beats (unsigned, any shape) to scores int32 and mask bool; the top bit says that a decision fired."""
    bits = beats.dtype.itemsize * 8
    mask = (beats >> np.array(bits - 1, beats.dtype)).astype(bool)
    # An arithmetic shift to and fro copies the score's sign into the place of the mask bit.
    signed = (beats << np.array(1, beats.dtype)).view(f"i{bits // 8}")
    return (signed >> 1).astype(np.int32), mask


class Frame(NamedTuple):
    """What became of a frame: scores int32, mask bool (which decisions fired), its events (EVENT, N).

    Kind "pixels": scores and mask (h, w). Kind "frames": scores in the output's shape, mask in that of its
    positions, which is the output's without the last axis; of many frames both begin with an axis for them.
    """

    scores: np.ndarray
    mask: np.ndarray
    events: np.ndarray
