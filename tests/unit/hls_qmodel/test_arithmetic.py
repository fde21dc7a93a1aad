"""Casts against rational arithmetic: every rounding, every overflow, codes and floats."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from slow_network import fitted, rounded

from dwell.errors import ConfigError
from dwell.hls.qmodel import FixedPoint, Overflow, Rounding
from dwell.hls.qmodel.arithmetic import cast_codes, float_to_codes
from dwell.hls.qmodel.ranges import round_int

pytestmark = pytest.mark.fast


types = st.builds(FixedPoint, st.booleans(), st.integers(1, 20), st.integers(-6, 20))


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.integers(-(2**24), 2**24), min_size=1, max_size=20),
    st.integers(-6, 20),
    types,
    st.sampled_from(Rounding),
    st.sampled_from(Overflow),
)
def test_cast_follows_the_definitions(
    codes: list[int], frac: int, kind: FixedPoint, rounding: Rounding, overflow: Overflow
) -> None:
    got = cast_codes(np.array(codes), frac, (kind,), kind.frac, rounding, overflow)
    exact = [Fraction(c) * Fraction(2) ** (kind.frac - frac) for c in codes]
    assert got.tolist() == [fitted(rounded(v, rounding), kind, overflow) for v in exact]
    assert [round_int(c, frac - kind.frac, rounding) for c in codes] == [rounded(v, rounding) for v in exact]


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.floats(-1e6, 1e6, width=64) | st.floats(-2, 2, width=32), min_size=1, max_size=20),
    types,
    st.sampled_from(Rounding),
    st.sampled_from(Overflow),
)
@example([-5e-324], FixedPoint(False, 1, -1), Rounding.TRN, Overflow.WRAP)  # its half is zero in a float
def test_floats_become_codes_without_an_intermediate_rounding(
    values: list[float], kind: FixedPoint, rounding: Rounding, overflow: Overflow
) -> None:
    got = float_to_codes(np.array(values), kind, rounding, overflow)
    exact = [Fraction(v) * Fraction(2) ** kind.frac for v in values]
    assert got.tolist() == [fitted(rounded(v, rounding), kind, overflow) for v in exact]


@pytest.mark.parametrize("rounding", list(Rounding))
def test_a_float_just_below_a_half_is_not_a_tie(rounding: Rounding) -> None:
    values = [0.5 - 2.0**-54, -0.5 + 2.0**-54, 0.5, -0.5, 1.5, -1.5, 2.0**52 + 1, -1e-300]
    got = float_to_codes(np.array(values), FixedPoint(True, 62, 0), rounding, Overflow.SAT)
    assert got.tolist() == [rounded(Fraction(v), rounding) for v in values]


def test_huge_floats_saturate_and_wrap() -> None:
    kind = FixedPoint(True, 8, 4)
    huge = np.array([1e308, -1e308])
    assert float_to_codes(huge, kind, Rounding.TRN, Overflow.SAT).tolist() == [127, -128]
    assert float_to_codes(huge, kind, Rounding.TRN, Overflow.WRAP).tolist() == [0, 0]


def test_types_per_channel_are_aligned_and_an_absent_channel_is_zero() -> None:
    kinds = (FixedPoint(False, 4, 2), FixedPoint(True, 3, 0), FixedPoint(False, 0, 9))
    got = cast_codes(np.array([[9, 9, 9], [-8, -8, -8]]), 3, kinds, 2, Rounding.TRN, Overflow.SAT)
    assert got.tolist() == [[4, 4, 0], [0, -4, 0]]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("ufixed<8,0>", FixedPoint(False, 8, 8)),
        (" fixed< 16 , 6 >", FixedPoint(True, 16, 10)),
        ("fixed<8,-2>", FixedPoint(True, 8, 10)),
        ("fixed<8,12>", FixedPoint(True, 8, -4)),
    ],
)
def test_types_are_parsed(text: str, kind: FixedPoint) -> None:
    assert FixedPoint.parse(text) == kind
    assert FixedPoint.parse(str(kind)) == kind


@pytest.mark.parametrize(
    "text",
    ["", "fixed<8>", "ap_fixed<8,3>", "fixed<0,0>", "fixed<63,3>", "fixed<8,3,RND>", "fixed<8,99>", "8"],
)
def test_other_types_are_refused(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        FixedPoint.parse(text)
    assert "fixed<W,I>" in caught.value.hint


@given(st.integers(-(2**40), 2**40), st.integers(0, 2**40), st.integers(-5, 30))
def test_the_narrowest_type_is_the_narrowest(lo: int, span: int, frac: int) -> None:
    kind = FixedPoint.holding(lo, lo + span, frac)
    assert kind.lo <= lo <= lo + span <= kind.hi
    if kind.width > 1:
        smaller = FixedPoint(kind.signed, kind.width - 1, frac)
        assert lo < smaller.lo or lo + span > smaller.hi
