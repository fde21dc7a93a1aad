"""FIFOs before joins: deep enough that nothing blocks, and no deeper; the model of the flow says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from stream_models import LAYERS, Net

from dwell.errors import InternalError
from dwell.hls.qmodel import Pooling, QModel
from dwell.hls.rtl import RtlOptions
from dwell.hls.rtl.stream.blocks import Fifo, Plan
from dwell.hls.rtl.stream.clocks import follow, sized
from dwell.hls.rtl.stream.lower import lower_stream

pytestmark = pytest.mark.fast

ENDLESS = 10**9


def skip(frame: tuple[int, int], kernel: int, layers: int = 1, dilation: int = 1) -> QModel:
    """Convolutions beside a branch that has nothing in it but the FIFO."""
    net = Net((*frame, 1))
    at, pad = net.at, (kernel - 1) * dilation // 2
    for n in range(layers):
        at = net.conv(f"c{n}", at, 1, (kernel, kernel), (pad,) * 4, dilation=(dilation, dilation))
        at = net.cast(f"q{n}", at)
    return net.finish(net.b.concat("both", [at, net.at]))


def pooled() -> QModel:
    """Branches that both come down to half the size, by different ways."""
    net = Net((8, 8, 2))
    a = net.cast("qa", net.conv("ca", net.at, 2, stride=(2, 2)))
    b = net.b.pool2d("p", net.at, Pooling.MAX, (2, 2))
    return net.finish(net.cast("qt", net.b.add("total", a, net.cast("qb", net.conv("cb", b, 2)))))


def nested() -> QModel:
    """A residual inside a residual."""
    net = Net((6, 8, 2))
    a = net.cast("qa", net.conv("ca", net.at, 2))
    inner = net.cast("qi", net.b.add("inner", net.cast("qb", net.conv("cb", a, 2)), a))
    return net.finish(net.cast("qo", net.b.add("outer", inner, net.at)))


def doubled() -> QModel:
    """One tensor, read twice by one node."""
    net = Net()
    return net.finish(net.b.multiply("square", net.at, net.at))


MODELS = {
    "skip": lambda: skip((8, 8), 3),
    "large": lambda: skip((8, 8), 5),
    "two": lambda: skip((8, 8), 3, layers=2),
    "dilated": lambda: skip((6, 8), 3, dilation=2),
    "row": lambda: skip((1, 8), 3),
    "small": lambda: skip((3, 4), 3),
    "pooled": pooled,
    "nested": nested,
    "doubled": doubled,
    "residual": LAYERS["residual"],
    "product": LAYERS["product"],
    "pools": LAYERS["global_pools"],
}


def with_depths(plan: Plan, depths: Sequence[int]) -> Plan:
    """The plan with other depths, in the order of its FIFOs."""
    left = iter(depths)
    return replace(
        plan, blocks=tuple(replace(b, depth=next(left)) if isinstance(b, Fifo) else b for b in plan.blocks)
    )


def fifos(plan: Plan) -> list[Fifo]:
    return [b for b in plan.blocks if isinstance(b, Fifo)]


@pytest.mark.parametrize("lanes", [1, 2, 4])
@pytest.mark.parametrize("name", sorted(MODELS))
def test_depths(name: str, lanes: int) -> None:
    plan, pace = sized(lower_stream(MODELS[name](), RtlOptions(pixels_per_clock=lanes)))
    found, timing = fifos(plan), follow(plan)
    assert (pace.latency, pace.frame_cycles) == (timing.latency, timing.frame_cycles)
    assert found and all(f.depth >= f.bound >= 1 for f in found)
    endless = follow(with_depths(plan, [ENDLESS] * len(found)))
    # Full speed, and the most that a FIFO ever holds is one place below its depth.
    assert (timing.latency, timing.frame_cycles) == (endless.latency, endless.frame_cycles)
    assert all(timing.high[f.output] < f.depth for f in found)
    # The bound alone is enough to go on, if not at full speed.
    assert follow(with_depths(plan, [f.bound for f in found])).last_out


@pytest.mark.parametrize("name", ["skip", "large", "two", "dilated"])
def test_the_bound_is_tight(name: str) -> None:
    """Two beats can wait beside a FIFO: one in its output register, one before the fork. A third place less blocks."""
    plan, _ = sized(lower_stream(MODELS[name](), RtlOptions()))
    found = fifos(plan)
    deepest = max(f.bound for f in found)
    assert follow(with_depths(plan, [min(f.bound, deepest - 2) for f in found])).last_out
    with pytest.raises(InternalError, match="stands still after 0 beats"):
        follow(with_depths(plan, [min(f.bound, deepest - 3) for f in found]))


@pytest.mark.parametrize("name", ["skip", "two", "residual"])
def test_one_place_less_is_slower(name: str) -> None:
    plan, _ = sized(lower_stream(MODELS[name](), RtlOptions()))
    found, timing = fifos(plan), follow(plan)
    deepest = max(f.depth for f in found)
    slower = follow(with_depths(plan, [min(f.depth, deepest - 1) for f in found]))
    assert slower.last_in[2] > timing.last_in[2]


def test_results_that_need_no_last_beats_go_before_them() -> None:
    """A stride that leaves the last rows unread: the frame's results are out before the frame is in."""
    net = Net((6, 8, 1))
    model = net.finish(net.cast("q", net.conv("c", net.at, 1, (1, 1), (0, 0, 0, 0), stride=(4, 1))))
    _, pace = sized(lower_stream(model, RtlOptions()))
    assert pace.exact and pace.latency < 0 and pace.frame_cycles == 48
