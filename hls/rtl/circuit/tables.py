"""Functions of one integer: as a ROM in look-up tables, or as a search for the step that a code is on.

A ROM of n address bits costs about ``2**(n - 6)`` look-up tables for each bit of the result. A search
compares the code with the middle break, then with the middle one of the half it lies in, and so on: a
table of many address bits and few steps costs a few comparators. The cheaper one is taken.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dwell.errors import InternalError
from dwell.hls.qmodel import Table
from dwell.hls.qmodel.ranges import of_channel
from dwell.hls.rtl.circuit.builder import CircuitBuilder, Range, Signal

#: Address bits of the largest ROM: beyond, it is a search whatever it costs.
MOST_ROM_BITS = 14

#: Inputs of one look-up table.
_LUT_INPUTS = 6


def table(
    builder: CircuitBuilder, x: Signal, node: Table, channel: int, in_frac: int, out_frac: int
) -> Signal:
    """One element of a `Table`; its breaks are codes of `in_frac` fraction bits, its levels of `out_frac`."""
    up = in_frac - x.range.frac
    breaks = [-((-int(b)) >> up) for b in of_channel(node.breaks, channel)]  # x >= ceil(b / 2**up)
    return steps(builder, x, breaks, [int(v) for v in of_channel(node.levels, channel)], out_frac)


def steps(
    builder: CircuitBuilder, x: Signal, breaks: Sequence[int], levels: Sequence[int], frac: int
) -> Signal:
    """``levels[number of breaks that are <= code of x]``; `breaks` rise and are codes of `x` itself."""
    if len(levels) != len(breaks) + 1:
        raise InternalError(f"{len(levels)} levels for {len(breaks)} breaks")
    breaks, levels = _needed(breaks, levels, x.range)
    if not breaks:
        return builder.constant(levels[0], frac)
    zeros = min((v & -v).bit_length() - 1 for v in levels if v)  # low bits that no level has
    levels, frac = [v >> zeros for v in levels], frac - zeros
    if x.range.bits <= MOST_ROM_BITS and _rom_cost(x.range, levels) <= _search_cost(x.range, breaks, levels):
        codes = np.arange(x.range.lo, x.range.hi + 1)
        entries = np.array(levels, dtype=np.int64)[np.searchsorted(np.array(breaks), codes, side="right")]
        return builder.lookup(x, [int(v) for v in entries], frac)
    return _search(builder, x, breaks, levels, frac)


def _needed(breaks: Sequence[int], levels: Sequence[int], span: Range) -> tuple[list[int], list[int]]:
    """Steps that a code of `span` can be on, neighbours of one level merged."""
    kept: list[int] = []
    heights = [levels[0]]
    for at, level in zip(breaks, levels[1:], strict=True):
        if at <= span.lo:
            kept, heights = [], [level]
        elif at <= span.hi:
            if kept and kept[-1] == at:
                kept, heights = kept[:-1], heights[:-1]
            if heights[-1] != level:
                kept, heights = [*kept, at], [*heights, level]
    return kept, heights


def _bits(values: Sequence[int]) -> int:
    return Range(min(values), max(values)).bits


def _rom_cost(span: Range, levels: Sequence[int]) -> float:
    deep = max(span.bits - _LUT_INPUTS, 0)
    return float(_bits(levels) << deep) * (1.0 if deep == 0 else 1.2)


def _search_cost(span: Range, breaks: Sequence[int], levels: Sequence[int]) -> float:
    rounds = len(breaks).bit_length()
    compare = 0.5 * span.bits + sum(
        span.bits * (1.0 if r <= 2 else 1.0 + 2.0 ** max(r - _LUT_INPUTS, 0)) for r in range(1, rounds)
    )
    return compare + float(_bits(levels) << max(rounds - _LUT_INPUTS, 0))


def _search(
    builder: CircuitBuilder, x: Signal, breaks: Sequence[int], levels: Sequence[int], frac: int
) -> Signal:
    """Binary search. `path` gathers the answers to "below the break?", the first one highest."""
    rounds = len(breaks).bit_length()
    last = (1 << rounds) - 1
    padded = [*breaks, *([x.range.hi + 1] * (last - len(breaks)))]
    middle = 1 << (rounds - 1)
    path = builder.less(x, builder.constant(padded[middle - 1], x.range.frac))
    for done in range(1, rounds):
        size = rounds - done
        tops = [padded[(((1 << done) - 1 - p) << size) + (1 << (size - 1)) - 1] for p in _codes(path)]
        below = builder.less(x, builder.lookup(path, tops, x.range.frac))
        path = builder.add(builder.rescaled(path, 1), below)
    heights = [levels[min(last - p, len(levels) - 1)] for p in _codes(path)]
    return builder.lookup(path, heights, frac)


def _codes(signal: Signal) -> range:
    return range(signal.range.lo, signal.range.hi + 1)
