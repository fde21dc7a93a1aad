"""Files that are no networks, or more than networks: refused before Keras sees them."""

from __future__ import annotations

import json
import time
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from dwell.errors import ConfigError, UnsupportedLayerError
from dwell.hls.frontends.keras_net.files import is_keras2

pytestmark = pytest.mark.fast


def hdf5(path: Path, config: Any = None, version: str = "2.21.0") -> Path:
    with h5py.File(path, "w") as file:
        if config is not None:
            file.attrs["model_config"] = json.dumps(config)
            file.attrs["keras_version"] = version
        file["w"] = np.zeros(3)
    return path


def zipped(path: Path, config: Any, **more: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.15.1"}))
        archive.writestr("model.weights.h5", more.get("weights", b""))
    return path


def test_the_keras_that_wrote_a_file(tmp_path: Path) -> None:
    assert is_keras2(hdf5(tmp_path / "old.h5", {}))
    assert not is_keras2(hdf5(tmp_path / "new.h5", {}, "3.15.1"))
    assert not is_keras2(zipped(tmp_path / "new.keras", {}))


def test_weights_alone_are_no_network(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="weights without a model"):
        is_keras2(hdf5(tmp_path / "weights.h5"))


def test_code_in_a_file_is_refused_unloaded(tmp_path: Path) -> None:
    layer = {"class_name": "Lambda", "config": {"name": "boom", "function": "os.system"}}
    config = {"class_name": "Sequential", "config": {"layers": [{"class_name": "Dense"}, layer]}}
    for path in (hdf5(tmp_path / "code.h5", config), zipped(tmp_path / "code.keras", config)):
        with pytest.raises(UnsupportedLayerError, match=r"'boom' of type Lambda.*code inside the file"):
            is_keras2(path)


def test_bombs_are_refused_at_once(tmp_path: Path) -> None:
    started = time.monotonic()
    path = tmp_path / "bomb.h5"
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = "{}"
        file.create_dataset("w", shape=(1 << 34,), dtype="f4", chunks=(1 << 20,), compression="gzip")
    assert path.stat().st_size < 1 << 20
    with pytest.raises(ConfigError, match="larger than 1024 MiB when unpacked"):
        is_keras2(path)
    big = zipped(tmp_path / "bomb.keras", {}, weights=bytes(1 << 20))
    with zipfile.ZipFile(big, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("more", bytes(1 << 20))
        archive.getinfo("more").file_size = 1 << 31  # as its directory would say of a real one
    with pytest.raises(ConfigError, match="larger than 1024 MiB when unpacked"):
        is_keras2(big)
    deep = tmp_path / "deep.keras"
    with zipfile.ZipFile(deep, "w") as archive:
        archive.writestr("config.json", "[" * 200_000)
        archive.writestr("model.weights.h5", b"")
    with pytest.raises(ConfigError):
        is_keras2(deep)
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("content", [b"", b"PK", b"\x89HDF\r\n\x1a\n", b"not a network" * 99])
def test_what_is_no_file_of_keras(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "net.keras"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        is_keras2(path)
    assert caught.value.hint and caught.value.place == str(path)
