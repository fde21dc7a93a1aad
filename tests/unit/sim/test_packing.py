"""Codes to beats and back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dwell.sim.packing import frame_flags, pack, unpack

pytestmark = pytest.mark.fast

CHANNELS = st.lists(st.tuples(st.integers(1, 40), st.booleans()), min_size=1, max_size=6)


@given(CHANNELS, st.integers(0, 2**32), st.booleans())
def test_what_is_packed_is_unpacked(channels: list[tuple[int, bool]], seed: int, extend: bool) -> None:
    rng = np.random.default_rng(seed)
    widths, signed = [w for w, _ in channels], [s for _, s in channels]
    lo = [-(1 << (w - 1)) if s else 0 for w, s in channels]
    hi = [(1 << (w - s)) - 1 for w, s in channels]
    codes = rng.integers(lo, hi, (50, len(channels)), endpoint=True)
    codes[0], codes[1] = lo, hi
    data = pack(codes, widths, (sum(widths) + 7) // 8 + 1, sign_extend=extend)
    assert (unpack(data, widths, signed) == codes).all()


@given(CHANNELS, st.integers(0, 2**32))
def test_packing_agrees_with_python_integers(channels: list[tuple[int, bool]], seed: int) -> None:
    rng = np.random.default_rng(seed)
    widths = [w for w, _ in channels]
    codes = rng.integers(-(2**39), 2**39, (5, len(channels)))
    size = (sum(widths) + 7) // 8
    for row, beat in zip(codes.tolist(), pack(codes, widths, size), strict=True):
        word, low = 0, 0
        for value, width in zip(row, widths, strict=True):
            word |= (value & ((1 << width) - 1)) << low
            low += width
        assert int.from_bytes(beat.tobytes(), "little") == word


def test_padding_is_the_sign_where_asked_for() -> None:
    codes = np.array([[-3], [3]])
    assert pack(codes, [12], 2, sign_extend=True).tolist() == [[0xFD, 0xFF], [3, 0]]
    assert pack(codes, [12], 2).tolist() == [[0xFD, 0x0F], [3, 0]]


def test_too_few_bytes_are_refused() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        pack(np.zeros((1, 2), dtype=np.int64), [8, 9], 2)


def test_flags_mark_the_first_pixel_and_every_line_end() -> None:
    assert frame_flags(2, 3).tolist() == [1, 0, 2, 0, 0, 2]
    assert frame_flags(1, 1).tolist() == [3]
