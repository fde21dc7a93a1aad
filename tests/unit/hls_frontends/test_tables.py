"""The steps of a function: those of the function at every value, however they are found."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dwell.hls.frontends import tables
from dwell.hls.frontends.tables import Steps, TableError, steps_of
from dwell.hls.qmodel import Codes

pytestmark = pytest.mark.fast


def check(steps: Steps, function: tables.Function, lo: Codes, hi: Codes) -> None:
    """Every value of every channel, against the function itself."""
    for at, (low, high) in enumerate(zip(lo, hi, strict=True)):
        codes = np.broadcast_to(np.arange(low, high + 1)[:, None], (high - low + 1, len(lo)))
        row = 0 if len(steps.breaks) == 1 else at
        got = steps.levels[row][np.searchsorted(steps.breaks[row], codes[:, at], side="right")]
        assert np.array_equal(got, function(codes)[:, at])
    assert (np.diff(steps.breaks, axis=1) >= 0).all()


def rounded(gain: Codes, shift: Codes) -> tables.Function:
    def function(codes: Codes) -> Codes:
        return np.clip(np.rint(codes * gain / 16.0 + shift), -3, 9).astype(np.int64)

    return function


channels = st.lists(
    st.tuples(st.integers(-9, 9), st.integers(-40, 40), st.integers(-300, 200), st.integers(0, 400)),
    min_size=1,
    max_size=5,
)


@given(channels)
@settings(max_examples=60, deadline=None)
def test_scan_and_bisection_find_the_function(rows: list[tuple[int, int, int, int]]) -> None:
    gain, shift, lo, span = (np.array(column, dtype=np.int64) for column in zip(*rows, strict=True))
    function, hi = rounded(gain, shift), lo + span
    check(steps_of(function, lo, hi), function, lo, hi)
    parts = tables._bisect(function, lo, hi, 100)
    check(tables._packed(parts, hi), function, lo, hi)


def test_levels_may_rise_and_fall_where_every_value_is_tried() -> None:
    def bump(codes: Codes) -> Codes:
        return np.asarray(np.abs(codes) // 5, dtype=np.int64)

    lo, hi = np.array([-40]), np.array([60])
    check(steps_of(bump, lo, hi), bump, lo, hi)


def test_a_long_range_is_bisected_and_has_to_be_monotone() -> None:
    def line(codes: Codes) -> Codes:
        return np.clip((codes >> 20) - 7, -100, 100)

    lo, hi = np.array([-(1 << 40), -5]), np.array([1 << 40, 9])
    steps = steps_of(line, lo, hi)
    assert steps.breaks.shape[1] == 200 and set(np.diff(steps.breaks[0])) == {1 << 20}
    assert np.array_equal(steps.of(lo[None] + 3), line(lo[None] + 3))
    with pytest.raises(TableError, match="both rises and falls"):
        steps_of(lambda codes: np.abs(codes >> 20), lo, hi)


def test_channels_that_agree_become_one_row() -> None:
    steps = steps_of(lambda codes: codes // 4, np.zeros(3, int), np.full(3, 15))
    assert steps.breaks.tolist() == [[4, 8, 12]] and steps.levels.tolist() == [[0, 1, 2, 3]]


def test_a_constant_has_no_breaks_and_too_many_steps_are_refused() -> None:
    steps = steps_of(lambda codes: codes * 0 + 7, [0], [99])
    assert steps.breaks.shape == (1, 0) and steps.levels.tolist() == [[7]]
    with pytest.raises(TableError, match="more than 10 steps"):
        steps_of(lambda codes: codes, [0], [99], max_steps=10)
    with pytest.raises(TableError, match="more than 4096 steps"):
        steps_of(lambda codes: codes, [0], [1 << 40])
