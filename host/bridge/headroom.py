"""Room on the disk, reserved before it is needed, so that a full disk is met at a place where a run can end
well.
"""

from __future__ import annotations

import os
from pathlib import Path

from dwell.errors import ResourceError

#: Kept ahead of the file's end: enough to write what is in memory, the counters and the end of the record.
MARGIN_BYTES = 4 << 20
STEP_BYTES = 1 << 20


class Headroom:
    """Blocks of a growing file, allocated ahead of its end.

    HDF5 cannot come back from a write that failed. So the room for every write is allocated before it, with
    `MARGIN_BYTES` more: the first refusal of the disk is met here, and what is needed to end the record is
    there.
    """

    def __init__(self, path: Path, size: int) -> None:
        """Reserve the first step for a file of `size` bytes. Raises `ResourceError` if the disk refuses."""
        self._path = path
        self._descriptor = os.open(path, os.O_RDWR)
        self._reserved = size
        try:
            self.ensure(size, 0)
        except BaseException:
            self.close()
            raise

    def ensure(self, size: int, coming: int) -> None:
        """Reserve room for `coming` bytes after `size`. Raises `ResourceError` if the disk refuses."""
        wanted = size + coming + MARGIN_BYTES
        if wanted <= self._reserved:
            return
        target = wanted + STEP_BYTES
        try:
            os.posix_fallocate(self._descriptor, self._reserved, target - self._reserved)
        except OSError as error:
            raise ResourceError(
                f"no room for the record: {error.strerror}",
                hint=f"make room on the disk of {self._path.parent}, or record fewer frames",
                place=str(self._path),
            ) from error
        self._reserved = target

    def close(self, size: int | None = None) -> None:
        """Give back what was reserved beyond `size`, the true end of the finished file."""
        if self._descriptor < 0:
            return
        if size is not None:
            os.ftruncate(self._descriptor, size)
        os.close(self._descriptor)
        self._descriptor = -1
