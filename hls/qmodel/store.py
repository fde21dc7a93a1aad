"""A `QModel` as files: canonical JSON beside an npz of its arrays, byte for byte reproducible."""

from __future__ import annotations

import hashlib
import io
import json
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dwell.errors import ConfigError
from dwell.hls.qmodel import fields as f
from dwell.hls.qmodel import types as t

if TYPE_CHECKING:
    from dwell.hls.qmodel.graph import QModel

FORMAT = "dwell-qmodel-2"
JSON_NAME = "qmodel.json"
_MAX_JSON_BYTES = 16 << 20
_EPOCH = (1980, 1, 1, 0, 0, 0)  # zip cannot say "no time"
_HINT = "the file is damaged or was altered: convert the network again"


# ---- writing


def document(
    model: QModel, arrays: dict[str, t.Codes] | None = None, prefix: str = ""
) -> tuple[dict[str, Any], dict[str, t.Codes]]:
    """The JSON form of `model` (without its digest), and the arrays it refers to by name.

    With `arrays`, they are put among those, named behind `prefix`.
    """
    arrays = {} if arrays is None else arrays
    return {
        "format": FORMAT,
        "name": model.name,
        "input": model.input,
        "output": model.output,
        "nodes": [f.node_out(node, arrays, prefix) for node in model.nodes],
        "tensors": [
            {
                "name": x.name,
                "shape": list(x.shape),
                "type": f.type_out(x.type),
                "scale": _numbers_out(x.scale),
                "offset": _numbers_out(x.offset),
            }
            for _, x in sorted(model.tensors.items())
        ],
        "quantizers": [list(pair) for pair in model.quantizers],
        "notes": list(model.notes),
    }, arrays


def _numbers_out(value: float | tuple[float, ...]) -> float | list[float]:
    return [float(v) for v in value] if isinstance(value, tuple) else float(value)


def _canonical(body: Mapping[str, Any]) -> bytes:
    return (json.dumps(body, sort_keys=True, indent=1, ensure_ascii=True, allow_nan=False) + "\n").encode()


def digest(model: QModel) -> str:
    """See `QModel.digest`; the arrays enter through the hashes that the JSON form holds."""
    return hashlib.sha256(_canonical(document(model)[0])).hexdigest()


def save(model: QModel, directory: Path) -> None:
    """See `QModel.save`."""
    body, arrays = document(model)
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


def load(directory: Path) -> QModel:
    """See `QModel.load`. Nothing in the files is executed, and sizes are checked before they are read."""
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


def graph_in(body: Mapping[str, Any], archive: zipfile.ZipFile) -> QModel:
    """A graph from its JSON form and the archive of arrays. Raises `DamagedError`, or `ConfigError` as `QModel`."""
    from dwell.hls.qmodel.graph import QModel

    if body.get("format") != FORMAT:
        raise f.DamagedError(f"format is {body.get('format')!r}, this version reads {FORMAT!r}")
    nodes = tuple(f.node_in(f.as_dict(item), archive) for item in f.as_list(body, "nodes"))
    tensors = [_tensor_in(f.as_dict(item)) for item in f.as_list(body, "tensors")]
    pairs = [f.as_strings(pair) for pair in f.as_list(body, "quantizers")]
    if any(len(pair) != 2 for pair in pairs):
        raise f.DamagedError("a quantizer is not a pair of names")
    return QModel(
        name=f.as_str(body.get("name")),
        nodes=nodes,
        tensors={tensor.name: tensor for tensor in tensors},
        input=f.as_str(body.get("input")),
        output=f.as_str(body.get("output")),
        quantizers=tuple((pair[0], pair[1]) for pair in pairs),
        notes=f.as_strings(body.get("notes")),
    )


def _read_json(path: Path) -> dict[str, Any]:
    if path.stat().st_size > _MAX_JSON_BYTES:
        raise f.DamagedError(f"larger than {_MAX_JSON_BYTES >> 20} MiB")
    return f.as_dict(json.loads(path.read_bytes().decode("utf-8")))


def _tensor_in(body: Mapping[str, Any]) -> t.Tensor:
    name, shape = f.as_str(body.get("name")), f.as_ints(body.get("shape"))
    scale, offset = _numbers_in(body.get("scale")), _numbers_in(body.get("offset"))
    return t.Tensor(name, shape, f.type_in(body.get("type")), scale, offset)


def _numbers_in(value: object) -> float | tuple[float, ...]:
    if isinstance(value, float):
        return value
    if not isinstance(value, list) or not all(isinstance(item, float) for item in value):
        raise f.DamagedError("a tensor's scale or offset is neither a number nor a list of numbers")
    return tuple(value)
