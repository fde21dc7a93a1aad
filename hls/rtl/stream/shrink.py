"""The same stream over smaller frames, from which the clocks of large ones follow.

Clocks of a frame and of its last result are a sum of four terms once a frame is larger than what its windows
reach: one that is fixed, one a row, one a column, one a pixel. Four small frames give them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import prod

from dwell.hls.rtl.stream.blocks import (
    Block,
    Entry,
    Fifo,
    Folded,
    Fork,
    Island,
    Join,
    Narrow,
    Plan,
    Reduce,
    Repeat,
    Window,
    Wires,
)
from dwell.hls.rtl.stream.layout import Layout

Size = tuple[int, int]


def samples(plan: Plan) -> tuple[Size, Size] | None:
    """Two smaller frames (rows, columns), the second larger in both, that lie on the strides as the plan's own does.

    None where there are none, or where a block's shape hangs on that of the frame.
    """
    entry = plan.links[plan.blocks[0].outputs[0]]
    own = (entry.rows, entry.columns)
    windows = [b.front.geometry for b in plan.blocks if isinstance(b, Island) and isinstance(b.front, Window)]
    found: list[Size] = []
    for axis in (0, 1):
        strides = prod(w.stride[axis] for w in windows)
        step = strides * (entry.lanes if axis else 1)
        reach = sum((w.reach[axis] + 1) * strides for w in windows)
        least = reach + 2 * step + (10 * entry.lanes if axis else 6)
        near = own[axis] - (own[axis] - least) // step * step
        found.append((near, near + 2 * step) if own[axis] > near + 2 * step else (own[axis], own[axis]))
    if found[0][0] == found[0][1] or found[1][0] == found[1][1]:
        return None
    small, large = (found[0][0], found[1][0]), (found[0][1], found[1][1])
    return (small, large) if shrunk(plan, small) and shrunk(plan, large) else None


def shrunk(plan: Plan, size: Size) -> Plan | None:
    """The plan over frames of `size` (rows, columns), or None where a block allows no other."""
    links: dict[str, Layout] = {}
    blocks: list[Block] = []
    for block in plan.blocks:
        out = _layout(block, plan.links, links, size)
        if out is None:
            return None
        for link in block.outputs:
            links[link] = out
        blocks.append(_fitted(block, links) if isinstance(block, Narrow) else block)
    return replace(plan, blocks=tuple(blocks), links=links)


def _layout(
    block: Block, own: Mapping[str, Layout], links: Mapping[str, Layout], size: Size
) -> Layout | None:
    old = own[block.outputs[0]]
    if isinstance(block, Entry):
        return replace(old, rows=size[0], columns=size[1])
    before, frame = own[block.inputs[0]], links[block.inputs[0]]
    if (frame.rows, frame.columns) == (before.rows, before.columns):
        return old
    if isinstance(block, Island) and isinstance(block.front, Window):
        rows, columns = block.front.geometry.results(frame)
        return replace(old, rows=rows, columns=columns)
    if isinstance(block, Island) and isinstance(block.front, Repeat):
        rows, columns = block.front.factor
        return replace(old, rows=frame.rows * rows, columns=frame.columns * columns)
    if isinstance(block, Island) and isinstance(block.front, Reduce):
        return old
    same = (before.rows, before.columns) == (old.rows, old.columns)
    moves = isinstance(block, Island | Fork | Join | Fifo | Narrow | Wires)
    if same and (moves or (isinstance(block, Folded) and block.beats == 1)):
        return replace(old, rows=frame.rows, columns=frame.columns)
    return None


def _fitted(block: Narrow, links: Mapping[str, Layout]) -> Narrow:
    frame, out = links[block.input], links[block.output]
    if (frame.rows, frame.columns) != (out.rows, out.columns):
        return block
    rest = frame.columns - (frame.row_beats - 1) * frame.lanes
    return replace(block, line_beats=frame.row_beats, last_parts=-(-rest // out.lanes))


def extended(values: tuple[int, int, int, int], small: Size, large: Size, own: Size) -> float:
    """A value at `own` from those at the four corners: both small, more rows, more columns, both large."""
    a, b, c, d = values
    down = (own[0] - small[0]) / (large[0] - small[0])
    across = (own[1] - small[1]) / (large[1] - small[1])
    return a + (b - a) * down + (c - a) * across + (a - b - c + d) * down * across
