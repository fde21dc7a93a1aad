"""A cell of a recurrent layer as the body of one node: read once, whatever the number of steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from dwell.hls.frontends.keras_net.lowering import Lowering
from dwell.hls.frontends.keras_net.values import Value
from dwell.hls.qmodel import Codes, FixedPoint, Overflow, Rounding
from dwell.hls.qmodel.recurrence import INSIDE

#: The features of a step and the states before it, to the results of the step and the states after it.
Cell = Callable[[Lowering, Value, list[Value]], tuple[Value, list[Value]]]

#: Times that a cell is read to find the types of its states.
_MOST_ROUNDS = 4


@dataclass(frozen=True)
class _Read:
    """A cell as it was read: the graph under way, and the tensors of its results and its states."""

    low: Lowering
    results: str
    states: tuple[str, ...]

    def kind(self, name: str) -> FixedPoint:
        """The narrowest type of a tensor and of zero, which is what a state begins with."""
        interval = self.low.build.interval(name)
        least, most = min(interval.least, 0), max(interval.greatest, 0)
        return FixedPoint.holding(least, most, self.low.build.tensor(name).type.frac)


def rolled(low: Lowering, value: Value, units: Sequence[int], cell: Cell, *, sequence: bool) -> Value:
    """`cell` once for each row of `value` (steps, features), with states of `units` codes that begin at zero.

    A state has the type of what the cell makes of it, which is known when the cell has been read; the cell is read
    again with that type. Refuses a cell whose states have other types each time: they are not quantized.
    """
    if not (value.scale == 1.0).all():
        low.refuse("its input has a scale that is no power of two", "quantize its input with alpha=1")
    tensor, interval = low.build.tensor(value.name), low.build.interval(value.name)
    feature = FixedPoint.holding(min(interval.least, 0), max(interval.greatest, 0), tensor.type.frac)
    sizes = (tensor.shape[-1], *units)
    kinds = [feature] * (len(sizes) + 1)  # of the features, of each state, of the results
    for _ in range(_MOST_ROUNDS):
        read = _read(low, sizes, kinds, cell)
        found = [feature, *(read.kind(name) for name in (*read.states, read.results))]
        if found == kinds:
            break
        kinds = found
    else:
        low.refuse("its state is not quantized", "give it a state quantizer")
    return _node(low, value, kinds, read, sequence)


def _read(low: Lowering, sizes: Sequence[int], kinds: Sequence[FixedPoint], cell: Cell) -> _Read:
    inside = low.inside()
    build = inside.build
    build.input("taken", (sum(sizes),), _holding(kinds))
    parts, at = [], 0
    for size, kind in zip(sizes, kinds[:-1], strict=True):
        part = build.slice(inside.fresh("part"), "taken", 0, at, at + size)
        # Each in its own type: no code changes, and what is wider than it would have to be is cut off.
        parts.append(Value(build.cast(inside.fresh("own"), part, (kind,), Rounding.TRN, Overflow.WRAP)))
        at += size
    results, states = cell(inside, parts[0], parts[1:])
    return _Read(inside, _exact(inside, results), tuple(_exact(inside, state) for state in states))


def _holding(kinds: Sequence[FixedPoint]) -> FixedPoint:
    """A type of the finest fraction that holds the codes of all `kinds`."""
    frac = max(kind.frac for kind in kinds)
    ends = [end << (frac - kind.frac) for kind in kinds for end in (kind.lo, kind.hi)]
    return FixedPoint.holding(min(ends), max(ends), frac)


def _exact(low: Lowering, value: Value) -> str:
    """The tensor of a vector that leaves a cell: codes, with nothing pending."""
    done = low.padded(value)
    if done.steps or not (done.scale == 1.0).all():
        what = " and ".join(step.text for step in done.steps) or "a scale that is no power of two"
        low.refuse(f"{what} of its state is not quantized", "quantize its activations and its state")
    if done.noise:
        low.refuse("sums of more than 24 bits, which its own float32 rounds", "quantize it more coarsely")
    return done.name


def _node(low: Lowering, value: Value, kinds: Sequence[FixedPoint], read: _Read, sequence: bool) -> Value:
    """The node, and its results in their own type."""
    inside, build, own = read.low, read.low.build, kinds[-1]
    whole = _holding(kinds)
    given = build.concat("given", (read.results, *read.states))
    have = build.tensor(given).type
    if have.frac < whole.frac:  # the features are finer than the states
        up = whole.frac - have.frac
        kind = FixedPoint(have.signed, have.width + up, whole.frac)
        given = build.cast("aligned", given, (kind,), Rounding.TRN, Overflow.SAT)
    name = low.fresh("recurrent")
    body = build.finish(f"{name}_body", given, inside.quantizers)
    initial: Codes = np.zeros(body.tensors[body.input].shape[0] - low.shape(value)[-1], dtype=np.int64)
    made = low.build.recurrent(name, value.name, body, initial, sequence=sequence)
    low.slack.update({f"{name}{INSIDE}{tensor}": slack for tensor, slack in inside.slack.items()})
    low.notes += inside.notes
    if own.frac == whole.frac:
        return Value(made)
    return Value(low.build.cast(low.fresh("own"), made, (own,), Rounding.TRN, Overflow.SAT))
