"""Power-of-two scales."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dwell.quantize.scales import activation_frac, best_frac, weight_frac


@given(frac=st.integers(-6, 14), seed=st.integers(0, 1000))
def test_values_on_a_grid_keep_it(frac: int, seed: int) -> None:
    codes = np.random.default_rng(seed).integers(-7, 8, 50)
    codes[:2] = 7, 1  # the whole range is used, and its last bit
    assert weight_frac(np.ldexp(codes.astype(float), -frac), 4) == frac


@given(seed=st.integers(0, 200), bits=st.integers(2, 8))
def test_no_neighbour_is_better(seed: int, bits: int) -> None:
    values = np.random.default_rng(seed).gamma(2.0, 1.0, 300)
    high = 2**bits - 1

    def error(frac: int) -> float:
        codes = np.clip(np.rint(values * 2.0**frac), 0, high)
        return float(np.mean((codes * 2.0**-frac - values) ** 2))

    frac = activation_frac(values, bits)
    assert error(frac) <= min(error(frac - 1), error(frac + 1))


def test_an_outlier_is_clipped_when_that_costs_less() -> None:
    values = np.r_[np.linspace(-0.8, 0.8, 2000), 1.5]
    assert weight_frac(values, 4) == 3  # ±0.875; ±1.75 would hold the outlier and round all others


@pytest.mark.parametrize("values", [np.zeros(3), np.full(3, 1e-12)])
def test_what_rounds_to_zero_everywhere_has_an_answer(values: np.ndarray) -> None:
    assert isinstance(best_frac(values, -7, 7), int)
