"""A `QModel` as files: canonical JSON beside an npz of its arrays, byte for byte reproducible."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dwell.errors import ConfigError
from dwell.hls.qmodel import nodes as n
from dwell.hls.qmodel import types as t

if TYPE_CHECKING:
    from dwell.hls.qmodel.graph import QModel

FORMAT = "dwell-qmodel-1"
JSON_NAME = "qmodel.json"
ARRAYS_NAME = "qmodel.npz"
_MAX_JSON_BYTES = 16 << 20
_MAX_ARRAY_BYTES = 1 << 30
_EPOCH = (1980, 1, 1, 0, 0, 0)  # zip cannot say "no time"
_HINT = "the file is damaged or was altered: convert the network again"


# ---- writing


def document(model: QModel) -> tuple[dict[str, Any], dict[str, t.Codes]]:
    """The JSON form of `model` (without its digest), and the arrays it refers to by name."""
    arrays: dict[str, t.Codes] = {}
    return {
        "format": FORMAT,
        "name": model.name,
        "input": model.input,
        "output": model.output,
        "nodes": [_node_out(node, arrays) for node in model.nodes],
        "tensors": [
            {"name": x.name, "shape": list(x.shape), "type": _type_out(x.type), "scale": x.scale}
            for _, x in sorted(model.tensors.items())
        ],
        "quantizers": [list(pair) for pair in model.quantizers],
        "notes": list(model.notes),
    }, arrays


def _type_out(kind: t.FixedPoint) -> dict[str, Any]:
    return {"signed": kind.signed, "width": kind.width, "frac": kind.frac}


def _array_out(arrays: dict[str, t.Codes], key: str, array: t.Codes) -> dict[str, Any]:
    arrays[key] = array
    raw = np.ascontiguousarray(array, dtype="<i8").tobytes()
    return {"array": key, "shape": list(array.shape), "sha256": hashlib.sha256(raw).hexdigest()}


def _node_out(node: n.Node, arrays: dict[str, t.Codes]) -> dict[str, Any]:
    out: dict[str, Any] = {
        "kind": type(node).__name__,
        "name": node.name,
        "inputs": list(node.inputs),
        "output": node.output,
    }
    if isinstance(node, n.Input):
        out |= {"rounding": str(node.rounding), "overflow": str(node.overflow)}
    elif isinstance(node, n.Cast):
        out |= {"rounding": str(node.rounding), "overflow": str(node.overflow)}
        out["types"] = [_type_out(kind) for kind in node.types]
    elif isinstance(node, n.Reshape):
        out["shape"] = list(node.shape)
    elif isinstance(node, n.Conv2D | n.Dense):
        out["weight"] = _array_out(arrays, f"{node.name}/weight", node.weight)
        out["bias"] = _array_out(arrays, f"{node.name}/bias", node.bias)
        out |= {"weight_type": _type_out(node.weight_type), "bias_frac": node.bias_frac}
        if isinstance(node, n.Conv2D):
            out |= {
                "stride": list(node.stride),
                "dilation": list(node.dilation),
                "padding": list(node.padding),
            }
    return out


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
    (directory / ARRAYS_NAME).write_bytes(packed.getvalue())
    whole = body | {"digest": hashlib.sha256(_canonical(body)).hexdigest()}
    (directory / JSON_NAME).write_bytes(_canonical(whole))


# ---- reading


class _DamagedError(Exception):
    """What is wrong, for the reader to turn into a `ConfigError` with the file's place."""


_READ_ERRORS = (
    _DamagedError,
    OSError,
    zipfile.BadZipFile,
    ValueError,  # JSON, UTF-8, enumerations, npy headers
    EOFError,
    RecursionError,
    NotImplementedError,  # zip features
)


def load(directory: Path) -> QModel:
    """See `QModel.load`. Nothing in the files is executed, and sizes are checked before they are read."""
    from dwell.hls.qmodel.graph import QModel

    place = directory / JSON_NAME
    try:
        body = _read_json(place)
        recorded = body.pop("digest", None)
        if recorded != hashlib.sha256(_canonical(body)).hexdigest():
            raise _DamagedError("its digest does not match its contents")
        with zipfile.ZipFile(directory / ARRAYS_NAME) as archive:
            nodes = tuple(_node_in(_dict(item), archive) for item in _list(body, "nodes"))
        tensors = [_tensor_in(_dict(item)) for item in _list(body, "tensors")]
        pairs = [_strings(pair) for pair in _list(body, "quantizers")]
        if any(len(pair) != 2 for pair in pairs):
            raise _DamagedError("a quantizer is not a pair of names")
        return QModel(
            name=_str(body, "name"),
            nodes=nodes,
            tensors={tensor.name: tensor for tensor in tensors},
            input=_str(body, "input"),
            output=_str(body, "output"),
            quantizers=tuple((pair[0], pair[1]) for pair in pairs),
            notes=_strings(body.get("notes")),
        )
    except FileNotFoundError as error:
        name = Path(error.filename).name
        hint = "name a folder that holds a QModel"
        raise ConfigError(f"{directory}: no {name}", hint=hint, place=str(place)) from error
    except _READ_ERRORS as error:
        raise ConfigError(f"{place}: {error}", hint=_HINT, place=str(place)) from error


def _read_json(path: Path) -> dict[str, Any]:
    if path.stat().st_size > _MAX_JSON_BYTES:
        raise _DamagedError(f"larger than {_MAX_JSON_BYTES >> 20} MiB")
    body = _dict(json.loads(path.read_bytes().decode("utf-8")))
    if body.get("format") != FORMAT:
        raise _DamagedError(f"format is {body.get('format')!r}, this version reads {FORMAT!r}")
    return body


def _dict(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _DamagedError(f"an object is expected where there is {type(value).__name__}")
    return value


def _list(body: Mapping[str, Any], key: str) -> list[Any]:
    value = body.get(key)
    if not isinstance(value, list):
        raise _DamagedError(f"{key!r} is missing or not a list")
    return value


def _str(body: Mapping[str, Any], key: str) -> str:
    value = body.get(key)
    if not isinstance(value, str):
        raise _DamagedError(f"{key!r} is missing or not a string")
    return value


def _strings(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise _DamagedError("a list of strings is expected")
    return tuple(value)


def _int(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise _DamagedError(f"an integer is expected where there is {value!r}")
    return value


def _ints(body: Mapping[str, Any], key: str) -> tuple[int, ...]:
    return tuple(_int(item) for item in _list(body, key))


def _pair(body: Mapping[str, Any], key: str) -> tuple[int, int]:
    values = _ints(body, key)
    if len(values) != 2:
        raise _DamagedError(f"{key!r} does not have two numbers")
    return values[0], values[1]


def _four(body: Mapping[str, Any], key: str) -> tuple[int, int, int, int]:
    values = _ints(body, key)
    if len(values) != 4:
        raise _DamagedError(f"{key!r} does not have four numbers")
    return values[0], values[1], values[2], values[3]


def _type_in(value: object) -> t.FixedPoint:
    body = _dict(value)
    if not isinstance(body.get("signed"), bool):
        raise _DamagedError("a type does not say whether it is signed")
    width = _int(body.get("width"))
    if not 0 <= width <= t.MAX_WIDTH:
        raise _DamagedError(f"a type of {width} bits")
    return t.FixedPoint(body["signed"], width, _int(body.get("frac")))


def _tensor_in(body: Mapping[str, Any]) -> t.Tensor:
    scale = body.get("scale")
    if not isinstance(scale, float):
        raise _DamagedError("a tensor's scale is not a number")
    return t.Tensor(_str(body, "name"), _ints(body, "shape"), _type_in(body.get("type")), scale)


def _array_in(value: object, archive: zipfile.ZipFile) -> t.Codes:
    body = _dict(value)
    key, shape = _str(body, "array"), _ints(body, "shape")
    try:
        member = archive.getinfo(f"{key}.npy")
    except KeyError:
        raise _DamagedError(f"{ARRAYS_NAME} lacks {key!r}") from None
    count = 1
    for size in shape:
        count *= size
    if count < 0 or count * 8 > _MAX_ARRAY_BYTES or member.file_size > count * 8 + 4096:
        raise _DamagedError(f"{ARRAYS_NAME}: {key!r} is not as large as its shape {shape}")
    with archive.open(member) as stream:
        array = np.lib.format.read_array(io.BytesIO(stream.read(count * 8 + 4096)), allow_pickle=False)
    if array.dtype != np.dtype("<i8") or array.shape != shape:
        raise _DamagedError(f"{ARRAYS_NAME}: {key!r} is {array.dtype} {array.shape}, not int64 {shape}")
    if hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest() != body.get("sha256"):
        raise _DamagedError(f"{ARRAYS_NAME}: {key!r} does not match its digest")
    return np.asarray(array, dtype=np.int64)


def _node_in(body: dict[str, Any], archive: zipfile.ZipFile) -> n.Node:
    kind = _str(body, "kind")
    name, inputs, output = _str(body, "name"), _strings(body.get("inputs")), _str(body, "output")
    if kind in ("Conv2D", "Dense"):
        weight, bias = _array_in(body.get("weight"), archive), _array_in(body.get("bias"), archive)
        weight_type, bias_frac = _type_in(body.get("weight_type")), _int(body.get("bias_frac"))
        if abs(bias_frac) > t.MAX_WIDTH:
            raise _DamagedError(f"a bias of {bias_frac} fraction bits")
        if kind == "Dense":
            return n.Dense(name, inputs, output, weight, weight_type, bias, bias_frac)
        stride, dilation, padding = _pair(body, "stride"), _pair(body, "dilation"), _four(body, "padding")
        return n.Conv2D(name, inputs, output, weight, weight_type, bias, bias_frac, stride, dilation, padding)
    if kind == "Input":
        return n.Input(
            name, inputs, output, t.Rounding(_str(body, "rounding")), t.Overflow(_str(body, "overflow"))
        )
    if kind == "Cast":
        kinds = tuple(_type_in(item) for item in _list(body, "types"))
        if not kinds:
            raise _DamagedError(f"{name} casts to no type")
        rounding, overflow = t.Rounding(_str(body, "rounding")), t.Overflow(_str(body, "overflow"))
        return n.Cast(name, inputs, output, kinds, rounding, overflow)
    simple: dict[str, Callable[[], n.Node]] = {
        "Relu": lambda: n.Relu(name, inputs, output),
        "Flatten": lambda: n.Flatten(name, inputs, output),
        "Reshape": lambda: n.Reshape(name, inputs, output, _ints(body, "shape")),
    }
    if kind not in simple:
        raise _DamagedError(f"a node of unknown kind {kind!r}")
    return simple[kind]()
