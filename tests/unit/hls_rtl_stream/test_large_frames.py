"""Large frames: depths as if they had been followed, clocks as bounds that hold and are close."""

from __future__ import annotations

import pytest
from stream_models import ACT, Net

from dwell.hls.qmodel import QModel
from dwell.hls.rtl import RtlOptions
from dwell.hls.rtl.stream import clocks
from dwell.hls.rtl.stream.blocks import Fifo
from dwell.hls.rtl.stream.lower import lower_stream
from dwell.hls.rtl.stream.shrink import samples, shrunk

pytestmark = pytest.mark.fast


def branched() -> QModel:
    net = Net((32, 56, 1))
    a = net.cast("qa", net.conv("ca", net.at, 2))
    b = net.cast("qb", net.conv("cb", a, 2, (5, 5), (2, 2, 2, 2)))
    return net.finish(net.cast("qt", net.b.add("total", b, a)))


def strided() -> QModel:
    net = Net((40, 56, 2))
    at = net.cast("q1", net.conv("c1", net.at, 2, stride=(2, 2), padding=(0, 1, 0, 1)), ACT)
    return net.finish(net.cast("q2", net.conv("c2", at, 2)))


def valid() -> QModel:
    net = Net((40, 56, 1))
    return net.finish(net.cast("q", net.conv("c", net.at, 2, padding=(0, 0, 0, 0))))


MODELS = {"branched": branched, "strided": strided, "valid": valid}


@pytest.mark.parametrize("lanes", [1, 2])
@pytest.mark.parametrize("name", sorted(MODELS))
def test_bounds_hold_and_are_close(name: str, lanes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = lower_stream(MODELS[name](), RtlOptions(pixels_per_clock=lanes))
    followed, exact = clocks.sized(plan)
    monkeypatch.setattr(clocks, "_MOST_CLOCKS", 100)
    assert samples(plan) is not None
    found, bound = clocks.sized(plan)
    assert exact.exact and not bound.exact
    assert exact.latency <= bound.latency <= exact.latency * 1.1 + 20
    assert exact.frame_cycles <= bound.frame_cycles <= exact.frame_cycles * 1.1 + 20
    depths = [[b.depth for b in p.blocks if isinstance(b, Fifo)] for p in (followed, found)]
    assert depths[0] == depths[1]


def test_a_small_frame_is_followed() -> None:
    net = Net((6, 8, 1))
    assert samples(lower_stream(net.finish(net.conv("c", net.at, 1)), RtlOptions())) is None


def test_a_frame_in_one_beat_hangs_on_its_size() -> None:
    net = Net((40, 40, 1), seed=2)
    at = net.cast("q", net.conv("c", net.at, 1, stride=(4, 4), padding=(0, 0, 0, 0)))
    plan = lower_stream(net.finish(net.dense("d", net.b.flatten("flat", at), 2)), RtlOptions())
    assert shrunk(plan, (40, 40)) == plan
    assert shrunk(plan, (20, 20)) is None and samples(plan) is None
