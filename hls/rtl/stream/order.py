"""Where the elements of a rearranged tensor come from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dwell.hls.qmodel import Flatten, Reshape, Slice, Transpose
from dwell.hls.rtl.circuit.builder import Range

Moving = Flatten | Reshape | Slice | Transpose


def element_source(node: Moving, shape: tuple[int, ...]) -> npt.NDArray[np.int64]:
    """Which element of its input, of that `shape`, each element of the output is, both in C order."""
    index = np.arange(int(np.prod(shape)), dtype=np.int64).reshape(shape)
    if isinstance(node, Transpose):
        index = index.transpose(node.axes)
    elif isinstance(node, Slice):
        index = np.take(index, range(node.start, node.stop), axis=node.axis)
    return index.ravel()


def per_pixel(source: npt.NDArray[np.int64], before: int, after: int) -> list[int] | None:
    """The channels that every output pixel takes of its own input pixel, if that is what happens."""
    cells = source.reshape(-1, after)
    picked = cells - np.arange(len(cells))[:, None] * before
    if (picked == picked[0]).all() and picked.min() >= 0 and picked.max() < before:
        return [int(c) for c in picked[0]]
    return None


def hull(spans: Sequence[Range]) -> Range:
    """The interval that holds all of them, at the largest fraction."""
    frac = max(s.frac for s in spans)
    return Range(
        min(s.lo << (frac - s.frac) for s in spans), max(s.hi << (frac - s.frac) for s in spans), frac
    )
