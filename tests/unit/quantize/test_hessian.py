"""Hutchinson's traces against Hessians computed in full."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from dwell.errors import ConfigError
from dwell.quantize.hessian import MIN_PROBES, Signs, estimate_traces, keras_probe, torch_probe


def quadratic(matrix: np.ndarray) -> Callable[[Signs, int], Mapping[str, float]]:
    """The probe of ½ w' A w over two layers, `a` the first two weights and `b` the rest."""

    def probe(signs: Signs, number: int) -> dict[str, float]:
        v = np.concatenate([signs["a"], signs["b"]]).astype(np.float64)
        product = matrix @ v
        return {"a": float(v[:2] @ product[:2]), "b": float(v[2:] @ product[2:])}

    return probe


SHAPES = {"a": (2,), "b": (3,)}


@pytest.mark.fast
def test_a_diagonal_quadratic_is_exact_after_one_probe() -> None:
    found = estimate_traces(quadratic(np.diag([1.0, 2.0, 3.0, 4.0, 5.0])), SHAPES, seed=0)
    assert found.settled
    assert found.layers["a"].trace == 3.0 and found.layers["b"].trace == 12.0
    assert found.layers["a"].standard_error == 0.0 and found.layers["a"].probes == MIN_PROBES
    assert found.layers["b"].mean_curvature == 4.0


@pytest.mark.fast
def test_the_standard_error_covers_a_full_quadratic_and_falls_with_the_probes() -> None:
    rng = np.random.default_rng(3)
    root = rng.normal(size=(5, 5))
    matrix = root @ root.T
    few = estimate_traces(quadratic(matrix), SHAPES, seed=1, relative_error=1e-9, max_probes=40)
    many = estimate_traces(quadratic(matrix), SHAPES, seed=1, relative_error=1e-9, max_probes=4000)
    assert not few.settled and not many.settled
    for name, part in (("a", slice(0, 2)), ("b", slice(2, 5))):
        exact = float(np.trace(matrix[part, part]))
        for found in (few, many):
            one = found.layers[name]
            assert abs(one.trace - exact) < 4 * one.standard_error
        assert many.layers[name].standard_error == pytest.approx(
            few.layers[name].standard_error / 10, rel=0.5
        )


@pytest.mark.fast
def test_it_stops_at_the_error_that_was_asked_for() -> None:
    rng = np.random.default_rng(3)
    root = rng.normal(size=(5, 5))
    matrix = root @ root.T
    found = estimate_traces(quadratic(matrix), SHAPES, seed=1, relative_error=0.1, max_probes=5000)
    assert found.settled
    one = found.layers["a"]
    assert MIN_PROBES < one.probes < 5000 and one.standard_error <= 0.1 * abs(one.trace)
    same = estimate_traces(quadratic(matrix), SHAPES, seed=1, relative_error=0.1, max_probes=5000)
    assert same == found


@pytest.mark.fast
def test_a_loss_that_diverged_is_an_error() -> None:
    with pytest.raises(ConfigError, match="Hessian of layer a is not finite"):
        estimate_traces(quadratic(np.diag([math.nan] * 5)), SHAPES, seed=0)


def torch_case() -> tuple[Any, Callable[[Any], Any], dict[str, Any]]:
    """A net, its loss as a function of the module that computes the scores, and the weights of its layers."""
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Conv2d(1, 2, 2), torch.nn.Tanh(), torch.nn.Flatten(), torch.nn.Linear(8, 2)
    )
    x, y = torch.randn(16, 1, 3, 3), torch.randn(16, 2)
    return (
        net,
        lambda module: torch.nn.functional.mse_loss(module(x), y),
        {"conv": net[0].weight, "dense": net[3].weight},
    )


def test_torch_traces_are_those_of_the_full_hessian() -> None:
    import torch

    net, loss, weights = torch_case()
    shapes = {name: tuple(w.shape) for name, w in weights.items()}
    probe = torch_probe([lambda: loss(net)], weights)
    found = estimate_traces(probe, shapes, seed=0, relative_error=0.1, max_probes=600)
    assert found.settled
    parameters = {name: p.detach().clone() for name, p in net.named_parameters()}
    for name, place in {"conv": "0.weight", "dense": "3.weight"}.items():
        start = parameters[place]

        def by(flat: Any, place: str = place, start: Any = start) -> Any:
            changed = {**parameters, place: flat.reshape(start.shape)}
            return loss(lambda x: torch.func.functional_call(net, changed, (x,)))

        exact = float(torch.autograd.functional.hessian(by, start.flatten()).trace())
        one = found.layers[name]
        assert abs(one.trace - exact) < 4 * one.standard_error
        assert one.trace == pytest.approx(exact, rel=0.2) and one.weights == start.numel()


def test_keras_traces_are_those_of_the_full_hessian() -> None:
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.layers.Input((5,)), keras.layers.Dense(4, "tanh", name="a"), keras.layers.Dense(2, name="b")]
    )
    rng = np.random.default_rng(0)
    x, y = (
        tf.constant(rng.normal(size=(32, 5)), tf.float32),
        tf.constant(rng.normal(size=(32, 2)), tf.float32),
    )

    def loss() -> Any:
        return tf.reduce_mean((model(x, training=False) - y) ** 2)

    weights = {name: model.get_layer(name).kernel for name in ("a", "b")}
    shapes = {name: tuple(w.shape) for name, w in weights.items()}
    found = estimate_traces(keras_probe([loss], weights), shapes, seed=0, relative_error=0.1, max_probes=300)
    assert found.settled
    for name, variable in weights.items():
        with tf.GradientTape() as outer:
            with tf.GradientTape() as inner:
                value = loss()
            slope = inner.gradient(value, variable.value)
        full = outer.jacobian(slope, variable.value).numpy().reshape(math.prod(shapes[name]), -1)
        one = found.layers[name]
        assert abs(one.trace - np.trace(full)) < 4 * one.standard_error
        assert one.trace == pytest.approx(np.trace(full), rel=0.25)


def test_batches_take_turns() -> None:
    net, loss, weights = torch_case()
    seen: list[int] = []

    def counted(number: int) -> Callable[[], Any]:
        return lambda: seen.append(number) or loss(net)

    shapes = {name: tuple(w.shape) for name, w in weights.items()}
    probe = torch_probe([counted(0), counted(1), counted(2)], weights)
    estimate_traces(probe, shapes, seed=0, relative_error=1e-9, max_probes=9)
    assert seen == [0, 1, 2] * 3
