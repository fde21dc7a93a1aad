"""Keras files: which Keras wrote one, that it is no bomb and holds no code, and the model in it."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from dwell.errors import ConfigError, UnsupportedLayerError
from dwell.hls.frontends.hush import hushed

MAX_BYTES = 256 << 20
#: Of all arrays together, unpacked.
MAX_UNPACKED = 1 << 30
#: Layers whose loading runs code from the file.
_CODE = ("Lambda", "TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer")
HINT = "give a file as Model.save('model.keras') or save('model.h5') writes it"


def is_keras2(path: Path) -> bool:
    """Whether Keras 2 wrote a file, as QKeras' are: the environment `qkeras` reads it.

    Raises `ConfigError` for a file that is too large, or none of Keras'.
    """
    version, configuration = _look(path)
    _check_code(path, configuration)
    return not version.startswith("3")


def at_home() -> bool:
    """Whether this process is one of the environment `qkeras`, and so can load files of Keras 2 itself."""
    return importlib.util.find_spec("tf_keras") is not None


def _look(path: Path) -> tuple[str, Any]:
    """The version of Keras, and the model's configuration, without loading anything."""
    try:
        if path.stat().st_size > MAX_BYTES:
            _refuse(path, f"larger than {MAX_BYTES >> 20} MiB")
        with path.open("rb") as stream:
            zipped = stream.read(2) == b"PK"
        return _look_in_zip(path) if zipped else _look_in_hdf5(path)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}", hint=HINT, place=str(path)) from error
    except (zipfile.BadZipFile, ValueError, KeyError, RuntimeError, EOFError) as error:
        _refuse(path, str(error).splitlines()[0][:200] if str(error) else type(error).__name__)


def _look_in_zip(path: Path) -> tuple[str, Any]:
    with zipfile.ZipFile(path) as archive:
        if {"config.json", "model.weights.h5"} - set(archive.namelist()):
            _refuse(path, "not a .keras file")
        if sum(info.file_size for info in archive.infolist()) > MAX_UNPACKED:
            _refuse(path, f"larger than {MAX_UNPACKED >> 20} MiB when unpacked")
        metadata = json.loads(archive.read("metadata.json")) if "metadata.json" in archive.namelist() else {}
        return str(metadata.get("keras_version", "3")), json.loads(archive.read("config.json"))


def _look_in_hdf5(path: Path) -> tuple[str, Any]:
    import h5py

    if not h5py.is_hdf5(path):
        _refuse(path, "neither a .keras nor an HDF5 file")
    with h5py.File(path, "r") as file:
        if "model_config" not in file.attrs:
            _refuse(path, "weights without a model", "save the whole model: model.save('model.h5')")
        size = sum(_sizes(file))
        if size > MAX_UNPACKED:
            _refuse(path, f"larger than {MAX_UNPACKED >> 20} MiB when unpacked")
        version = _text(file.attrs.get("keras_version", "2"))
        return version, json.loads(_text(file.attrs["model_config"]))


def _sizes(group: Any) -> Iterator[int]:
    import h5py

    found: list[int] = []

    def note(_: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            found.append(int(item.size) * int(item.dtype.itemsize))

    group.visititems(note)
    yield from found


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _check_code(path: Path, configuration: Any) -> None:
    """Refuse a model with layers that are code, before anything of it is loaded."""
    stack = [configuration]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            if item.get("class_name") in _CODE:
                inner = item.get("config")
                name = str(
                    item.get("name") or (inner.get("name") if isinstance(inner, dict) else None) or path.name
                )
                raise UnsupportedLayerError(
                    name,
                    str(item["class_name"]),
                    (),
                    reason="it is code inside the file",
                    hint="use a layer instead",
                )
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)


def _refuse(path: Path, what: str, hint: str = HINT) -> NoReturn:
    raise ConfigError(f"{path.name}: {what}", hint=hint, place=str(path))


# ---- loading


def load_keras3(path: Path) -> Any:
    """The model in a file of Keras 3, HGQ2's layers known. Raises `ConfigError` where it cannot be loaded."""
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    with hushed():
        import hgq.layers  # noqa: F401 - registers the layers that the file names
        import keras

        from dwell.hls.frontends.keras_net.ptq_lstm import cell_class

        cell_class()
        return _loaded(path, lambda: keras.models.load_model(path, compile=False))


def prepare_keras2() -> None:
    """Make this process, one of the environment `qkeras`, use Keras 2 wherever Keras is meant."""
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    import numpy as np

    if not hasattr(np, "product"):
        np.product = np.prod  # type: ignore[attr-defined]  # QKeras uses the name that numpy 2 dropped
    import tf_keras

    sys.modules["keras"] = tf_keras


def load_keras2(path: Path) -> Any:
    """The model in a file of Keras 2, QKeras' layers known; only in a process of the environment `qkeras`."""
    with hushed():
        prepare_keras2()
        from qkeras.utils import load_qmodel

        return _loaded(path, lambda: load_qmodel(str(path), compile=False))


def _loaded(path: Path, load: Any) -> Any:
    try:
        return load()
    except Exception as error:  # Keras raises whatever the file leads it to
        first = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
        raise ConfigError(f"{path.name}: {first}", hint=HINT, place=str(path)) from error
