"""The bench's protocol checks, on signals set by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from dwell.sim.bench.recorder import ProtocolError, Recorder

pytestmark = pytest.mark.fast


class _Unknown:
    def __int__(self) -> int:
        raise ValueError("X")

    def __str__(self) -> str:
        return "XXXX"


@pytest.fixture
def watched() -> Recorder:
    names = ["s_axis_tvalid", "s_axis_tready"]
    names += [f"m_axis_{n}" for n in ("tvalid", "tready", "tdata", "tuser", "tlast")]
    return Recorder(SimpleNamespace(**{name: SimpleNamespace(value=0) for name in names}))


def _edge(watched: Recorder, **values: Any) -> None:
    for name, value in values.items():
        getattr(watched.dut, name).value = value
    watched.sample()


def test_handshakes_are_recorded_with_their_edge(watched: Recorder) -> None:
    _edge(watched, s_axis_tvalid=1, s_axis_tready=0)
    _edge(watched, s_axis_tready=1)
    _edge(watched, m_axis_tvalid=1, m_axis_tready=0, m_axis_tdata=0x1FF, m_axis_tuser=1)
    _edge(watched, m_axis_tready=1)
    _edge(watched, m_axis_tdata=7, m_axis_tuser=0, m_axis_tlast=1)
    found = watched.arrays(2)
    assert found["in_clocks"].tolist() == [1, 2, 3, 4]
    assert found["out_clocks"].tolist() == [3, 4]
    assert found["data"].tolist() == [[0xFF, 1], [7, 0]]
    assert found["flags"].tolist() == [1, 2]


def test_a_beat_taken_back_is_told(watched: Recorder) -> None:
    _edge(watched, m_axis_tvalid=1)
    with pytest.raises(ProtocolError, match="clock 1: m_axis_tvalid fell"):
        _edge(watched, m_axis_tvalid=0)


@pytest.mark.parametrize("name", ["tdata", "tuser", "tlast"])
def test_a_beat_that_changes_is_told(watched: Recorder, name: str) -> None:
    _edge(watched, m_axis_tvalid=1)
    with pytest.raises(ProtocolError, match="changed while"):
        _edge(watched, **{f"m_axis_{name}": 1})


@pytest.mark.parametrize("name", ["m_axis_tvalid", "m_axis_tdata", "m_axis_tlast", "s_axis_tready"])
def test_an_unknown_output_is_told(watched: Recorder, name: str) -> None:
    with pytest.raises(ProtocolError, match=f"{name} is XXXX"):
        _edge(watched, **{"m_axis_tvalid": 1, name: _Unknown()})


def test_unknown_data_without_valid_is_nothing(watched: Recorder) -> None:
    _edge(watched, m_axis_tdata=_Unknown())
    assert watched.clock == 1


def test_a_deadlock_is_told(watched: Recorder) -> None:
    watched.most_quiet = 10
    with pytest.raises(ProtocolError, match="clock 10: deadlock"):
        for _ in range(20):
            _edge(watched)


def test_valid_in_reset_is_told(watched: Recorder) -> None:
    watched.in_reset()
    watched.dut.m_axis_tvalid.value = 1
    with pytest.raises(ProtocolError, match="during reset"):
        watched.in_reset()
