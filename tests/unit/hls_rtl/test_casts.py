"""The cast primitive's arithmetic against the golden model's, exhaustively at small widths."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dwell.hls.qmodel import FixedPoint, Overflow, Rounding
from dwell.hls.qmodel.arithmetic import cast_codes
from dwell.hls.rtl.circuit.casts import OverflowMode, RoundMode, plan_cast


def check(
    lo: int, hi: int, frac: int, kind: FixedPoint, relu: bool, free: bool, mode: Rounding, over: Overflow
) -> None:
    """Every code from `lo` to `hi`, planned against the interpreter's own cast."""
    codes = np.arange(lo, hi + 1)
    plan = plan_cast(lo, hi, frac, kind, relu=relu, rounding=mode, overflow=over, free_offset=free)
    got = plan.rule.apply(codes + plan.offset)
    wanted = cast_codes(np.maximum(codes, 0) if relu else codes, frac, [kind], kind.frac, mode, over)
    np.testing.assert_array_equal(got, wanted, err_msg=f"{kind} relu={relu} free={free} {mode} {over} {plan}")
    least, most = plan.rule.bounds(lo + plan.offset, hi + plan.offset)
    assert least <= got.min() and got.max() <= most


@pytest.mark.parametrize("mode", list(Rounding))
@pytest.mark.parametrize("over", list(Overflow))
def test_every_code_of_small_types(mode: Rounding, over: Overflow) -> None:
    spans = [(-37, 41), (0, 45), (-32, -1), (-8, 7)]
    flags = itertools.product((False, True), (False, True), (False, True), (1, 2, 3, 6), (-1, 0, 1, 2, 3, 5))
    for relu, free, signed, width, drop in flags:
        for lo, hi in spans:
            check(lo, hi, 3, FixedPoint(signed, width, 3 - drop), relu, free, mode, over)


@settings(max_examples=200, deadline=None)
@given(
    st.integers(-5000, 5000), st.integers(0, 4000), st.integers(-4, 12), st.booleans(), st.integers(1, 12),
    st.integers(-4, 12), st.booleans(), st.booleans(), st.sampled_from(list(Rounding)),
    st.sampled_from(list(Overflow)),
)  # fmt: skip
def test_any_type(
    lo: int, length: int, frac: int, signed: bool, width: int, to: int, relu: bool, free: bool,
    mode: Rounding, over: Overflow,
) -> None:  # fmt: skip
    check(lo, lo + length, frac, FixedPoint(signed, width, to), relu, free, mode, over)


def test_half_to_even_after_a_sum_needs_no_incrementer() -> None:
    plan = plan_cast(
        -100, 200, 4, FixedPoint(False, 4, 0), relu=True, rounding=Rounding.RND_CONV, overflow=Overflow.SAT,
        free_offset=True,
    )  # fmt: skip
    assert plan.rule.rounding is RoundMode.EVEN_AFTER_HALF
    assert plan.offset == 8


def test_no_overflow_logic_where_nothing_can_overflow() -> None:
    plan = plan_cast(
        0,
        63,
        2,
        FixedPoint(True, 8, 0),
        relu=True,
        rounding=Rounding.TRN,
        overflow=Overflow.SAT,
        free_offset=False,
    )
    assert plan.rule.overflow is OverflowMode.WRAP
    assert (plan.rule.bits, plan.rule.signed, plan.rule.relu) == (4, False, False)
