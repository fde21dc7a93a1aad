"""Codes as AXI4-Stream data: packed from the lowest bit, padded to whole bytes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dwell.sim.beats import LAST, USER, Beats
from dwell.sim.dut import Port

Bytes = npt.NDArray[np.uint8]
Codes = npt.NDArray[np.int64]


def pack(codes: Codes, port: Port) -> Bytes:
    """Codes (N, `elements`) as bytes (N, `size`), little-endian; the padding is zeros or the last sign."""
    width, size = port.type.width, port.size
    if port.elements * width > 8 * size or codes.shape[1] != port.elements:
        raise ValueError(f"{codes.shape[1]} codes of {width} bits do not fit {size} bytes")
    out = np.zeros((len(codes), size), dtype=np.uint8)
    low = 0
    for element in range(port.elements):
        value = codes[:, element]
        last = port.sign_extend and element == port.elements - 1
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


def unpack(data: Bytes, port: Port) -> Codes:
    """Bytes (N, `size`) back to codes (N, `elements`); whatever lies above the last is not looked at."""
    width, signed = port.type.width, port.type.signed
    out = np.zeros((len(data), port.elements), dtype=np.int64)
    if width == 0:
        return out
    low = 0
    for element in range(port.elements):
        value = np.zeros(len(data), dtype=np.int64)
        for byte in range(low // 8, (low + width + 7) // 8):
            shift = 8 * byte - low
            part = data[:, byte].astype(np.int64)
            value |= part << shift if shift >= 0 else part >> -shift
        value &= (1 << width) - 1
        if signed:
            value -= (value >> (width - 1)) << width
        out[:, element] = value
        low += width
    return out


def frame_flags(height: int, width: int) -> Bytes:
    """Flags (height * width,) of a frame: TUSER with its first beat, TLAST at the end of each line."""
    flags = np.zeros((height, width), dtype=np.uint8)
    flags[0, 0] |= USER
    flags[:, -1] |= LAST
    return flags.reshape(-1)


def port_flags(port: Port, shape: tuple[int, ...]) -> Bytes:
    """Flags of a frame of codes in `shape` on a port."""
    if port.line_beats:
        return frame_flags(port.frame_beats // port.line_beats, port.line_beats)
    return frame_flags(shape[0], shape[1])


def joined(parts: Sequence[Beats]) -> Beats:
    """One stream after the other."""
    return Beats(np.concatenate([p.data for p in parts]), np.concatenate([p.flags for p in parts]))
