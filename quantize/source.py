"""The float network as the stage `train` leaves it: `arch.json` and `float.pt`."""

from __future__ import annotations

import itertools
import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dwell.errors import ConfigError
from dwell.quantize.job import FloatLayer, Floats, Layer

_HINT = "build the stage 'train' first: dwell build --until train"


def read_float_network(folder: Path) -> tuple[tuple[Layer, ...], dict[str, FloatLayer]]:
    """Layers and their weights. Raises `ConfigError` naming the file that is missing or does not fit."""
    layers = _layers(folder / "arch.json")
    state = _state(folder / "float.pt")
    weights = {layer.name: _weights(layer, state, folder / "float.pt") for layer in layers}
    return layers, weights


def _layers(path: Path) -> tuple[Layer, ...]:
    try:
        rows = json.loads(path.read_text())["layers"]
        layers = tuple(
            Layer(str(r["name"]), int(r["kernel"]), int(r["in"]), int(r["out"]), bool(r["relu"]))
            for r in rows
        )
    except FileNotFoundError as error:
        raise ConfigError(f"there is no {path}", hint=_HINT, place=str(path)) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path} is no architecture: {error!r}", hint=_HINT, place=str(path)) from error
    for before, after in itertools.pairwise(layers):
        if not before.relu or before.outputs != after.inputs:
            raise ConfigError(
                f"{path}: layer '{after.name}' cannot follow '{before.name}'",
                hint="a chain of convolutions with a ReLU between each two is what can be quantized",
                place=str(path),
            )
    if not layers or layers[0].inputs != 1 or layers[-1].outputs != 1 or layers[-1].relu:
        raise ConfigError(
            f"{path}: from one input channel to one score without ReLU is what can be quantized",
            hint=_HINT,
            place=str(path),
        )
    return layers


def _state(path: Path) -> Mapping[str, Any]:
    import torch

    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise ConfigError(f"there is no {path}", hint=_HINT, place=str(path)) from error
    except (OSError, EOFError, RuntimeError, ValueError, pickle.UnpicklingError) as error:
        first = (str(error) or type(error).__name__).splitlines()[0]
        what = f"{path} is no state of a torch module: {first}"
        raise ConfigError(what, hint=_HINT, place=str(path)) from error
    if not isinstance(state, Mapping):
        raise ConfigError(f"{path} is no state of a torch module", hint=_HINT, place=str(path))
    return state


def _weights(layer: Layer, state: Mapping[str, Any], path: Path) -> FloatLayer:
    found = []
    shapes = {"weight": (layer.outputs, layer.inputs, layer.kernel, layer.kernel), "bias": (layer.outputs,)}
    for part, shape in shapes.items():
        key = f"{layer.name}.{part}"
        if key not in state or tuple(state[key].shape) != shape:
            have = f"has shape {tuple(state[key].shape)}" if key in state else "is missing"
            raise ConfigError(f"{path}: {key} {have}, where {shape} is wanted", hint=_HINT, place=str(path))
        array = state[key].detach().numpy().astype(np.float32)
        if not np.isfinite(array).all():
            raise ConfigError(
                f"{path}: {key} holds NaN or infinity", hint="train again with a lower rate", place=str(path)
            )
        found.append(array)
    return FloatLayer(*found)


def float_activations(
    layers: tuple[Layer, ...], weights: Mapping[str, FloatLayer], frames: Floats, *, chunk: int = 16
) -> list[Floats]:
    """What leaves each layer, after its ReLU where it has one: (N, C, h, w) for frames (N, H, W)."""
    import torch
    from torch.nn import functional

    parts: list[list[Floats]] = [[] for _ in layers]
    with torch.no_grad():
        for start in range(0, len(frames), chunk):
            x = torch.from_numpy(np.ascontiguousarray(frames[start : start + chunk]))[:, None]
            for number, layer in enumerate(layers):
                one = weights[layer.name]
                x = functional.conv2d(x, torch.from_numpy(one.weight), torch.from_numpy(one.bias))
                x = functional.relu(x) if layer.relu else x
                parts[number].append(x.numpy())
    return [np.concatenate(p) for p in parts]


def float_scores(layers: tuple[Layer, ...], weights: Mapping[str, FloatLayer], frames: Floats) -> Floats:
    """Scores (N, h, w) of the float network on frames (N, H, W)."""
    return float_activations(layers, weights, frames)[-1][:, 0]
