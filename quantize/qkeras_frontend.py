"""Quantization-aware training with QKeras on Keras 2, to an `.h5` file; runs in the environment `qkeras`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from dwell.errors import ConfigError
from dwell.quantize.hessian_job import hessian_allocation
from dwell.quantize.hgq2_frontend import focal_loss, one_cycle
from dwell.quantize.job import Codes, Floats, Job, Outcome, check_loss, exact_codes
from dwell.quantize.params import QKerasParams
from dwell.quantize.scales import activation_frac
from dwell.quantize.source import float_activations
from dwell.quantize.tensorflow_settings import settle_tensorflow


def quantize(job: Job) -> Outcome:
    """Train the quantized twin of the job's float network, starting from its weights; write `model.h5`.

    Raises `ConfigError` for a list of widths of the wrong length and for a training that diverges.
    """
    params = cast(QKerasParams, job.params)
    hidden = float_activations(job.layers, job.weights, job.calibration_frames())[:-1]
    _prepare_keras(job)
    from dwell.quantize import qkeras_network

    activation_bits = _each(params.activation_bits, len(job.layers) - 1, "activation_bits")
    allocation = hessian_allocation(job, params, activation_bits)
    weight_bits = (
        _each(params.weight_bits, len(job.layers), "weight_bits")
        if allocation is None
        else [allocation["bits"][layer.name] for layer in job.layers]
    )
    types = qkeras_network.chosen(
        weight_bits,
        activation_bits,
        [activation_frac(a, b) for a, b in zip(hidden, activation_bits, strict=True)],
        [job.weights[layer.name].bias for layer in job.layers],
    )
    job.log.info("types: %s", types)
    network = qkeras_network.build(job.layers, None, types)
    qkeras_network.load_float(network, job.layers, job.weights)
    loss = _train(job, params, network)
    check_loss(loss)
    kept = qkeras_network.build(job.layers, job.reference.shape[1], types)
    kept.set_weights(network.get_weights())
    kept.save(job.out / "model.h5", include_optimizer=False)
    quantizers = qkeras_network.quantizers(job.layers, types)
    codes, output = _codes(kept, job.reference, {q.tensor: (q.name, q.frac) for q in quantizers})
    # QKeras' sums have to be exact
    exact_codes(output, qkeras_network.sum_frac(kept, job.layers, types), what="the score")
    return Outcome(
        quantizers=quantizers,
        codes=codes,
        output=output,
        loss=tuple(loss),
        score=lambda frames: _score(network, frames),
        details={
            "zero_weights": round(qkeras_network.zero_weight_share(kept), 4),
            **({} if allocation is None else {"weight_bits": allocation["bits"]}),
        },
        allocation=allocation,
    )


def _each(bits: Sequence[int], count: int, key: str) -> tuple[int, ...]:
    """One width for each of `count` layers from a list of one or of all."""
    if len(bits) not in (1, count):
        raise ConfigError(
            f"quantize.{key} has {len(bits)} widths for {count} layers",
            hint="give one width, or one for each layer",
            place=f"quantize.{key}",
        )
    return tuple(bits) if len(bits) == count else tuple(bits) * count


def _prepare_keras(job: Job) -> None:
    """Keras 2 and TensorFlow, quiet, on one thread and deterministic: the order of sums decides the result."""
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    settle_tensorflow(job.log)
    import tf_keras

    tf_keras.backend.clear_session()  # the names it makes up are counted from here
    tf_keras.utils.set_random_seed(job.seed)


def _train(job: Job, params: QKerasParams, network: Any) -> list[float]:
    """Adam on the model's loss; its mean in each epoch."""
    import tensorflow as tf
    import tf_keras

    optimizer = tf_keras.optimizers.Adam()
    optimizer.build(network.trainable_variables)
    step = _training_step(network, optimizer, job.model.focal_gamma(job.model_params))
    history: list[float] = []
    steps = 0
    for epoch in range(params.epochs):
        total = []
        batches = list(job.model.batches(job.train, job.model_params, seed=job.seed, epoch=epoch))
        for arrays in batches:
            part = (steps + 0.5) / (params.epochs * len(batches))
            optimizer.learning_rate.assign(params.learning_rate * one_cycle(part))
            total.append(float(step(*(tf.constant(a) for a in arrays))))
            steps += 1
        history.append(float(np.mean(total)))
        done = f"epoch {epoch + 1} of {params.epochs}, loss {history[-1]:.4f}"
        job.progress((epoch + 1) / params.epochs, done)
        if not np.isfinite(history[-1]):
            break
    return history


def _training_step(network: Any, optimizer: Any, gamma: float) -> Any:
    """A compiled step: frames (B, H, W), targets and weights (B, h, w) to the model's loss, a scalar."""
    import tensorflow as tf

    @tf.function(jit_compile=True)  # type: ignore[untyped-decorator]
    def gradients(frames: Any, target: Any, weight: Any) -> Any:
        with tf.GradientTape() as tape:
            scores = network(frames[..., None], training=True)[..., 0]
            value = focal_loss(scores, target, weight, gamma)
        return value, tape.gradient(value, network.trainable_variables)

    def step(frames: Any, target: Any, weight: Any) -> Any:
        value, found = gradients(frames, target, weight)
        optimizer.apply_gradients(zip(found, network.trainable_variables, strict=True))
        return value

    return step


def _codes(
    network: Any, frames: Floats, places: dict[str, tuple[str, int]]
) -> tuple[dict[str, Codes], Floats]:
    """QKeras' own codes (N, h, w, C) of every quantizer, and its scores (N, h, w, 1)."""
    found: dict[str, Codes] = {}
    x: Any = frames[..., None]
    for step in network.layers:
        x = step(x)
        if step.name in places:
            name, frac = places[step.name]
            found[name] = exact_codes(np.asarray(x), frac, what=f"what leaves {step.name}")
    return found, np.asarray(x)


def _score(network: Any, frames: Floats, chunk: int = 16) -> Floats:
    parts = [
        np.asarray(network(frames[k : k + chunk, ..., None], training=False))[..., 0]
        for k in range(0, len(frames), chunk)
    ]
    return np.concatenate(parts)
