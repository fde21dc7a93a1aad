"""The control of every block, register for register as in the Verilog, without its data."""

from __future__ import annotations

from collections.abc import Mapping

from dwell.hls.rtl.folded.timing import Pipe, Unit
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
    Regroup,
    Repeat,
    Steps,
    Widen,
    Window,
    Wires,
)
from dwell.hls.rtl.stream.layout import Layout, Scan, scan


class Handshakes:
    """The handshakes of all links in one clock."""

    def __init__(self, links: Mapping[str, Layout]) -> None:
        self.valid = dict.fromkeys(links, False)
        self.ready = dict.fromkeys(links, False)


class Part:
    """A block's control. Valids are found from the input on, readies from the output back, then all tick."""

    def __init__(self, block: Block, wires: Handshakes) -> None:
        self.w = wires
        self.i, self.o = block.inputs, block.outputs

    def give(self) -> None:
        """Drive the valids of the outputs."""

    def take(self) -> None:
        """Drive the readies of the inputs."""

    def tick(self) -> None:
        """The clock edge."""


class Through(Part):
    """Wires, forks and joins."""

    def __init__(self, block: Wires | Join | Fork, wires: Handshakes) -> None:
        super().__init__(block, wires)
        self.done = [False] * len(self.o)

    def give(self) -> None:
        valid = all(self.w.valid[i] for i in self.i)
        for number, link in enumerate(self.o):
            self.w.valid[link] = valid and not self.done[number]

    def take(self) -> None:
        ready = all(self.w.ready[o] or d for o, d in zip(self.o, self.done, strict=True))
        joined = len(self.i) == 1 or all(self.w.valid[i] for i in self.i)
        for link in self.i:
            self.w.ready[link] = ready and joined

    def tick(self) -> None:
        if len(self.o) > 1 and self.w.valid[self.i[0]]:
            if self.w.ready[self.i[0]]:
                self.done = [False] * len(self.o)
            else:
                self.done = [d or self.w.ready[o] for o, d in zip(self.o, self.done, strict=True)]


class FifoPart(Part):
    def __init__(self, block: Fifo, wires: Handshakes) -> None:
        super().__init__(block, wires)
        self.depth, self.count, self.high = block.depth, 0, 0
        self.room, self.valid = False, False

    def give(self) -> None:
        self.w.valid[self.o[0]] = self.valid

    def take(self) -> None:
        self.w.ready[self.i[0]] = self.room

    def tick(self) -> None:
        put = self.room and self.w.valid[self.i[0]]
        load = not self.valid or self.w.ready[self.o[0]]
        get = load and self.count > 0
        self.count += put - get
        self.high = max(self.high, self.count)
        self.room = self.count != self.depth
        if load:
            self.valid = get


class _Narrow(Part):
    def __init__(self, block: Narrow, wires: Handshakes) -> None:
        super().__init__(block, wires)
        self.block, self.valid, self.part, self.beat = block, False, 0, 0

    def give(self) -> None:
        self.w.valid[self.o[0]] = self.valid

    def _ends(self) -> bool:
        last = self.beat == self.block.line_beats - 1
        return self.part == (self.block.last_parts if last else self.block.ratio) - 1

    def take(self) -> None:
        self.w.ready[self.i[0]] = not self.valid or (self.w.ready[self.o[0]] and self._ends())

    def tick(self) -> None:
        if self.valid and self.w.ready[self.o[0]]:
            if self._ends():
                self.part, self.beat = 0, (self.beat + 1) % self.block.line_beats
            else:
                self.part += 1
        if self.w.ready[self.i[0]]:
            self.valid = self.w.valid[self.i[0]]


class _Regroup(Part):
    def __init__(self, block: Regroup, wires: Handshakes, frame: Layout, out: int) -> None:
        super().__init__(block, wires)
        self.frame, self.out = frame, out
        self.count, self.beat, self.whole = 0, 0, False

    def give(self) -> None:
        self.w.valid[self.o[0]] = self.count >= self.out

    def _left(self) -> int:
        moves = self.w.valid[self.o[0]] and self.w.ready[self.o[0]]
        return self.count - self.out if moves else self.count

    def take(self) -> None:
        self.w.ready[self.i[0]] = self._left() == 0 if self.whole else self._left() < self.out

    def tick(self) -> None:
        self.count = self._left()
        if self.w.valid[self.i[0]] and self.w.ready[self.i[0]]:
            self.whole = self.beat == self.frame.row_beats - 1
            self.count += (
                self.frame.columns - self.beat * self.frame.lanes if self.whole else self.frame.lanes
            )
            self.beat = 0 if self.whole else self.beat + 1


class _Widen(Part):
    def __init__(self, block: Widen, wires: Handshakes) -> None:
        super().__init__(block, wires)
        self.ratio, self.valid, self.part = block.ratio, False, 0

    def give(self) -> None:
        self.w.valid[self.o[0]] = self.valid

    def take(self) -> None:
        self.w.ready[self.i[0]] = not self.valid or self.w.ready[self.o[0]]

    def tick(self) -> None:
        if self.w.ready[self.i[0]]:
            taken = self.w.valid[self.i[0]]
            self.valid = taken and self.part == self.ratio - 1
            if taken:
                self.part = (self.part + 1) % self.ratio


class _Island(Part):
    """A credit FIFO and what is in front of it; `step` says whether a step may be, and what it gives."""

    def __init__(self, block: Island, wires: Handshakes) -> None:
        super().__init__(block, wires)
        self.depth = 1 << block.depth_log2
        self.top = 1 << (block.latency - 1)
        self.mask = (self.top << 1) - 1
        self.tokens = self.results = 0  # shift registers, the newest lowest
        self.used = self.stored = 0
        self.ready, self.valid = False, False

    def want(self) -> bool:
        return all(self.w.valid[i] for i in self.i)

    def takes(self) -> bool:
        """Whether the step takes a beat."""
        return True

    def step(self) -> bool:
        """A step happens; whether it gives a result."""
        return True

    def give(self) -> None:
        self.w.valid[self.o[0]] = self.valid

    def take(self) -> None:
        ready = self.ready and self.takes() and (len(self.i) == 1 or self.want())
        for link in self.i:
            self.w.ready[link] = ready

    def tick(self) -> None:
        accept = self.ready and self.want()
        result = accept and self.step()
        out, done = bool(self.results & self.top), bool(self.tokens & self.top)
        self.tokens = (self.tokens << 1 | accept) & self.mask
        self.results = (self.results << 1 | result) & self.mask
        taken = self.valid and self.w.ready[self.o[0]]
        self.used += accept - taken - (done and not out)
        load = not self.valid or taken
        empty = self.stored == 0
        if load:
            self.valid = out or not empty
        self.stored += (out and not (load and empty)) - (load and not empty)
        self.ready = self.used != self.depth


class _WindowIsland(_Island):
    def __init__(self, block: Island, wires: Handshakes, steps: Scan) -> None:
        super().__init__(block, wires)
        self.s = steps
        self.row = self.beat = self.at_row = self.at_beat = 0
        self.alone = self.live = False
        self.lag = divmod(steps.lag, steps.step_beats)

    def _finish(self) -> bool:
        return self.live and self.row == 0 and self.beat == 0

    def _inside(self) -> bool:
        return self.row < self.s.rows and self.beat < self.s.beats

    def want(self) -> bool:
        return self.w.valid[self.i[0]] or not self._inside() or self.alone or self._finish()

    def takes(self) -> bool:
        return self._inside() and not self.alone

    def step(self) -> bool:
        s = self.s
        by_self = self.alone or (self._finish() and not self.w.valid[self.i[0]])
        if not by_self and (self.row, self.beat) == self.lag:
            self.live, self.at_row, self.at_beat = True, 0, 0
        result = (
            self.live
            and self.at_row % s.stride_rows == 0
            and self.at_beat % s.stride_beats == 0
            and self.at_beat < s.result_beats
        )
        ends = self.live and (self.at_row, self.at_beat) == (s.result_rows - 1, s.result_beats - 1)
        self.live = self.live and not ends
        self.at_beat += 1
        if self.at_beat == s.step_beats:
            self.at_row, self.at_beat = self.at_row + 1, 0
        self.alone = by_self and not ends
        self.beat += 1
        if self.beat == s.step_beats:
            self.row, self.beat = (self.row + 1) % s.step_rows, 0
        if by_self and ends:
            self.row = self.beat = 0
        return result


class _RepeatIsland(_Island):
    def __init__(self, block: Island, wires: Handshakes, frame: Layout, factor: int) -> None:
        super().__init__(block, wires)
        self.beats, self.factor, self.beat, self.turn = frame.row_beats, factor, 0, 0

    def want(self) -> bool:
        return self.turn > 0 or self.w.valid[self.i[0]]

    def takes(self) -> bool:
        return self.turn == 0

    def step(self) -> bool:
        self.beat += 1
        if self.beat == self.beats:
            self.beat, self.turn = 0, (self.turn + 1) % self.factor
        return True


class _ReduceIsland(_Island):
    def __init__(self, block: Island, wires: Handshakes, frame: Layout) -> None:
        super().__init__(block, wires)
        self.beats, self.beat = frame.beats, 0

    def step(self) -> bool:
        self.beat = (self.beat + 1) % self.beats
        return self.beat == 0


class _Folded(Part):
    """A folded layer: the model of its flow is that of the layer's own room."""

    def __init__(self, block: Folded, wires: Handshakes) -> None:
        super().__init__(block, wires)
        layer, fold = block.layer, block.layer.unit.folding
        pipe = Pipe(1 << layer.fifo_log2, layer.beats)
        spacing = fold.sf * (fold.nf // layer.beats)
        self.unit = Unit(block.beats, layer.slots, fold.reuse, layer.pipeline, spacing, pipe)

    def give(self) -> None:
        self.w.valid[self.o[0]] = self.unit.valid()

    def take(self) -> None:
        self.w.ready[self.i[0]] = self.unit.ready()

    def tick(self) -> None:
        taken = self.w.valid[self.i[0]] and self.w.ready[self.i[0]]
        self.unit.clock(taken, self.w.valid[self.o[0]] and self.w.ready[self.o[0]])


class _Steps(Part):
    """`dwell_recurrent`, with a body in which every step takes as long."""

    def __init__(self, block: Steps, wires: Handshakes, beats: int) -> None:
        super().__init__(block, wires)
        self.latency, self.beats, self.all = block.latency, beats, block.node.sequence
        self.step = self.left = 0
        self.busy = self.leaves = self.held = False

    def give(self) -> None:
        self.w.valid[self.o[0]] = self.held

    def take(self) -> None:
        self.w.ready[self.i[0]] = not self.busy

    def tick(self) -> None:
        starts = self.w.valid[self.i[0]] and not self.busy
        ends = self.busy and self.left == 0 and not (self.leaves and self.held)
        self.left = max(self.left - 1, 0)
        self.held = (ends and self.leaves) or (self.held and not self.w.ready[self.o[0]])
        self.busy = starts or (self.busy and not ends)
        if starts:
            self.left = self.latency - 1
            self.step = (self.step + 1) % self.beats
            self.leaves = self.all or self.step == 0


class EntryPart(Part):
    """The frame guard, with a source that always has the next beat."""

    def __init__(self, block: Entry, wires: Handshakes, beats: int) -> None:
        super().__init__(block, wires)
        self.left = beats
        self.open = self.held = self.more = False
        self.taken = 0

    def give(self) -> None:
        self.w.valid[self.o[0]] = self.held

    def tick(self) -> None:
        used = self.held and self.w.ready[self.o[0]]
        taken = self.open and not self.more and self.left > 0
        self.left -= taken
        self.taken += taken
        self.more, self.held = (
            self.held and not used and (self.more or taken),
            (self.held and not used) or self.more or taken,
        )
        self.open = True


def part_of(block: Block, plan: Plan, wires: Handshakes, frames: int) -> Part:
    if isinstance(block, Entry):
        return EntryPart(block, wires, plan.links[block.output].beats * frames)
    if isinstance(block, Fifo):
        return FifoPart(block, wires)
    if isinstance(block, Folded):
        return _Folded(block, wires)
    if isinstance(block, Narrow):
        return _Narrow(block, wires)
    if isinstance(block, Regroup):
        return _Regroup(block, wires, plan.links[block.input], plan.links[block.output].lanes)
    if isinstance(block, Widen):
        return _Widen(block, wires)
    if isinstance(block, Steps):
        return _Steps(block, wires, plan.links[block.input].beats)
    if isinstance(block, Island):
        frame = plan.links[block.inputs[0]]
        if isinstance(block.front, Window):
            return _WindowIsland(block, wires, scan(frame, block.front.geometry))
        if isinstance(block.front, Repeat):
            return _RepeatIsland(block, wires, frame, block.front.factor[0])
        return (
            _ReduceIsland(block, wires, frame) if isinstance(block.front, Reduce) else _Island(block, wires)
        )
    return Through(block, wires)
