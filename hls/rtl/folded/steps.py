"""Functions of few steps, a different one for each channel: a search in memories that the output fold addresses.

A lane holds the code against the middle step, then against the middle one of the half it lies in, and so on: one
comparator and one memory for each bit of the number of steps. The level of that number is read from a last
memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dwell.hls.qmodel import Codes, Node, Table, Tensor
from dwell.hls.qmodel.kernels import evaluate
from dwell.hls.qmodel.ranges import Interval, of_channel
from dwell.hls.rtl.circuit.builder import Range
from dwell.hls.rtl.folded.matrix import MatrixUnit
from dwell.hls.rtl.folded.memory import Memory

#: Most bits of the number of steps.
MOST_BITS = 8

#: Sums tried one by one to find the steps of a chain of nodes; all channels of them together.
_MOST_CODES, _MOST_TRIED = 1 << 16, 1 << 22


@dataclass(frozen=True)
class StepUnit:
    """A search for each of `pe` lanes over sums `source`.

    `breaks[c]` are the 2**bits - 1 rising codes of channel c at which its level changes, `levels[c]` the 2**bits
    levels, codes of `frac` fraction bits. `result` holds every level.
    """

    layer: str
    pe: int
    bits: int
    source: Range
    breaks: tuple[tuple[int, ...], ...]
    levels: tuple[tuple[int, ...], ...]
    result: Range
    shared: bool  # all channels have the same levels, for good

    @property
    def latency(self) -> int:
        """Clocks from sums to results."""
        return 2 * self.bits + 1

    @property
    def nf(self) -> int:
        """Output folds."""
        return len(self.breaks) // self.pe

    @property
    def channels(self) -> tuple[Range, ...]:
        return (self.result,) * len(self.breaks)

    def memories(self) -> tuple[Memory, ...]:
        """Of each lane: one for each bit, then the levels."""
        found = []
        for lane in range(self.pe):
            mine = range(lane, len(self.breaks), self.pe)
            for stage in range(self.bits):
                width = self.bits - 1 - stage
                words = [
                    self.breaks[c][((prefix << 1 | 1) << width) - 1]
                    for c in mine
                    for prefix in range(1 << stage)
                ]
                found.append(self._memory(f"steps_{lane}_{stage}", words, self.source.bits))
            words = [v for c in (mine[:1] if self.shared else mine) for v in self.levels[c]]
            found.append(self._memory(f"levels_{lane}", words, self.result.bits))
        return tuple(found)

    def _memory(self, kind: str, codes: Sequence[int], width: int) -> Memory:
        mask = (1 << width) - 1
        return Memory(self.layer, kind, width, tuple(code & mask for code in codes), 1)


def plan_steps(
    unit: MatrixUnit, nodes: Sequence[Node], tensors: Mapping[str, Tensor], *, any_weights: bool
) -> StepUnit | None:
    """The search for element-wise `nodes` after the sums of `unit`, or None where it has too many steps.

    With `any_weights` (of a single table) there is room for as many steps as the table has, and for every level
    of its output's type.
    """
    last = tensors[nodes[-1].output]
    source, count = unit.sum_range, unit.folding.outputs
    if len(nodes) == 1 and isinstance(nodes[0], Table):
        found = _of_table(nodes[0], unit, tensors[nodes[0].inputs[0]].type.frac)
        most = nodes[0].breaks.shape[1] if any_weights else max(len(b) for b, _ in found)
    elif any_weights or not _few(source, count):
        return None
    else:
        found = _by_trial(unit, nodes, tensors)
        most = max(len(b) for b, _ in found)
    bits = max(most.bit_length(), 1)
    if bits > MOST_BITS:
        return None
    whole = [_padded(breaks, levels, bits, source.hi) for breaks, levels in found]
    levels = [row for _, row in whole]
    values = [v for row in levels for v in row]
    result = Range(min(values), max(values), last.type.frac)
    if any_weights:
        result = Range(last.type.lo, last.type.hi, last.type.frac)
    return StepUnit(
        unit.layer, unit.folding.pe, bits, source,
        tuple(tuple(row) for row, _ in whole), tuple(tuple(row) for row in levels), result,
        shared=not any_weights and len(set(map(tuple, levels))) == 1 and count > 0,
    )  # fmt: skip


def _few(source: Range, channels: int) -> bool:
    """Whether every sum of every channel can be tried."""
    codes = source.hi - source.lo + 1
    return codes <= _MOST_CODES and codes * channels <= _MOST_TRIED


Steps = tuple[list[int], list[int]]


def _of_table(node: Table, unit: MatrixUnit, in_frac: int) -> list[Steps]:
    """Breaks as codes of the sums, and levels, of each channel."""
    up = in_frac - unit.frac
    out: list[Steps] = []
    for channel, span in enumerate(unit.sums):
        breaks = [_ceiled(int(b), up) for b in of_channel(node.breaks, channel)]
        levels = [int(v) for v in of_channel(node.levels, channel)]
        out.append(_reached(breaks, levels, span))
    return out


def _ceiled(code: int, down: int) -> int:
    """The least code of `down` fewer fraction bits that is not below `code`."""
    return -((-code) >> down) if down >= 0 else code << -down


def _reached(breaks: list[int], levels: list[int], span: Range) -> Steps:
    """Without the steps that no code of `span` takes or that every code takes."""
    first = sum(b <= span.lo for b in breaks)
    last = sum(b <= span.hi for b in breaks)
    return breaks[first:last], levels[first : last + 1]


def _by_trial(unit: MatrixUnit, nodes: Sequence[Node], tensors: Mapping[str, Tensor]) -> list[Steps]:
    """The steps of a chain of nodes, found by trying every sum."""
    span = unit.sum_range
    sums = np.arange(span.lo, span.hi + 1, dtype=np.int64)
    up = tensors[nodes[0].inputs[0]].type.frac - unit.frac
    codes: Codes = np.repeat((sums << up if up >= 0 else sums >> -up)[:, None], unit.folding.outputs, axis=1)
    for node in nodes:
        whole = Interval(tuple(int(v) for v in codes.min(axis=0)), tuple(int(v) for v in codes.max(axis=0)))
        codes = evaluate(node, [tensors[node.inputs[0]]], tensors[node.output], whole, [codes])
    out: list[Steps] = []
    for channel in range(unit.folding.outputs):
        at = np.flatnonzero(np.diff(codes[:, channel])) + 1
        breaks = [int(sums[i]) for i in at]
        levels = [int(codes[0, channel]), *(int(codes[i, channel]) for i in at)]
        out.append(_reached(breaks, levels, unit.sums[channel]))
    return out


def _padded(breaks: list[int], levels: list[int], bits: int, highest: int) -> Steps:
    """As many steps as the search has room for; what is added changes nothing at any code that occurs."""
    more = (1 << bits) - 1 - len(breaks)
    return breaks + [highest] * more, levels + [levels[-1]] * more
