"""How many bits each layer's weights get: an integer programme, solved by HiGHS.

Minimise  sum over layers of  (tr H_l / n_l) * ||Q_b(w_l) - w_l||^2  over one width b for each layer, such that the
costs stay within every budget given (LUT, clocks of latency, bits of weights). The objective is that of
HAWQ-V2, the programme that of HAWQ-V3 (Yao et al., ICML 2021, arXiv:2011.10680).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dwell.errors import InternalError, ResourceError


@dataclass(frozen=True)
class Choice:
    """One width of one layer: what it loses, and what it costs by kind of budget."""

    bits: int
    loss: float
    costs: Mapping[str, float]


@dataclass(frozen=True)
class Allocation:
    """The chosen width of every layer, what they lose together, and their costs beside the budgets."""

    bits: Mapping[str, int]
    loss: float
    costs: Mapping[str, float]
    budgets: Mapping[str, float]

    def to_json(self) -> dict[str, Any]:
        """The allocation as JSON."""
        return {
            "bits": dict(self.bits),
            "loss": self.loss,
            "costs": {name: round(value, 3) for name, value in self.costs.items()},
            "budgets": dict(self.budgets),
        }


def allocate_bits(
    layers: Mapping[str, Sequence[Choice]],
    budgets: Mapping[str, float],
    fixed: Mapping[str, float] | None = None,
) -> Allocation:
    """The widths with the least loss within `budgets`; `fixed` is what is spent whatever the widths.

    Raises `ResourceError` where even the cheapest widths are over a budget, saying by how much.
    """
    spent = {kind: float((fixed or {}).get(kind, 0.0)) for kind in budgets}
    _check_feasible(layers, budgets, spent)
    picked = _solve(layers, budgets, spent)
    chosen = {name: choices[k] for (name, choices), k in zip(layers.items(), picked, strict=True)}
    costs = {kind: spent[kind] + sum(c.costs[kind] for c in chosen.values()) for kind in budgets}
    return Allocation(
        {name: choice.bits for name, choice in chosen.items()},
        sum(choice.loss for choice in chosen.values()),
        costs,
        dict(budgets),
    )


def _check_feasible(
    layers: Mapping[str, Sequence[Choice]], budgets: Mapping[str, float], spent: Mapping[str, float]
) -> None:
    for kind, budget in budgets.items():
        least = spent[kind] + sum(min(c.costs[kind] for c in choices) for choices in layers.values())
        if least > budget:
            raise ResourceError(
                f"the narrowest weights take {least:g} {kind}, {least - budget:g} more than the budget of {budget:g}",
                hint=f"raise the budget to {least:g} or more, narrow the activations, or use fewer channels",
                place="quantize.budget",
            )


def _solve(
    layers: Mapping[str, Sequence[Choice]], budgets: Mapping[str, float], spent: Mapping[str, float]
) -> list[int]:
    """The index of each layer's choice. Raises `ResourceError` where budgets exclude one another."""
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import csr_array

    flat = [choice for choices in layers.values() for choice in choices]
    loss = np.array([choice.loss for choice in flat])
    scale = loss.max(initial=0.0) or 1.0  # HiGHS has absolute tolerances
    one_each = np.zeros((len(layers), len(flat)))
    start = 0
    for row, choices in enumerate(layers.values()):
        one_each[row, start : start + len(choices)] = 1
        start += len(choices)
    constraints = [LinearConstraint(csr_array(one_each), 1, 1)]
    for kind, budget in budgets.items():
        costs = np.array([[choice.costs[kind] for choice in flat]])
        unit = max(abs(budget), 1.0)
        constraints.append(LinearConstraint(csr_array(costs / unit), -np.inf, (budget - spent[kind]) / unit))
    found = milp(loss / scale, constraints=constraints, integrality=np.ones(len(flat)), bounds=Bounds(0, 1),
                 options={"mip_rel_gap": 0.0})  # fmt: skip
    if found.status == 2:
        raise ResourceError(
            f"no widths satisfy all budgets at once: {', '.join(f'{k} {v:g}' for k, v in budgets.items())}",
            hint="raise one of them",
            place="quantize.budget",
        )
    if found.x is None:
        raise InternalError(f"the integer programme was not solved: {found.message}")
    return _indices(found.x, layers)


def _indices(x: NDArray[np.float64], layers: Mapping[str, Sequence[Choice]]) -> list[int]:
    picked, start = [], 0
    for choices in layers.values():
        picked.append(int(np.argmax(x[start : start + len(choices)])))
        start += len(choices)
    return picked
