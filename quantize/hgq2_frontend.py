"""Quantization-aware training with HGQ2 on Keras 3 and TensorFlow, to a `.keras` file."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from dwell.quantize.job import Codes, Floats, Job, Outcome, check_loss, exact_codes
from dwell.quantize.params import Hgq2Params
from dwell.quantize.scales import activation_frac, weight_frac
from dwell.quantize.source import float_activations
from dwell.quantize.tensorflow_settings import settle_tensorflow

_BIT_RATE = 5.0
"""How much faster widths learn than weights: they have whole steps to go, and few epochs for it."""


def quantize(job: Job) -> Outcome:
    """Train the quantized twin of the job's float network, starting from its weights; write `model.keras`.

    Raises `ConfigError` for a training that diverges.
    """
    _prepare_tensorflow(job)
    from dwell.quantize import hgq2_network
    from dwell.quantize.keras_file import write_keras

    params = cast(Hgq2Params, job.params)
    hidden = float_activations(job.layers, job.weights, job.calibration_frames())[:-1]
    start: dict[str, Any] = {
        "weight_bits": params.weight_bits,
        "weight_fracs": [weight_frac(job.weights[w.name].weight, params.weight_bits) for w in job.layers],
        "activation_bits": params.activation_bits,
        "activation_fracs": [activation_frac(a, params.activation_bits) for a in hidden],
    }
    job.log.info("first types: %s", start)
    network = hgq2_network.build(job.layers, None, **start)
    hgq2_network.load_float(network, job.layers, job.weights, start["activation_fracs"])
    loss = _train(job, params, network)
    check_loss(loss)

    kept = hgq2_network.build(job.layers, job.reference.shape[1], **start)
    kept.set_weights(network.get_weights())
    write_keras(kept, job.out / "model.keras")
    codes, output = _codes(kept, job.reference)
    weights = np.concatenate([np.asarray(step.qkernel).ravel() for step in kept.layers])
    return Outcome(
        quantizers=hgq2_network.quantizers(kept),
        codes=codes,
        output=output,
        loss=tuple(loss),
        score=lambda frames: _score(network, frames),
        details={
            "zero_weights": round(float(np.mean(weights == 0)), 4),
            "bit_operations": int(hgq2_network.bit_operations(kept)),
        },
    )


def _prepare_tensorflow(job: Job) -> None:
    """Import TensorFlow quietly, on one thread and deterministic: the order of sums decides the result."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    settle_tensorflow(job.log)
    import keras

    keras.utils.clear_session(free_memory=False)  # the names it makes up are counted from here
    keras.utils.set_random_seed(job.seed)


def _train(job: Job, params: Hgq2Params, network: Any) -> list[float]:
    """Adam on the model's loss plus beta times the bit operations; the model's loss of each epoch."""
    import keras
    import tensorflow as tf

    widths = [v for v in network.trainable_variables if v.path.rsplit("/", 1)[-1] in ("b", "i", "f")]
    others = [v for v in network.trainable_variables if all(v is not w for w in widths)]
    optimizers = [keras.optimizers.Adam(), keras.optimizers.Adam()]
    for optimizer, group in zip(optimizers, (others, widths), strict=True):
        optimizer.build(group)
    gamma = job.model.focal_gamma(job.model_params)
    step = _training_step(network, optimizers, (others, widths), params.beta, gamma)
    history: list[float] = []
    steps = 0
    for epoch in range(params.epochs):
        total = []
        batches = list(job.model.batches(job.train, job.model_params, seed=job.seed, epoch=epoch))
        for arrays in batches:
            rate = params.learning_rate * one_cycle((steps + 0.5) / (params.epochs * len(batches)))
            optimizers[0].learning_rate.assign(rate)
            optimizers[1].learning_rate.assign(rate * _BIT_RATE)
            total.append(float(step(*(tf.constant(a) for a in arrays))))
            steps += 1
        history.append(float(np.mean(total)))
        done = f"epoch {epoch + 1} of {params.epochs}, loss {history[-1]:.4f}"
        job.progress((epoch + 1) / params.epochs, done)
        if not np.isfinite(history[-1]):
            break
    return history


def one_cycle(part: float, rise: float = 0.2) -> float:
    """The rate, 0 to 1, at a `part` of the training: cosine up during `rise` of it, cosine down after."""
    if part < rise:
        return 0.5 - 0.48 * math.cos(math.pi * part / rise)
    return 0.5 + 0.5 * math.cos(math.pi * (part - rise) / (1 - rise))


def _training_step(
    network: Any, optimizers: Sequence[Any], groups: Sequence[list[Any]], beta: float, gamma: float
) -> Any:
    """A compiled step: frames (B, H, W), targets and weights (B, h, w) to the model's loss, a scalar."""
    import tensorflow as tf

    from dwell.quantize.hgq2_network import bit_operations

    @tf.function(jit_compile=True)  # type: ignore[untyped-decorator]
    def step(frames: Any, target: Any, weight: Any) -> Any:
        with tf.GradientTape() as tape:
            scores = network(frames[..., None], training=True)[..., 0]
            value = focal_loss(scores, target, weight, gamma)
            total = value + beta * bit_operations(network)
        gradients = tape.gradient(total, [v for group in groups for v in group])
        for optimizer, group in zip(optimizers, groups, strict=True):
            optimizer.apply(gradients[: len(group)], group)
            gradients = gradients[len(group) :]
        return value

    return step


def focal_loss(scores: Any, target: Any, weight: Any, gamma: float) -> Any:
    """The loss of the model's own training, in TensorFlow: sum(w |y - sigmoid(s)|^gamma bce) / sum(w)."""
    import tensorflow as tf

    bce = tf.nn.sigmoid_cross_entropy_with_logits(labels=target, logits=scores)
    if gamma > 0:
        # A floor keeps the power's gradient finite where the score is right beyond float32's reach.
        bce *= tf.maximum(tf.abs(target - tf.sigmoid(scores)), 1e-12) ** gamma
    return tf.reduce_sum(weight * bce) / tf.reduce_sum(weight)


def _codes(network: Any, frames: Floats) -> tuple[dict[str, Codes], Floats]:
    """Keras' own codes (N, h, w, C) of every quantizer, and its scores (N, h, w, 1)."""
    from dwell.quantize.hgq2_network import quantizers, sum_frac

    x: Any = frames[..., None]
    found = {}
    for quantizer, step in zip(quantizers(network), network.layers, strict=True):
        quantized = np.asarray(step.iq(x, training=False))
        found[quantizer.name] = exact_codes(quantized, quantizer.frac, what=f"what leaves {quantizer.tensor}")
        x = step(x, training=False)
    scores = np.asarray(network(frames[..., None], training=False))
    exact_codes(scores, sum_frac(network.layers[-1]), what="the score")  # Keras' sums have to be exact
    return found, scores


def _score(network: Any, frames: Floats, chunk: int = 16) -> Floats:
    parts = [
        np.asarray(network(frames[k : k + chunk, ..., None], training=False))[..., 0]
        for k in range(0, len(frames), chunk)
    ]
    return np.concatenate(parts)
