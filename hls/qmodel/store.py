"""A `QModel` as files: canonical JSON beside an npz of its arrays, byte for byte reproducible."""

from __future__ import annotations

import hashlib
import io
import json
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dwell.errors import ConfigError
from dwell.hls.qmodel import fields as f
from dwell.hls.qmodel.document import document, graph_in
from dwell.hls.qmodel.graph import QModel
from dwell.hls.qmodel.validate import checked

JSON_NAME = "qmodel.json"
_MAX_JSON_BYTES = 16 << 20
_EPOCH = (1980, 1, 1, 0, 0, 0)  # zip cannot say "no time"
_HINT = "the file is damaged or was altered: convert the network again"


# ---- writing


def _canonical(body: Mapping[str, Any]) -> bytes:
    return (json.dumps(body, sort_keys=True, indent=1, ensure_ascii=True, allow_nan=False) + "\n").encode()


def model_digest(model: QModel) -> str:
    """SHA-256 over the canonical form: equal for equal graphs, on any machine.

    The arrays enter through the hashes that the JSON form holds.
    """
    return hashlib.sha256(_canonical(document(model)[0])).hexdigest()


def save_model(model: QModel, directory: Path | str) -> None:
    """Write `qmodel.json` and `qmodel.npz` into `directory`, byte for byte the same each time."""
    directory = Path(directory)
    body, arrays = document(checked(model))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        for key in sorted(arrays):
            member = io.BytesIO()
            np.lib.format.write_array(member, np.ascontiguousarray(arrays[key], dtype="<i8"), version=(1, 0))
            archive.writestr(zipfile.ZipInfo(f"{key}.npy", _EPOCH), member.getvalue())
    directory.mkdir(parents=True, exist_ok=True)
    (directory / f.ARRAYS_NAME).write_bytes(packed.getvalue())
    whole = body | {"digest": hashlib.sha256(_canonical(body)).hexdigest()}
    (directory / JSON_NAME).write_bytes(_canonical(whole))


# ---- reading


_READ_ERRORS = (
    f.DamagedError,
    OSError,
    zipfile.BadZipFile,
    ValueError,  # JSON, UTF-8, enumerations, npy headers
    EOFError,
    RuntimeError,  # zip features, encryption, JSON nested too deep
    struct.error,
)


def load_model(directory: Path | str) -> QModel:
    """Read what `save_model` wrote. Raises `ConfigError` for a missing, damaged or altered file.

    Nothing in the files is executed, and sizes are checked before they are read.
    """
    directory = Path(directory)
    place = directory / JSON_NAME
    try:
        body = _read_json(place)
        recorded = body.pop("digest", None)
        if recorded != hashlib.sha256(_canonical(body)).hexdigest():
            raise f.DamagedError("its digest does not match its contents")
        with zipfile.ZipFile(directory / f.ARRAYS_NAME) as archive:
            return graph_in(body, archive)
    except FileNotFoundError as error:
        name = Path(error.filename).name
        hint = "name a folder that holds a QModel"
        raise ConfigError(f"{directory}: no {name}", hint=hint, place=str(place)) from error
    except _READ_ERRORS as error:
        raise ConfigError(f"{place}: {error}", hint=_HINT, place=str(place)) from error


def _read_json(path: Path) -> dict[str, Any]:
    if path.stat().st_size > _MAX_JSON_BYTES:
        raise f.DamagedError(f"larger than {_MAX_JSON_BYTES >> 20} MiB")
    return f.as_dict(json.loads(path.read_bytes().decode("utf-8")))
