"""The network behind an hls4ml graph, for our own readers: what hls4ml's graph has lost is still there.

hls4ml keeps the model that it converted in the graph's configuration. A Keras model is read as it lies in this
process (Keras 3, HGQ2; QKeras in a process where `keras` is Keras 2), an ONNX model as a file.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt

from dwell.errors import ConfigError, UnsupportedLayerError
from dwell.hls.frontends import Frontend, Values
from dwell.hls.frontends.hush import hushed
from dwell.hls.frontends.network import QuantizedNetwork, network_from_file
from dwell.hls.frontends.reading import Reading
from dwell.hls.qmodel import FixedPoint

_HINT = "convert it in this process: convert_from_keras_model or convert_from_onnx_model"


@dataclass(frozen=True)
class KerasHere(Frontend):
    """The door of a Keras model that is an object of this process; there is no file."""

    model: Any = None

    def read(
        self, path: Path, *, input_type: FixedPoint | None = None, names: Mapping[str, str] | None = None
    ) -> Reading:
        from dwell.hls.frontends.keras_net.reader import read_model

        with hushed():
            return read_model(self.model, name=path.stem, input_type=input_type, names=names)

    def execute(
        self,
        path: Path,
        frames: npt.ArrayLike,
        places: Sequence[str],
        orders: Mapping[str, tuple[int, ...]] | None = None,
    ) -> dict[str, Values]:
        from dwell.hls.frontends.keras_net.execute import execute_model

        with hushed():
            return execute_model(self.model, frames, places)


def network_of(graph: Any) -> QuantizedNetwork:
    """The network that `graph` was made from.

    Raises `ConfigError` where hls4ml does not keep it, `UnsupportedLayerError` for a PyTorch module, which
    hls4ml converts wrongly in places (a slice of a GRU's sequence, an LSTM that returns one).
    """
    config = graph.config.config
    kind = _input_type(graph)
    name = str(graph.config.get_project_name())
    if hasattr(config.get("KerasModel"), "predict"):
        door = KerasHere("keras", "", "", "", config["KerasModel"])
        return QuantizedNetwork(Path(name), door, kind, (), None)
    if isinstance(config.get("KerasModel"), str | Path):
        return network_from_file(Path(config["KerasModel"]), kind)
    if config.get("OnnxModel") is not None:
        return network_from_file(_onnx_file(graph, config["OnnxModel"], name), kind)
    if config.get("PytorchModel") is not None:
        raise UnsupportedLayerError(
            name,
            "PyTorch module",
            ("Keras and QONNX models",),
            reason="hls4ml's front end for PyTorch converts some layers to something else",
            hint="export it to QONNX (brevitas.export.export_qonnx) and use convert_from_onnx_model",
        )
    raise ConfigError(f"{name}: the network behind the graph is not at hand", hint=_HINT)


def _onnx_file(graph: Any, given: Any, name: str) -> Path:
    """The ONNX model as a file, which lives as long as the graph where it is made here."""
    if isinstance(given, str | Path):
        return Path(given)
    kept = tempfile.TemporaryDirectory(prefix="dwell-onnx-")
    path = Path(kept.name) / f"{name}.onnx"
    if hasattr(given, "save"):
        given.save(str(path))
    else:
        path.write_bytes(given.SerializeToString())
    graph.dwell_onnx_folder = kept
    return path


def _input_type(graph: Any) -> FixedPoint | None:
    """What the user said about the input: `input_type=`, or a precision given to the input layer by name."""
    said = graph.config.get_config_value("InputType")
    if said is None:
        named = graph.config.config["HLSConfig"].get("LayerName") or {}
        entries = [layer.name for layer in graph.get_layers() if layer.class_name in ("Input", "InputLayer")]
        precision = (named.get(entries[0]) or {}).get("Precision") if entries else None
        said = precision.get("result") if isinstance(precision, Mapping) else precision
    return None if said in (None, "auto") else FixedPoint.parse(str(said).replace("ap_", ""))
