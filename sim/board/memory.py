"""Memory of a simulated board, and the processor's caches over it: what is not flushed is not there."""

from __future__ import annotations

import weakref
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from pynq.buffer import PynqBuffer

POISON = 0xA5
"""What freshly allocated memory holds, so that stale data does not look like zeros."""

_PAGE = 4096


class HostCopy:
    """The processor's view of a buffer: bytes of its own, and where they belong in memory."""

    def __init__(self, address: int, size: int) -> None:
        self.address = address
        self.bytes = np.zeros(size, dtype=np.uint8)


class Memory:
    """`size` bytes at physical address `base`, handed out in pages and given back with the last reference."""

    def __init__(self, base: int, size: int) -> None:
        self.base = base
        self.bytes: npt.NDArray[np.uint8] = np.zeros(size, dtype=np.uint8)
        self._free: list[tuple[int, int]] = [(0, size)]
        self._copies: weakref.WeakValueDictionary[int, HostCopy] = weakref.WeakValueDictionary()

    @property
    def free_bytes(self) -> int:
        """Bytes that can still be handed out."""
        return sum(size for _, size in self._free)

    def allocate(self, shape: Sequence[int] | int, dtype: npt.DTypeLike, device: object) -> PynqBuffer:
        """A buffer. Raises `MemoryError` when there is no room, as the board's CMA does."""
        kind = np.dtype(dtype)
        size = int(np.prod(shape, dtype=np.int64)) * kind.itemsize
        offset = self._take(max(size, 1))
        self.bytes[offset : offset + size] = POISON
        copy = HostCopy(self.base + offset, size)
        self._copies[copy.address] = copy
        weakref.finalize(copy, self._give_back, offset, max(size, 1))
        return PynqBuffer(
            shape,
            kind,
            buffer=copy.bytes,
            bo=copy,
            device=device,
            device_address=copy.address,
            coherent=False,
        )

    def flush(self, copy: HostCopy, offset: int, count: int) -> None:
        """Write the processor's view to memory."""
        at = copy.address - self.base + offset
        self.bytes[at : at + count] = copy.bytes[offset : offset + count]

    def invalidate(self, copy: HostCopy, offset: int, count: int) -> None:
        """Read memory into the processor's view."""
        at = copy.address - self.base + offset
        copy.bytes[offset : offset + count] = self.bytes[at : at + count]

    def unflushed(self, address: int, count: int) -> int:
        """How many bytes of a region the processor has changed and not flushed."""
        for copy in list(self._copies.values()):
            offset = address - copy.address
            if 0 <= offset < len(copy.bytes):
                end = min(offset + count, len(copy.bytes))
                at = copy.address - self.base
                return int(np.count_nonzero(copy.bytes[offset:end] != self.bytes[at + offset : at + end]))
        return 0

    def _take(self, size: int) -> int:
        pages = -(-size // _PAGE) * _PAGE
        for index, (offset, room) in enumerate(self._free):
            if room >= pages:
                self._free[index : index + 1] = [(offset + pages, room - pages)] if room > pages else []
                return offset
        raise MemoryError(f"no {size} bytes of contiguous memory left: {self.free_bytes} free")

    def _give_back(self, offset: int, size: int) -> None:
        pages = -(-size // _PAGE) * _PAGE
        merged: list[tuple[int, int]] = []
        for start, room in sorted([*self._free, (offset, pages)]):
            if merged and sum(merged[-1]) == start:
                merged[-1] = (merged[-1][0], merged[-1][1] + room)
            else:
                merged.append((start, room))
        self._free = merged
