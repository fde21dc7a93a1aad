"""How deep the FIFOs before a join must be, so that no fork and join can block each other.

Beats are counted, not clocks: `need` of a link says for each of its beats how many beats of the input must
have been taken before it can be there. At least so many (`least`) if frames come one at a time, as a window
then finishes a frame by itself; at most so many (`most`) where the next frame is there already and the last
results of one come out with the first beats of the next. The text of the proof is in the documentation
(decision record on elastic islands).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dwell.errors import InternalError
from dwell.hls.rtl.stream.blocks import (
    Block,
    Entry,
    Fifo,
    Folded,
    Island,
    Narrow,
    Plan,
    Reduce,
    Regroup,
    Repeat,
    Steps,
    Widen,
    Window,
)
from dwell.hls.rtl.stream.layout import Layout, scan

Counts = npt.NDArray[np.int64]

#: Frames that are followed: what a frame needs of the next two, and the one before.
_FRAMES = 4


@dataclass(frozen=True)
class Need:
    """Input beats that each beat of a link needs, over `_FRAMES` frames."""

    least: Counts
    most: Counts


def bounds_of(plan: Plan) -> dict[str, int]:
    """For the link behind each FIFO: places with which it cannot take part in a deadlock."""
    needs = needs_of(plan)
    behind = {b.output for b in plan.blocks if isinstance(b, Fifo)}
    bounds: dict[str, int] = {}
    for block in plan.blocks:
        links = [link for link in block.inputs if link in behind]
        for link in links:
            others = [needs[other].most for other in links if other != link]
            bounds[link] = max((_ahead(needs[link].least, most) for most in others), default=1)
    return bounds


def _ahead(least: Counts, most: Counts) -> int:
    """The most beats that a link can have brought and that its join has not taken, for want of another link's."""
    frame = len(most) // _FRAMES
    whole = most[: 2 * frame]  # what these need lies within the frames that are followed
    brought = np.searchsorted(least, whole, side="right")
    return int((brought - np.arange(len(whole))).max())


def needs_of(plan: Plan) -> Mapping[str, Need]:
    """The need of every link."""
    needs: dict[str, Need] = {}
    for block in plan.blocks:
        if isinstance(block, Entry):
            count = np.arange(1, plan.links[block.output].beats * _FRAMES + 1)
            needs[block.output] = Need(count, count)
            continue
        given = [needs[link] for link in block.inputs]
        least, most = _takes(block, plan.links)
        need = Need(
            np.maximum.reduce([_at(n.least, least) for n in given]),
            np.maximum.reduce([_at(n.most, most) for n in given]),
        )
        for link in block.outputs:
            needs[link] = need
    return needs


def _at(need: Counts, beats: Counts) -> Counts:
    """What `beats` (counted from 1) of a link need; what lies beyond the frames followed needs all of them."""
    return np.asarray(need[np.minimum(beats, len(need)) - 1])


def _takes(block: Block, links: Mapping[str, Layout]) -> tuple[Counts, Counts]:
    """For each beat that a block gives, how many it must have taken: least and most."""
    frame, out = links[block.inputs[0]], links[block.outputs[0]]
    if isinstance(block, Island) and isinstance(block.front, Window):
        return _window_takes(block.front, frame, out)
    if isinstance(block, Island) and isinstance(block.front, Repeat):
        rows, beats = np.divmod(np.arange(out.beats), out.row_beats)
        passes = rows % block.front.factor[0]
        one = rows // block.front.factor[0] * frame.row_beats + np.where(passes, frame.row_beats, beats + 1)
    elif (isinstance(block, Steps) and not block.node.sequence) or (
        isinstance(block, Island) and isinstance(block.front, Reduce)
    ):
        one = np.array([frame.beats])
    elif isinstance(block, Narrow):
        per_line = (block.line_beats - 1) * block.ratio + block.last_parts
        lines, part = np.divmod(np.arange(frame.beats // block.line_beats * per_line), per_line)
        one = lines * block.line_beats + part // block.ratio + 1
    elif isinstance(block, Regroup):
        rows, beats = np.divmod(np.arange(out.beats), out.row_beats)
        one = rows * frame.row_beats - (-(beats + 1) * out.lanes // frame.lanes)
    elif isinstance(block, Widen | Folded):
        parts = block.ratio if isinstance(block, Widen) else block.beats
        one = (np.arange(frame.beats // parts) + 1) * parts
    else:
        one = np.arange(1, frame.beats + 1)
    if len(one) != out.beats:
        raise InternalError(f"block '{block.name}' gives {len(one)} beats of {out.beats}")
    every = np.concatenate([one + f * frame.beats for f in range(_FRAMES)])
    return every, every


def _window_takes(front: Window, frame: Layout, out: Layout) -> tuple[Counts, Counts]:
    steps = scan(frame, front.geometry)
    rows, beats = np.divmod(np.arange(out.beats), out.row_beats)
    place = rows * steps.stride_rows * steps.step_beats + beats * steps.stride_beats
    every = np.concatenate([place + f * steps.steps for f in range(_FRAMES)]) + steps.lag
    # Beats taken up to and including a step: those inside the input frame.
    frames, inside = np.divmod(every, steps.steps)
    row, beat = np.divmod(inside, steps.step_beats)
    whole = np.minimum(row, steps.rows) * steps.beats
    taken = frames * frame.beats + whole + np.where(row < steps.rows, np.minimum(beat + 1, steps.beats), 0)
    own_end = (np.arange(len(every)) // out.beats + 1) * frame.beats
    return np.minimum(taken, own_end), taken
