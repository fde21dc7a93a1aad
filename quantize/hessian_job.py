"""The widths of a job's weights by the Hessian of its float network, within the budget of `[quantize]`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dwell import plugins
from dwell.quantize.allocation import Choice, allocate_bits
from dwell.quantize.hessian import Traces, estimate_traces, torch_probe
from dwell.quantize.job import Floats, Job, Layer
from dwell.quantize.params import Budget, WidthParams
from dwell.quantize.scales import weight_frac

if TYPE_CHECKING:
    import torch

COST_MODEL = "rtl"
WIDTHS = range(2, 9)
_INPUT_BITS = 8
_BATCHES_A_LOSS, _LOSSES = 8, 16


def hessian_allocation(
    job: Job, params: WidthParams, activation_bits: Sequence[int]
) -> dict[str, Any] | None:
    """The widths of every layer's weights and what led to them, as JSON; None where they are given by hand.

    Raises `ResourceError` for a budget that no widths meet.
    """
    if params.bits != "hessian" or params.budget is None:
        return None
    job.log.info("Hessian traces of %d layers", len(job.layers))
    traces = job_traces(job, probes=params.hessian_probes, relative_error=params.hessian_error)
    if not traces.settled:
        job.log.warning("Hessian traces: the standard error that was asked for is not reached")
    choices = {
        layer.name: layer_choices(job, number, traces, activation_bits)
        for number, layer in enumerate(job.layers)
    }
    budgets = budget_limits(params.budget, sum(one.weights for one in traces.layers.values()))
    found = allocate_bits(choices, budgets)
    job.log.info("weight bits by the Hessian: %s", dict(found.bits))
    return {
        **found.to_json(),
        "method": "Hessian trace (Hutchinson), integer programme (HiGHS)",
        "traces": traces.to_json(),
        "traces_settled": traces.settled,
        "choices": _choices_json(choices),
    }


def budget_limits(budget: Budget, weights: int) -> dict[str, float]:
    """Limits by kind of cost."""
    limits: dict[str, float] = {}
    if budget.lut is not None:
        limits["lut"] = float(budget.lut)
    if budget.latency_cycles is not None:
        limits["latency_cycles"] = float(budget.latency_cycles)
    if budget.mean_weight_bits is not None:
        limits["weight_bits"] = budget.mean_weight_bits * weights
    return limits


def job_traces(job: Job, *, probes: int, relative_error: float) -> Traces:
    """Traces of the training loss at the float weights, on training batches; one thread, from the job's seed."""
    import torch

    torch.set_num_threads(1)
    weights = {
        layer.name: torch.from_numpy(job.weights[layer.name].weight.copy()).requires_grad_()
        for layer in job.layers
    }
    probe = torch_probe(list(_losses(job, weights)), weights)
    return estimate_traces(
        probe,
        {name: tuple(w.shape) for name, w in weights.items()},
        seed=job.seed,
        relative_error=relative_error,
        max_probes=probes,
    )


def _losses(job: Job, weights: dict[str, torch.Tensor]) -> Iterator[Callable[[], torch.Tensor]]:
    """The loss of some batches together, a few times over."""
    import torch

    batches = job.model.batches(job.train, job.model_params, seed=job.seed, epoch=0)
    for _ in range(_LOSSES):
        group = list(islice(batches, _BATCHES_A_LOSS))
        if not group:
            return
        frames, target, weight = (torch.from_numpy(np.concatenate(part)) for part in zip(*group, strict=True))

        def loss(frames: Any = frames, target: Any = target, weight: Any = weight) -> torch.Tensor:
            scores = _forward(job, weights, frames)
            value: torch.Tensor = job.model.loss(scores, target, weight, job.model_params)
            return value

        yield loss


def _forward(job: Job, weights: dict[str, torch.Tensor], frames: torch.Tensor) -> torch.Tensor:
    import torch
    from torch.nn import functional

    x = frames[:, None]
    for layer in job.layers:
        bias = torch.from_numpy(job.weights[layer.name].bias)
        x = functional.conv2d(x, weights[layer.name], bias)
        x = functional.relu(x) if layer.relu else x
    return x[:, 0]


def layer_choices(job: Job, number: int, traces: Traces, activation_bits: Sequence[int]) -> list[Choice]:
    """What each width of one layer loses and costs; rounding is that with which training starts."""
    cost_of = plugins.load_plugin(plugins.COSTS, COST_MODEL, place="quantize.bits")
    layer: Layer = job.layers[number]
    last = number == len(job.layers) - 1
    floats, trace = job.weights[layer.name], traces.layers[layer.name]
    found = []
    for bits in WIDTHS:
        codes, fracs = quantized_weights(floats.weight, bits)
        error = np.ldexp(codes.astype(np.float64), -fracs[:, None, None, None]) - floats.weight
        cost = cost_of(
            codes,
            fracs.tolist(),
            input_bits=_INPUT_BITS if number == 0 else activation_bits[number - 1],
            output_bits=None if last else activation_bits[number],
        )
        # A curvature below 0 is noise, or a saddle: nothing is gained by an error.
        loss = max(trace.mean_curvature, 0.0) * float((error**2).sum())
        costs = {"lut": cost.lut, "latency_cycles": float(cost.latency_cycles)}
        found.append(Choice(bits, loss, {**costs, "weight_bits": float(bits * codes.size)}))
    return found


def quantized_weights(weight: Floats, bits: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Symmetric codes (outputs, inputs, rows, columns) and each output's fraction bits, of least squared error."""
    fracs = np.array([weight_frac(channel, bits) for channel in weight])
    high = 2 ** (bits - 1) - 1
    scaled = np.ldexp(weight.astype(np.float64), fracs[:, None, None, None])
    return np.clip(np.rint(scaled), -high, high).astype(np.int64), fracs


def _choices_json(choices: dict[str, list[Choice]]) -> dict[str, Any]:
    return {
        name: [{"bits": c.bits, "loss": c.loss, **{k: round(v, 1) for k, v in c.costs.items()}} for c in rows]
        for name, rows in choices.items()
    }
