"""Codes to beats and back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dwell.hls.qmodel import FixedPoint
from dwell.sim.dut import Port
from dwell.sim.packing import frame_flags, pack, port_flags, unpack

pytestmark = pytest.mark.fast

KINDS = st.builds(FixedPoint, st.booleans(), st.integers(1, 40), st.just(0))


def _port(kind: FixedPoint, elements: int, *, spare: int = 0, extend: bool = False) -> Port:
    size = (elements * kind.width + 7) // 8 + spare
    return Port(kind, (elements,), elements, size, 1, extend)


@given(KINDS, st.integers(1, 200), st.integers(0, 2**32), st.booleans())
def test_what_is_packed_is_unpacked(kind: FixedPoint, elements: int, seed: int, extend: bool) -> None:
    codes = np.random.default_rng(seed).integers(kind.lo, kind.hi, (20, elements), endpoint=True)
    codes[0], codes[1] = kind.lo, kind.hi
    port = _port(kind, elements, spare=1, extend=extend)
    assert (unpack(pack(codes, port), port) == codes).all()


@given(KINDS, st.integers(1, 50), st.integers(0, 2**32))
def test_packing_agrees_with_python_integers(kind: FixedPoint, elements: int, seed: int) -> None:
    codes = np.random.default_rng(seed).integers(-(2**39), 2**39, (5, elements))
    for row, beat in zip(codes.tolist(), pack(codes, _port(kind, elements)), strict=True):
        word = sum((value & ((1 << kind.width) - 1)) << (kind.width * at) for at, value in enumerate(row))
        assert int.from_bytes(beat.tobytes(), "little") == word


def test_padding_is_the_sign_where_asked_for() -> None:
    codes = np.array([[-3], [3]])
    kind = FixedPoint(True, 12, 0)
    assert pack(codes, _port(kind, 1, extend=True)).tolist() == [[0xFD, 0xFF], [3, 0]]
    assert pack(codes, _port(kind, 1)).tolist() == [[0xFD, 0x0F], [3, 0]]


def test_too_few_bytes_are_refused() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        pack(np.zeros((1, 2), dtype=np.int64), Port(FixedPoint(False, 9, 0), (2,), 2, 2, 1, False))


def test_flags_mark_the_first_beat_and_every_line_end() -> None:
    assert frame_flags(2, 3).tolist() == [1, 0, 2, 0, 0, 2]
    assert frame_flags(1, 1).tolist() == [3]
    kind = FixedPoint(False, 4, 0)
    lanes = Port(kind, (2, 6, 3), 9, 5, 2, False)
    assert port_flags(lanes, (2, 6, 3)).tolist() == [1, 2, 0, 2]
    assert port_flags(Port(kind, (10,), 5, 3, 2, True), (10,)).tolist() == [1, 2]
    assert port_flags(Port(kind, (8, 8, 1), 1, 1, 0, False), (3, 2, 1)).tolist() == [1, 2, 0, 2, 0, 2]
