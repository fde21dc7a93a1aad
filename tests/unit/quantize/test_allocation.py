"""The integer programme against trying everything."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from dwell.errors import ResourceError
from dwell.quantize.allocation import Choice, allocate_bits

pytestmark = pytest.mark.fast


def random_layers(rng: np.random.Generator, count: int) -> dict[str, list[Choice]]:
    """Losses that fall by about four a bit, costs that rise, both with noise (so that no greedy rule is right)."""
    layers = {}
    for number in range(count):
        sensitivity, size = 10 ** rng.uniform(-3, 1), rng.integers(50, 500)
        layers[f"layer{number}"] = [
            Choice(
                bits,
                sensitivity * 4.0**-bits * rng.uniform(0.5, 1.5),
                {
                    "lut": float(round(size * bits * rng.uniform(0.8, 1.2))),
                    "latency_cycles": float(rng.integers(2, 6)),
                },
            )
            for bits in range(2, 9)
        ]
    return layers


@pytest.mark.parametrize("seed", range(12))
def test_it_finds_what_trying_everything_finds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    layers = random_layers(rng, 4)
    spread = [sum(f(c.costs["lut"] for c in choices) for choices in layers.values()) for f in (min, max)]
    budgets = {"lut": float(rng.uniform(*spread)), "latency_cycles": 14.0}
    fixed = {"lut": 0.0, "latency_cycles": 1.0}
    feasible = []
    for pick in itertools.product(*layers.values()):
        cost = {kind: fixed[kind] + sum(c.costs[kind] for c in pick) for kind in budgets}
        if all(cost[kind] <= budgets[kind] for kind in budgets):
            feasible.append((sum(c.loss for c in pick), tuple(c.bits for c in pick)))
    if not feasible:
        with pytest.raises(ResourceError):
            allocate_bits(layers, budgets, fixed)
        return
    best = min(feasible)
    found = allocate_bits(layers, budgets, fixed)
    assert found.loss == pytest.approx(best[0], rel=1e-9)
    assert tuple(found.bits.values()) == best[1]
    assert all(found.costs[kind] <= budgets[kind] for kind in budgets)


def test_a_budget_for_everything_gives_everything() -> None:
    layers = random_layers(np.random.default_rng(0), 3)
    found = allocate_bits(layers, {"lut": 1e9})
    best = {name: min(choices, key=lambda c: c.loss).bits for name, choices in layers.items()}
    assert found.bits == best


def test_a_budget_that_nothing_meets_says_by_how_much() -> None:
    layers = {"a": [Choice(2, 1.0, {"lut": 100.0}), Choice(3, 0.5, {"lut": 150.0})]}
    with pytest.raises(ResourceError, match=r"take 600 lut, 200 more than the budget of 400") as caught:
        allocate_bits(layers, {"lut": 400.0}, {"lut": 500.0})
    assert "raise the budget to 600" in caught.value.hint


def test_budgets_that_exclude_one_another_are_an_error() -> None:
    fast = Choice(2, 1.0, {"lut": 100.0, "latency_cycles": 1.0})
    small = Choice(3, 1.0, {"lut": 10.0, "latency_cycles": 9.0})
    with pytest.raises(ResourceError, match="all budgets at once"):
        allocate_bits({"a": [fast, small]}, {"lut": 50.0, "latency_cycles": 5.0})
