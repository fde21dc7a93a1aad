"""How sensitive a network's loss is to each layer's weights: traces of the Hessian, by Hutchinson's method.

For v of independent signs, E[v' H v] = tr H; a product H v costs two passes backwards, H itself is never made.
HAWQ-V2 (Dong et al., NeurIPS 2020, arXiv:1911.03852) weighs the error of a quantized layer by the mean of its
block's diagonal, tr(H_l) / n_l. One v for all layers gives every block at once: what other blocks add to
v_l' (H v)_l has the mean 0, and is in the standard error.

The probes are framework's work (`torch_probe`, `keras_probe`); when to stop is decided here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dwell.errors import ConfigError

if TYPE_CHECKING:
    import torch

Signs = Mapping[str, NDArray[np.float32]]
Probe = Callable[[Signs, int], Mapping[str, float]]
"""Signs for every layer and the number of the probe to v_l' (H v)_l for every layer."""

MIN_PROBES = 8
_STOP_HINT = "give it more probes (quantize.hessian_probes), or settle for a larger quantize.hessian_error"


@dataclass(frozen=True)
class Trace:
    """The trace of one layer's block of the Hessian: mean and standard error over `probes`, of `weights`."""

    trace: float
    standard_error: float
    probes: int
    weights: int

    @property
    def mean_curvature(self) -> float:
        """The mean of the block's diagonal."""
        return self.trace / self.weights


@dataclass(frozen=True)
class Traces:
    """Traces by layer; `settled` says whether every one has the standard error that was asked for."""

    layers: Mapping[str, Trace]
    settled: bool

    def to_json(self) -> dict[str, Any]:
        """Traces as JSON."""
        return {
            name: {
                "trace": one.trace,
                "standard_error": one.standard_error,
                "probes": one.probes,
                "weights": one.weights,
                "mean_curvature": one.mean_curvature,
            }
            for name, one in self.layers.items()
        }


def estimate_traces(
    probe: Probe,
    shapes: Mapping[str, Sequence[int]],
    *,
    seed: int,
    relative_error: float = 0.1,
    max_probes: int = 200,
) -> Traces:
    """Traces of the blocks whose weights have `shapes`.

    Stops when each standard error is at most `relative_error` of its trace, or of the largest mean curvature
    times the layer's weights where the trace is small beside it (a layer that hardly matters need not be known
    well); at the latest after `max_probes`. Raises `ConfigError` where the loss gives NaN or infinity.
    """
    rng = np.random.default_rng(np.random.SeedSequence([seed, len(shapes)]))
    found: dict[str, list[float]] = {name: [] for name in shapes}
    for number in range(max_probes):
        signs = {name: _signs(rng, shape) for name, shape in shapes.items()}
        for name, value in probe(signs, number).items():
            if not math.isfinite(value):
                raise ConfigError(
                    f"the Hessian of layer {name} is not finite",
                    hint="look at the float network's training: its loss or weights have diverged",
                    place=name,
                )
            found[name].append(value)
        traces = _summary(found, shapes)
        if number + 1 >= MIN_PROBES and _settled(traces, relative_error):
            return Traces(traces, settled=True)
    return Traces(_summary(found, shapes), settled=False)


def _signs(rng: np.random.Generator, shape: Sequence[int]) -> NDArray[np.float32]:
    return (2.0 * rng.integers(0, 2, tuple(shape)) - 1.0).astype(np.float32)


def _summary(found: Mapping[str, list[float]], shapes: Mapping[str, Sequence[int]]) -> dict[str, Trace]:
    return {
        name: Trace(
            float(np.mean(values)),
            float(np.std(values, ddof=1) / math.sqrt(len(values))) if len(values) > 1 else math.inf,
            len(values),
            math.prod(shapes[name]),
        )
        for name, values in found.items()
    }


def _settled(traces: Mapping[str, Trace], relative_error: float) -> bool:
    largest = max(abs(one.mean_curvature) for one in traces.values())
    return all(
        one.standard_error <= relative_error * max(abs(one.trace), relative_error * largest * one.weights)
        for one in traces.values()
    )


def torch_probe(losses: Sequence[Callable[[], torch.Tensor]], weights: Mapping[str, torch.Tensor]) -> Probe:
    """Probes of a PyTorch network: `losses` give the loss of a batch each, `weights` are its leaves by layer.

    Probe k takes batch k modulo their number, so the standard error covers the batches too.
    """
    import torch

    names, leaves = list(weights), list(weights.values())

    def probe(signs: Signs, number: int) -> dict[str, float]:
        vectors = [torch.from_numpy(signs[name]).to(leaf) for name, leaf in zip(names, leaves, strict=True)]
        loss = losses[number % len(losses)]()
        slopes = torch.autograd.grad(loss, leaves, create_graph=True)
        products = torch.autograd.grad(slopes, leaves, vectors, materialize_grads=True)
        pairs = zip(names, vectors, products, strict=True)
        return {name: float((v.double() * h.double()).sum()) for name, v, h in pairs}

    return probe


def keras_probe(losses: Sequence[Callable[[], Any]], weights: Mapping[str, Any]) -> Probe:
    """Probes of a Keras network on TensorFlow (Keras 2 or 3): as `torch_probe`, `weights` being variables.

    `losses` call the model itself (``model(x, training=False)``), not `model.predict`.
    """
    import tensorflow as tf

    names, variables = list(weights), list(weights.values())
    # Keras 3 wraps a variable of TensorFlow, which is what a tape watches.
    watched = [v.value if hasattr(v, "_value") and not isinstance(v, tf.Variable) else v for v in variables]

    def probe(signs: Signs, number: int) -> dict[str, float]:
        vectors = [tf.constant(signs[name]) for name in names]
        with tf.GradientTape() as outer:
            with tf.GradientTape() as inner:
                loss = losses[number % len(losses)]()
            slopes = inner.gradient(loss, watched, unconnected_gradients="zero")
            along = tf.add_n([tf.reduce_sum(g * v) for g, v in zip(slopes, vectors, strict=True)])
        products = outer.gradient(along, watched, unconnected_gradients="zero")
        pairs = zip(names, vectors, products, strict=True)
        return {name: float(np.vdot(v.numpy().astype(np.float64), h.numpy())) for name, v, h in pairs}

    return probe
