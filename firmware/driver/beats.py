"""Codes as they lie in the beats of a DMA stream: packed from the lowest bit, with NumPy alone."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

_WORD = 32
_BITS_AT_ONCE = 1 << 23


class TensorStream(NamedTuple):
    """How the codes of a tensor of `shape` go over a stream: `elements` of them a beat, in C order."""

    shape: tuple[int, ...]
    width: int
    signed: bool
    elements: int
    beats: int
    beat_bytes: int

    @property
    def lowest(self) -> int:
        """The lowest code."""
        return -(1 << (self.width - 1)) if self.signed and self.width else 0

    @property
    def highest(self) -> int:
        """The highest code."""
        return (1 << (self.width - self.signed)) - 1 if self.width else 0


def tensor_stream(described: dict[str, Any]) -> TensorStream:
    """From `input` or `output` of an overlay's description."""
    return TensorStream(
        tuple(int(n) for n in described["shape"]),
        int(described["width"]),
        bool(described["signed"]),
        int(described["elements"]),
        int(described["beats"]),
        int(described["dma_bits"]) // 8,
    )


def pack_codes(codes: np.ndarray, stream: TensorStream) -> np.ndarray:
    """Codes (N, *shape), which fit the type, as beats (N, beats, beat_bytes) of bytes; zeros above them."""
    flat = codes.reshape(-1, stream.elements)
    width, used = stream.width, -(-stream.elements * stream.width // 8)
    out = np.zeros((len(flat), stream.beat_bytes), np.uint8)
    for rows in _parts(len(flat), stream.elements):
        words = np.ascontiguousarray(flat[rows].astype("<u4"))
        if width % 8:
            bits = np.unpackbits(words.view(np.uint8).reshape(*words.shape, 4), axis=2, bitorder="little")
            flags = bits[:, :, :width].reshape(len(words), -1)
            out[rows, :used] = np.packbits(flags, axis=1, bitorder="little")
        else:
            raw = words.view(np.uint8).reshape(*words.shape, 4)
            out[rows, :used] = raw[:, :, : width // 8].reshape(len(words), -1)
    return out.reshape(len(codes), stream.beats, stream.beat_bytes)


def unpack_codes(beats: np.ndarray, stream: TensorStream) -> np.ndarray:
    """The codes (N, *shape), int32, in beats (N, beats, beat_bytes); what lies above them is not looked at.

    Unsigned codes of 32 bits do not fit and come out as their two's complement.
    """
    flat = beats.reshape(-1, stream.beat_bytes)
    count = stream.elements * stream.width
    used = flat[:, : -(-count // 8)]
    out = np.empty((len(flat), stream.elements), "<i4")
    for rows in _parts(len(flat), stream.elements):
        bits = np.unpackbits(used[rows], axis=1, count=count, bitorder="little")
        bits = bits.reshape(len(bits), stream.elements, stream.width)
        words = np.zeros((*bits.shape[:2], _WORD), np.uint8)
        words[:, :, : stream.width] = bits
        if stream.signed and stream.width:
            words[:, :, stream.width :] = bits[:, :, -1:]
        out[rows] = np.packbits(words, axis=2, bitorder="little").view("<i4")[:, :, 0]
    return out.astype(np.int32).reshape(len(beats), *stream.shape)


def fired(beats: np.ndarray, stream: TensorStream) -> np.ndarray:
    """Which decisions fired, bool (N, *places), from the top bit of each decision's last beat."""
    places = stream.shape[:-1]
    decisions = int(np.prod(places, dtype=np.int64))
    last = beats.reshape(len(beats), decisions, -1, stream.beat_bytes)[:, :, -1, -1]
    return (last >> 7).astype(bool).reshape(len(beats), *places)


def _parts(count: int, elements: int) -> list[slice]:
    """Rows in parts whose single bits, a byte each, take a few megabytes."""
    size = max(1, _BITS_AT_ONCE // (elements * _WORD))
    return [slice(start, start + size) for start in range(0, count, size)]
