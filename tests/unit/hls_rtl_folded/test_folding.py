"""Reuse factors: which exist, what an error says of those that do not, and choosing them."""

from __future__ import annotations

import pytest

from dwell.errors import ConfigError
from dwell.hls.rtl import RtlOptions
from dwell.hls.rtl.folded.folding import (
    Matrix,
    best_folding,
    legal_reuse,
    require_foldings,
    reuse_for_clocks,
    reuse_for_multipliers,
)

pytestmark = pytest.mark.fast

LAYERS = (Matrix("first", 12, 5), Matrix("second", 5, 4))


def test_every_product_of_two_divisors_is_legal_and_nothing_else() -> None:
    for inputs in range(1, 13):
        for outputs in range(1, 9):
            brute = {
                (inputs // simd) * (outputs // pe)
                for simd in range(1, inputs + 1)
                for pe in range(1, outputs + 1)
                if inputs % simd == 0 and outputs % pe == 0
            }
            assert set(legal_reuse(inputs, outputs)) == brute
            for reuse in range(1, inputs * outputs + 1):
                fold = best_folding(Matrix("m", inputs, outputs), reuse)
                assert (fold is not None) == (reuse in brute)
                if fold is not None:
                    assert (fold.reuse, fold.multipliers) == (reuse, inputs * outputs // reuse)
                    assert fold.sf * fold.simd == inputs and fold.nf * fold.pe == outputs


def test_an_illegal_factor_lists_what_is_possible_and_what_it_costs_in_every_layer() -> None:
    with pytest.raises(ConfigError) as caught:
        require_foldings(LAYERS, RtlOptions(style="folded", reuse=3))
    text = str(caught.value)
    assert "second: 3 is not possible; 1 (20), 2 (10), 4 (5), 5 (4), 10 (2), 20 (1)" in text
    assert "first:" not in text
    assert "possible in every layer: 1, 2, 4, 5, 10, 20" in caught.value.hint
    with pytest.raises(ConfigError) as caught:
        require_foldings(LAYERS, RtlOptions(style="folded", reuse=7))
    assert "first: 7 is not possible" in str(caught.value) and "second: 7" in str(caught.value)


def test_a_name_that_is_no_layer_is_an_error() -> None:
    with pytest.raises(ConfigError, match="secnd") as caught:
        require_foldings(LAYERS, RtlOptions(style="folded", reuse={"secnd": 2}))
    assert "first, second" in caught.value.hint


def test_fewest_multipliers_that_keep_up() -> None:
    assert reuse_for_clocks(LAYERS, 11) == {"first": 10, "second": 10}
    assert reuse_for_clocks(LAYERS, 1) == {"first": 1, "second": 1}
    assert reuse_for_clocks(LAYERS, 10_000) == {"first": 60, "second": 20}
    with pytest.raises(ConfigError):
        reuse_for_clocks(LAYERS, 0)


@pytest.mark.parametrize("limit", [2, 3, 7, 20, 79, 80, 1000])
def test_fastest_that_fits(limit: int) -> None:
    chosen = reuse_for_multipliers(LAYERS, limit)

    def cost(reuse: dict[str, int]) -> int:
        return sum(m.inputs * m.outputs // reuse[m.name] for m in LAYERS)

    assert cost(chosen) <= limit
    faster = max(chosen.values()) - 1
    if faster:
        assert cost(reuse_for_clocks(LAYERS, faster)) > limit
    with pytest.raises(ConfigError):
        reuse_for_multipliers(LAYERS, 1)


def test_no_layer_named_is_no_reuse() -> None:
    options = RtlOptions(reuse={})
    assert options.reuse_of("first") == 1 and not options.folds
    with pytest.raises(ConfigError, match="reuse 0 first"):
        RtlOptions(reuse={"first": 0})
    with pytest.raises(ConfigError, match="reuse 0"):
        RtlOptions(reuse=0)
