"""The steps of a function of one integer, found by running that function.

What stands between an exact accumulator and the next quantizer (float batch norm, scales that are not powers
of two, tanh) gives one of few codes for each of many accumulator values. The source framework's own float
kernels say which; this finds where the answer changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from dwell.errors import UserError
from dwell.hls.qmodel import Codes

#: Codes (V, R) of R channels, each column its own, to what the source framework makes of them (V, R).
Function: TypeAlias = Callable[[Codes], npt.NDArray[np.int64]]

#: Every value of a range no longer than this is tried; beyond, breaks are bisected and the function has to be monotone.
SCANNED_VALUES = 1 << 20
#: ... as long as it is this few for all channels together.
SCANNED_IN_ALL = 1 << 25
#: Most steps that a table may have: beyond this it is no longer a table but a memory.
MAX_STEPS = 1 << 12
_CHUNK = 1 << 22
_GRID = 1 << 12


class TableError(UserError):
    """A function that no table holds: too many steps, or not monotone over a range too long to scan."""

    code = "table"


@dataclass(frozen=True, eq=False)
class Steps:
    """What `dwell.hls.qmodel.Table` takes: `breaks` (R, T) and `levels` (R, T + 1)."""

    breaks: Codes
    levels: Codes

    def of(self, codes: Codes) -> Codes:
        """The function on codes (V, R), as a table computes it."""
        columns = [
            levels[np.searchsorted(breaks, codes[:, at], side="right")]
            for at, (breaks, levels) in enumerate(zip(self.breaks, self.levels, strict=True))
        ]
        return np.stack(columns, axis=1)


def steps_of(
    function: Function, lo: npt.ArrayLike, hi: npt.ArrayLike, *, max_steps: int = MAX_STEPS
) -> Steps:
    """Breaks and levels of `function` over the codes `lo` … `hi`, (R,) each, both ends included.

    `function` maps int64 codes (V, R) to int64 codes (V, R), elementwise: column r belongs to channel r; it is
    only asked about values between the ends of each channel. Ranges up to `SCANNED_VALUES` are tried value by
    value. Longer ones are bisected, which is right for a function that only rises or only falls: that is
    checked on a grid, and at every break found. Channels that agree become one row. Raises `TableError` beyond
    `max_steps`, or where a long range holds a function that is not monotone.
    """
    low, high = (np.atleast_1d(np.asarray(end, dtype=np.int64)) for end in (lo, hi))
    if low.shape != high.shape or low.ndim != 1 or (low > high).any():
        raise ValueError(f"ranges {low} … {high}")
    span = high - low + 1
    if int(span.max()) <= SCANNED_VALUES and int(span.max()) * len(span) <= SCANNED_IN_ALL:
        found = _scan(function, low, high, max_steps)
    else:
        found = _bisect(function, low, high, max_steps)
    return _packed(found, high)


def _scan(function: Function, low: Codes, high: Codes, max_steps: int) -> list[tuple[Codes, Codes]]:
    """Breaks and levels of each channel, from every value. All channels are tried side by side."""
    rows = len(low)
    longest = int((high - low).max()) + 1
    breaks: list[list[Codes]] = [[] for _ in range(rows)]
    levels: list[list[Codes]] = [[] for _ in range(rows)]
    counts = np.zeros(rows, dtype=np.int64)
    last: Codes | None = None
    for start, stop in _chunks(longest, max(1, _CHUNK // rows)):
        offsets = np.arange(start, stop, dtype=np.int64)[:, None]
        codes = np.minimum(low + offsets, high)  # a shorter channel stays at its end, where nothing changes
        values = _asked(function, codes)
        before = np.concatenate([values[:1] if last is None else last, values[:-1]])
        changed = values != before
        counts += changed.sum(axis=0)
        _check_count(int(counts.max()), max_steps)
        for row in range(rows):
            at = np.flatnonzero(changed[:, row])
            breaks[row].append(codes[at, row])
            levels[row].append(values[at, row])
            if last is None:
                levels[row].insert(0, values[:1, row])
        last = values[-1:]
    return [(np.concatenate(b), np.concatenate(v)) for b, v in zip(breaks, levels, strict=True)]


def _bisect(function: Function, low: Codes, high: Codes, max_steps: int) -> list[tuple[Codes, Codes]]:
    """Breaks and levels of each channel of a monotone function, by halving between grid points that differ."""
    grid = _grid(low, high)
    values = _asked(function, grid)
    _check_monotone(values)
    left, right = grid[:-1].T.copy(), grid[1:].T.copy()
    at_left, at_right = values[:-1].T.copy(), values[1:].T.copy()
    found: list[list[tuple[int, int]]] = [[] for _ in low]
    rows = np.broadcast_to(np.arange(len(low))[:, None], left.shape)
    live = (at_left != at_right) & (left < right)
    work = [part[live] for part in (rows, left, right, at_left, at_right)]
    while len(work[0]):
        row, a, b, fa, fb = work
        _check_count(int(np.bincount(row).max()), max_steps)  # each holds one break at the least
        done = b - a == 1
        for r, where, level in zip(row[done], b[done], fb[done], strict=True):
            found[r].append((int(where), int(level)))
        row, a, b, fa, fb = (part[~done] for part in work)
        if not len(row):
            break
        middle = a + (b - a) // 2
        value = _asked_at(function, middle, row, low)
        if ((np.minimum(fa, fb) > value) | (np.maximum(fa, fb) < value)).any():
            raise _not_monotone()
        halves = ((row, a, middle, fa, value), (row, middle, b, value, fb))
        work = [np.concatenate([h[i][h[3] != h[4]] for h in halves]) for i in range(5)]
    result = []
    for r, pairs in enumerate(found):
        pairs.sort()
        _check_count(len(pairs), max_steps)
        start = int(values[0, r])
        result.append((_codes([w for w, _ in pairs]), _codes([start, *(v for _, v in pairs)])))
    return result


def _grid(low: Codes, high: Codes) -> Codes:
    """Points (G, R) from `low` to `high` of each channel, both ends included, in rising order."""
    parts = np.arange(_GRID + 1, dtype=np.int64)[:, None]
    step, rest = np.divmod(high - low, _GRID)
    return np.asarray(low + step * parts + (rest * parts) // _GRID, dtype=np.int64)


def _asked(function: Function, codes: Codes) -> Codes:
    values = np.asarray(function(codes))
    if values.shape != codes.shape or values.dtype != np.int64:
        raise ValueError(f"the function made {values.dtype} {values.shape} of int64 {codes.shape}")
    return values


def _asked_at(function: Function, codes: Codes, rows: Codes, idle: Codes) -> Codes:
    """The function at single codes, each of its own channel, several of one channel side by side in rows."""
    order = np.argsort(rows, kind="stable")
    rank = np.empty(len(rows), dtype=np.int64)
    counts = np.bincount(rows, minlength=len(idle))
    rank[order] = np.concatenate([np.arange(n) for n in counts]) if len(rows) else 0
    table = np.broadcast_to(idle, (int(counts.max()), len(idle))).copy()
    table[rank, rows] = codes
    return np.asarray(_asked(function, table)[rank, rows], dtype=np.int64)


def _check_monotone(values: Codes) -> None:
    moves = np.diff(values, axis=0)
    if ((moves > 0).any(axis=0) & (moves < 0).any(axis=0)).any():
        raise _not_monotone()


def _not_monotone() -> TableError:
    return TableError(
        f"a function that both rises and falls, over more than {SCANNED_VALUES} values",
        hint="use narrower weights or activations before it, so that every value can be tried",
    )


def _check_count(steps: int, max_steps: int) -> None:
    if steps > max_steps:
        raise TableError(
            f"a table of more than {max_steps} steps",
            hint="use fewer bits after it, or scales that are powers of two",
        )


def _chunks(total: int, size: int) -> Iterator[tuple[int, int]]:
    for start in range(0, total, size):
        yield start, min(start + size, total)


def _codes(values: list[int]) -> Codes:
    return np.array(values, dtype=np.int64)


def _packed(found: list[tuple[Codes, Codes]], high: Codes) -> Steps:
    """All channels in one array; breaks past a channel's last lie above its range."""
    most = max(len(breaks) for breaks, _ in found)
    above = int(high.max()) + 1
    breaks = np.full((len(found), most), above, dtype=np.int64)
    levels = np.empty((len(found), most + 1), dtype=np.int64)
    for row, (where, level) in enumerate(found):
        breaks[row, : len(where)] = where
        levels[row, : len(level)] = level
        levels[row, len(level) :] = level[-1]
    if len(found) > 1 and (breaks == breaks[0]).all() and (levels == levels[0]).all():
        breaks, levels = breaks[:1], levels[:1]
    return Steps(breaks, levels)
