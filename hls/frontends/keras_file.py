"""The second door: a Keras 3 / HGQ2 network in a .keras file, through hls4ml's ModelGraph."""

from __future__ import annotations

import os
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from dwell.errors import ConfigError, ToolNotFoundError, UnsupportedLayerError
from dwell.hls.frontends.hush import hushed
from dwell.hls.qmodel import FixedPoint, QModel

SUPPORTED = ("InputLayer", "QConv2D (activation relu or linear)", "Activation (relu or linear)")
MAX_BYTES = 256 << 20


def read_keras(
    path: Path, *, input_type: FixedPoint | None = None, names: Mapping[str, str] | None = None
) -> QModel:
    """Read a .keras file.

    `names` maps ``<layer>.iq`` to what the source framework calls that quantizer. Raises `ConfigError` for
    a file that cannot be read, `UnsupportedLayerError` for what cannot be carried exactly.
    """
    from dwell.hls.frontends.modelgraph import qmodel_from_graph

    model = load_keras(path)
    places = {q.name: place for place, q in quantizers(model).items()}
    given = names or {}
    unknown = sorted(set(given) - set(places.values()))
    if unknown:
        hint = "frontend.json names the quantizers of another network"
        raise ConfigError(f"{path.name} has no quantizer {unknown[0]!r}", hint=hint, place=str(path))
    called = {name: given.get(place, place) for name, place in places.items()}
    with tempfile.TemporaryDirectory() as scratch, hushed():
        graph = hls4ml_graph(model, backend="Dwell", io_type="io_stream", out=Path(scratch))
    return qmodel_from_graph(graph, name=path.stem, input_type=input_type, names=called)


def load_keras(path: Path) -> Any:
    """The Keras model in `path`, its layers checked against the whitelist."""
    hint = "give a file as keras.Model.save('model.keras') writes it"
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ConfigError(f"{path.name}: larger than {MAX_BYTES >> 20} MiB", hint=hint, place=str(path))
        with zipfile.ZipFile(path) as archive:
            if {"config.json", "model.weights.h5"} - set(archive.namelist()):
                raise ConfigError(f"{path.name}: not a .keras file", hint=hint, place=str(path))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}", hint=hint, place=str(path)) from error
    except zipfile.BadZipFile as error:
        raise ConfigError(f"{path.name}: {error}", hint=hint, place=str(path)) from error
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    with hushed():
        import hgq.layers  # noqa: F401 - registers the layers that the file names
        import keras

        try:
            model = keras.models.load_model(path, compile=False)
        except Exception as error:  # Keras raises whatever the file leads it to
            first = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
            raise ConfigError(f"{path.name}: {first}", hint=hint, place=str(path)) from error
    for layer in model.layers:
        _check_layer(layer)
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        what = f"{path.name}: {len(model.inputs)} inputs and {len(model.outputs)} outputs"
        raise ConfigError(what, hint="a network with one input and one output is needed", place=str(path))
    if any(size is None for size in model.inputs[0].shape[1:]):
        what = f"{path.name}: frames of shape {tuple(model.inputs[0].shape[1:])}"
        raise ConfigError(what, hint="save it with a fixed frame, such as (32, 32, 1)", place=str(path))
    return model


def _refuse(layer: Any, reason: str, hint: str) -> NoReturn:
    raise UnsupportedLayerError(str(layer.name), type(layer).__name__, SUPPORTED, reason=reason, hint=hint)


def _check_layer(layer: Any) -> None:
    """Refuse what hls4ml would convert to something else without saying so."""
    kind, module = type(layer).__name__, type(layer).__module__
    if kind == "InputLayer" and module.startswith("keras."):
        return
    if kind == "ReLU" and module.startswith("keras."):
        _refuse(
            layer, "hls4ml turns it into a thresholded ReLU", "use activation='relu' in the layer before it"
        )
    if kind == "Activation" and module.startswith("keras."):
        _check_activation(layer)
    elif kind == "QConv2D" and module.startswith("hgq."):
        _check_activation(layer)
        if tuple(layer.dilation_rate) != (1, 1):
            _refuse(layer, f"dilation {tuple(layer.dilation_rate)}, which hls4ml ignores", "use dilation 1")
        if layer.groups != 1:
            _refuse(layer, f"{layer.groups} groups", "use groups=1")
        if layer.data_format != "channels_last":
            _refuse(layer, f"data format {layer.data_format!r}", "use channels_last")
    else:
        _refuse(layer, "", "build the network of hgq.layers.QConv2D, with relu as its activation")


def _check_activation(layer: Any) -> None:
    name = getattr(layer.activation, "__name__", str(layer.activation))
    if name not in ("relu", "linear"):
        _refuse(layer, f"activation {name!r}", "use relu or linear")


def quantizers(model: Any) -> dict[str, Any]:
    """The activation quantizers of a network as ``<layer>.iq`` and ``<layer>.oq``, in order."""
    found: dict[str, Any] = {}
    for layer in model.layers:
        if getattr(layer, "_enable_iq", False) and hasattr(layer, "_iq"):
            found[f"{layer.name}.iq"] = layer._iq
        if getattr(layer, "_enable_oq", False) and hasattr(layer, "_oq"):
            found[f"{layer.name}.oq"] = layer._oq
    return found


def execute_keras(
    path: Path, frames: npt.ArrayLike, places: Sequence[str]
) -> dict[str, npt.NDArray[np.float32]]:
    """What Keras computes at `places` (quantizers as ``<layer>.iq``), and the output under ``""``.

    `frames` is (N, H, W, C); everything comes back as float32, with a leading N.
    """
    model = load_keras(path)
    x = np.asarray(frames, dtype=np.float32)
    with hushed():
        import keras

        wanted: dict[str, Any] = {"": model.outputs[0]}
        for place in places:
            name, _, side = place.rpartition(".")
            layer = model.get_layer(name)
            wanted[place] = layer._iq(layer.input) if side == "iq" else layer.output
        probe = keras.Model(model.inputs, list(wanted.values()))
        values = probe.predict(x, batch_size=16, verbose=0)
    if len(wanted) == 1:
        values = [values]
    return {name: np.asarray(v, dtype=np.float32) for name, v in zip(wanted, values, strict=True)}


def hls4ml_graph(model: Any, *, backend: str, io_type: str, out: Path, project: str = "dwell") -> Any:
    """An hls4ml graph of a Keras model. Without fallbacks: an unknown layer is an error, not a guess."""
    import hls4ml

    if backend.lower() not in hls4ml.backends.get_available_backends():
        hint = "reinstall dwell beside hls4ml: pip install --force-reinstall --no-deps dwell"
        raise ToolNotFoundError(f"hls4ml does not know the back end {backend}", hint=hint)
    # Placeholder precision: every type follows from the network's own quantizers.
    config = {"Model": {"Precision": "ap_fixed<1,0>", "ReuseFactor": 1, "Strategy": "Latency"}}
    try:
        return hls4ml.converters.convert_from_keras_model(
            model,
            output_dir=str(out),
            project_name=project,
            backend=backend,
            io_type=io_type,
            hls_config=config,
            allow_da_fallback=False,
            allow_v2_fallback=False,
        )
    except (AssertionError, NotImplementedError, ValueError) as error:
        raise UnsupportedLayerError(
            str(getattr(model, "name", "network")), "Keras model", SUPPORTED, reason=f"hls4ml says: {error}"
        ) from error
