"""Codes as AXI4-Stream data: channels packed from the lowest bit, padded to whole bytes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dwell.sim.verilated import Beats
from dwell.sim.verilated.run import LAST, USER

Bytes = npt.NDArray[np.uint8]
Codes = npt.NDArray[np.int64]


def pack(codes: Codes, widths: Sequence[int], size: int, *, sign_extend: bool = False) -> Bytes:
    """Codes (N, C) as bytes (N, `size`), channel 0 lowest, `widths[c]` bits each, little-endian.

    The bits above the last channel are zero, or copies of its sign with `sign_extend`.
    """
    if sum(widths) > 8 * size or codes.shape[1] != len(widths):
        raise ValueError(f"{codes.shape[1]} channels of {sum(widths)} bits do not fit {size} bytes")
    out = np.zeros((len(codes), size), dtype=np.uint8)
    low = 0
    for channel, width in enumerate(widths):
        value = codes[:, channel]
        last = sign_extend and channel == len(widths) - 1
        if not last:
            value = value & ((1 << width) - 1)
        stop = 8 * size if last else low + width
        for byte in range(low // 8, (stop + 7) // 8):
            shift = 8 * byte - low
            # An arithmetic right shift beyond bit 62 keeps the sign, which is the padding asked for.
            part = value >> min(shift, 63) if shift >= 0 else value << -shift
            out[:, byte] |= (part & 0xFF).astype(np.uint8)
        low += width
    return out


def unpack(data: Bytes, widths: Sequence[int], signed: Sequence[bool]) -> Codes:
    """Bytes (N, size) back to codes (N, C); whatever lies above the last channel is not looked at."""
    out = np.zeros((len(data), len(widths)), dtype=np.int64)
    low = 0
    for channel, width in enumerate(widths):
        value = np.zeros(len(data), dtype=np.int64)
        for byte in range(low // 8, (low + width + 7) // 8):
            shift = 8 * byte - low
            part = data[:, byte].astype(np.int64)
            value |= part << shift if shift >= 0 else part >> -shift
        if width:
            value &= (1 << width) - 1
        else:
            value[:] = 0
        if signed[channel] and width:
            value -= (value >> (width - 1)) << width
        out[:, channel] = value
        low += width
    return out


def frame_flags(height: int, width: int) -> Bytes:
    """Flags (height * width,) of a frame: TUSER with its first beat, TLAST at the end of each line."""
    flags = np.zeros((height, width), dtype=np.uint8)
    flags[0, 0] |= USER
    flags[:, -1] |= LAST
    return flags.reshape(-1)


def joined(parts: Sequence[Beats]) -> Beats:
    """One stream after the other."""
    return Beats(np.concatenate([p.data for p in parts]), np.concatenate([p.flags for p in parts]))
