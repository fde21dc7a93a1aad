"""The body of a recurrence as a design of its own, and how many clocks a step takes in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from dwell.errors import ConfigError, InternalError
from dwell.hls.qmodel import Conv2D, Dense, QModel, Recurrent
from dwell.hls.qmodel.ranges import Interval, steps_interval
from dwell.hls.qmodel.recurrence import INSIDE, named_body
from dwell.hls.rtl.circuit.builder import Range
from dwell.hls.rtl.options import RtlOptions
from dwell.hls.rtl.stream.blocks import Plan
from dwell.hls.rtl.stream.clocks import Running
from dwell.hls.rtl.verilog.names import identifier

#: Steps that are followed, and clocks after which one that has not come out is given up.
_STEPS, _MOST_CLOCKS = 6, 1_000_000


@dataclass(frozen=True)
class Body:
    """A body in hardware: a design from a beat to a beat, whose top module is `top`.

    `latency` is the clocks from a step's beat to its result, with no other step in the body.
    """

    top: str
    modules: Mapping[str, str]
    layers: tuple[Mapping[str, Any], ...]
    latency: int
    checked: int


def bodies_of(model: QModel) -> Iterator[tuple[Recurrent, QModel]]:
    """Each recurrence with its body, the names of whose nodes begin with its own."""
    for node in model.order():
        if isinstance(node, Recurrent):
            name = f"{identifier(model.name)}_{identifier(node.name)}_body"
            yield node, replace(named_body(node), name=name)


def options_outside(model: QModel, options: RtlOptions) -> RtlOptions:
    """The options for what is outside of bodies. Raises `ConfigError` for weights of a body that shall be reloaded."""
    nodes = [node for node in model.order() if isinstance(node, Recurrent)]
    if nodes and options.reload:
        raise ConfigError(
            f"'{nodes[0].name}' repeats a body, and weights inside a body cannot be reloaded",
            hint="leave --reload out",
            place="convert.reload",
        )
    if isinstance(options.reuse, int):
        return options
    names = {node.name for node in nodes}
    rest = {key: value for key, value in options.reuse.items() if key.partition(INSIDE)[0] not in names}
    return replace(options, reuse=rest or 1)


def options_inside(node: Recurrent, body: QModel, options: RtlOptions) -> RtlOptions:
    """The options for a body: reuse by the names of its layers, or by that of the recurrence for all of them."""
    inside = replace(options, pixels_per_clock=1, reload=False)
    if isinstance(options.reuse, int):
        return inside
    found = {key: value for key, value in options.reuse.items() if key.startswith(f"{node.name}{INSIDE}")}
    if node.name in options.reuse:
        whole = {n.name: options.reuse[node.name] for n in body.nodes if isinstance(n, Conv2D | Dense)}
        found = whole | found
    return replace(inside, reuse=found or 1)


def spans_of(
    node: Recurrent, spans: tuple[Range, ...], in_frac: int
) -> tuple[tuple[Range, ...], tuple[Range, ...]]:
    """Intervals of the results and of the state, for features of `spans`."""
    ups = [in_frac - span.frac for span in spans]
    if min(ups) < 0:
        raise InternalError(f"'{node.name}' reads finer codes than its tensor has")
    fed = Interval(
        tuple(s.lo << up for s, up in zip(spans, ups, strict=True)),
        tuple(s.hi << up for s, up in zip(spans, ups, strict=True)),
    )
    results, state = steps_interval(node, in_frac, fed)
    of_results, of_state = (
        tuple(Range(lo, hi, node.frac) for lo, hi in zip(i.lo, i.hi, strict=True)) for i in (results, state)
    )
    return of_results, of_state


def step_latency(plan: Plan) -> int:
    """Clocks from a step's beat to its result, where the next one comes a clock after the result at the earliest.

    Raises `InternalError` where steps differ, or do not come out.
    """
    run = Running(plan, 0)
    started, found = -1, []
    for clock in range(_MOST_CLOCKS):
        run.entry.left = int(started < 0)
        gone, taken = run.clock()
        if gone:
            found.append(clock - started)
            started = -1
            if len(found) == _STEPS:
                break
        elif taken:
            started = clock
    if len(found) < _STEPS or len(set(found)) != 1:
        raise InternalError(f"steps through a body take {found} clocks")
    return found[0]
