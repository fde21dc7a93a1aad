"""Quantization-aware training with Brevitas, to QONNX."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch

from dwell.errors import ConfigError
from dwell.quantize.brevitas_network import INPUT_BITS, QuantizedChain
from dwell.quantize.finn_rules import check_rules
from dwell.quantize.hessian_job import hessian_allocation
from dwell.quantize.job import Floats, Job, Outcome, check_loss
from dwell.quantize.params import BrevitasParams
from dwell.quantize.qonnx_file import write_qonnx
from dwell.quantize.scales import activation_frac, weight_frac
from dwell.quantize.source import float_activations


def quantize(job: Job) -> Outcome:
    """Train the quantized twin of the job's float network, starting from its weights; write `model.onnx`.

    Raises `ConfigError` for a list of widths of the wrong length, for what breaks the rules asked for, and for a
    training that diverges.
    """
    params = cast(BrevitasParams, job.params)
    torch.manual_seed(job.seed)
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)  # the order of sums, hence the result, depends on it
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Brevitas uses named tensors, of which torch warns at every layer
        network, allocation = _twin(job, params)
        loss = job.model.fit(
            network,
            job.train,
            job.model_params,
            seed=job.seed,
            epochs=params.epochs,
            learning_rate=params.learning_rate,
            progress=job.progress,
        )
        check_loss(loss)
        network.eval()
        side = job.reference.shape[1]
        tensors = write_qonnx(network, [layer.name for layer in job.layers], side, job.out / "model.onnx")
        codes, output = network.codes(job.reference)
    return Outcome(
        quantizers=network.quantizers(tensors),
        codes=codes,
        output=output,
        loss=tuple(loss),
        score=lambda frames: _score(network, frames),
        details={
            "zero_weights": round(network.zero_weight_share(), 4),
            **({} if allocation is None else {"weight_bits": allocation["bits"]}),
        },
        allocation=allocation,
    )


def _twin(job: Job, params: BrevitasParams) -> tuple[QuantizedChain, dict[str, Any] | None]:
    activation_bits = _each(params.activation_bits, len(job.layers) - 1, "activation_bits")
    allocation = hessian_allocation(job, params, activation_bits)
    weight_bits = (
        _each(params.weight_bits, len(job.layers), "weight_bits")
        if allocation is None
        else [allocation["bits"][layer.name] for layer in job.layers]
    )
    if params.rules == "finn":
        check_rules(job.layers, weight_bits, (INPUT_BITS, *activation_bits))
    hidden = float_activations(job.layers, job.weights, job.calibration_frames())[:-1]
    weight_fracs = [
        np.array([weight_frac(channel, bits) for channel in job.weights[layer.name].weight])
        for layer, bits in zip(job.layers, weight_bits, strict=True)
    ]
    activation_fracs = [activation_frac(a, bits) for a, bits in zip(hidden, activation_bits, strict=True)]
    shown = [fracs.tolist() for fracs in weight_fracs]
    job.log.info("fraction bits: weights %s, activations %s", shown, activation_fracs)
    chain = QuantizedChain(
        job.layers,
        job.weights,
        weight_bits=weight_bits,
        weight_fracs=weight_fracs,
        activation_bits=activation_bits,
        activation_fracs=activation_fracs,
    )
    return chain, allocation


def _each(bits: Sequence[int], count: int, key: str) -> tuple[int, ...]:
    """One width for each of `count` layers from a list of one or of all."""
    if len(bits) not in (1, count):
        raise ConfigError(
            f"quantize.{key} has {len(bits)} widths where the network has {count} layers to give them to",
            hint=f"give one width for all, or a list of {count}",
            place=f"quantize.{key}",
        )
    return tuple(bits) * count if len(bits) == 1 else tuple(bits)


def _score(network: torch.nn.Module, frames: Floats, chunk: int = 16) -> Floats:
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parts = [
            network(torch.from_numpy(np.ascontiguousarray(frames[k : k + chunk]))[:, None])[:, 0].numpy()
            for k in range(0, len(frames), chunk)
        ]
    return np.concatenate(parts)
