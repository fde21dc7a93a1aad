"""The golden model of what FINN keeps: the last layer's bias goes to the result's offset."""

from __future__ import annotations

import numpy as np
import pytest

from dwell.hls.finn.golden import to_last_sum
from dwell.hls.qmodel import FixedPoint, QModel, run_codes, value_range
from dwell.hls.qmodel.build import Builder

pytestmark = pytest.mark.fast


def network(bias: list[int], bias_frac: int) -> QModel:
    build = Builder()
    build.input("x", (6, 5, 1), FixedPoint(False, 4, 2))
    weight = np.random.default_rng(1).integers(-3, 4, (3, 3, 1, len(bias)))
    build.conv2d("sum", "x", weight, 3, bias, bias_frac)
    return build.finish("net", "sum")


@pytest.mark.parametrize(("bias", "bias_frac"), [([-7], 5), ([3, -100], 5), ([5, 9], 8), ([2, 2], 1)])
def test_what_the_codes_stand_for_stays(bias: list[int], bias_frac: int) -> None:
    whole = network(bias, bias_frac)
    cut = to_last_sum(whole)
    codes = np.random.default_rng(2).integers(0, 16, (20, 6, 5, 1))
    values = [one.to_real("sum", run_codes(one, codes)) for one in (whole, cut)]
    assert np.array_equal(*values)
    assert cut.tensors["sum"].type.frac == 5  # of the products alone
    low, high = value_range(cut, "sum")
    kind = cut.tensors["sum"].type
    assert kind == FixedPoint.holding(int(low.min()), int(high.max()), 5)


def test_one_offset_where_all_are_alike() -> None:
    assert to_last_sum(network([2, 2], 1)).tensors["sum"].offset == 1.0
    assert to_last_sum(network([4, 2], 1)).tensors["sum"].offset == (2.0, 1.0)


def test_a_network_without_a_bias_stays_as_it_is() -> None:
    whole = network([0, 0], 5)
    assert to_last_sum(whole) is whole
