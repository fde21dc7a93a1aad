"""The fields of nodes as JSON and back: one pair of functions for each type that a field can have."""

from __future__ import annotations

import hashlib
import io
import math
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from dwell.errors import ConfigError
from dwell.hls.qmodel import types as t

ARRAYS_NAME = "qmodel.npz"
_MAX_ARRAY_BYTES = 1 << 30


class DamagedError(Exception):
    """What is wrong, for the reader to turn into a `ConfigError` with the file's place."""


# ---- writing


def plain_out(value: object) -> object:
    if isinstance(value, t.FixedPoint):
        return type_out(value)
    if isinstance(value, tuple):
        return [plain_out(item) for item in value]
    return str(value) if isinstance(value, str) else value  # an enumeration's member as its text


def type_out(kind: t.FixedPoint) -> dict[str, Any]:
    return {"signed": kind.signed, "width": kind.width, "frac": kind.frac}


def array_out(arrays: dict[str, t.Codes], key: str, array: t.Codes) -> dict[str, Any]:
    if key in arrays:
        raise ConfigError(f"{key}: two arrays of this name", hint="give the nodes other names", place=key)
    arrays[key] = array
    raw = np.ascontiguousarray(array, dtype="<i8").tobytes()
    return {"array": key, "shape": list(array.shape), "sha256": hashlib.sha256(raw).hexdigest()}


# ---- reading


def as_dict(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DamagedError(f"an object is expected where there is {type(value).__name__}")
    return value


def as_list(body: Mapping[str, Any], key: str) -> list[Any]:
    value = body.get(key)
    if not isinstance(value, list):
        raise DamagedError(f"{key!r} is missing or not a list")
    return value


def as_str(value: object) -> str:
    if not isinstance(value, str):
        raise DamagedError(f"a text is expected where there is {value!r}")
    return value


def as_strings(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise DamagedError("a list of strings is expected")
    return tuple(value)


def as_int(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise DamagedError(f"an integer is expected where there is {value!r}")
    if abs(value) >= 1 << 63:
        raise DamagedError(f"an integer of {value.bit_length()} bits")
    return value


def as_bool(value: object) -> bool:
    if not isinstance(value, bool):
        raise DamagedError(f"true or false is expected where there is {value!r}")
    return value


def as_ints(value: object, count: int | None = None) -> tuple[int, ...]:
    if not isinstance(value, list) or (count is not None and len(value) != count):
        raise DamagedError(f"a list of {'' if count is None else count} integers is expected")
    return tuple(as_int(item) for item in value)


def type_in(value: object) -> t.FixedPoint:
    body = as_dict(value)
    if not isinstance(body.get("signed"), bool):
        raise DamagedError("a type does not say whether it is signed")
    width = as_int(body.get("width"))
    if not 0 <= width <= t.MAX_WIDTH:
        raise DamagedError(f"a type of {width} bits")
    return t.FixedPoint(body["signed"], width, as_int(body.get("frac")))


def types_in(value: object) -> tuple[t.FixedPoint, ...]:
    if not isinstance(value, list) or not value:
        raise DamagedError("a list of types is expected, not an empty one")
    return tuple(type_in(item) for item in value)


def array_in(value: object, archive: zipfile.ZipFile) -> t.Codes:
    body = as_dict(value)
    key, shape = as_str(body.get("array")), as_ints(body.get("shape"))
    try:
        member = archive.getinfo(f"{key}.npy")
    except KeyError:
        raise DamagedError(f"{ARRAYS_NAME} lacks {key!r}") from None
    count = math.prod(shape)
    if min(shape, default=0) < 0 or count * 8 > _MAX_ARRAY_BYTES or member.file_size > count * 8 + 4096:
        raise DamagedError(f"{ARRAYS_NAME}: {key!r} is not as large as its shape {shape}")
    if member.compress_type != zipfile.ZIP_STORED:
        raise DamagedError(f"{ARRAYS_NAME}: {key!r} is packed")
    with archive.open(member) as stream:
        array = np.lib.format.read_array(io.BytesIO(stream.read(count * 8 + 4096)), allow_pickle=False)
    if array.dtype != np.dtype("<i8") or array.shape != shape:
        raise DamagedError(f"{ARRAYS_NAME}: {key!r} is {array.dtype} {array.shape}, not int64 {shape}")
    if hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest() != body.get("sha256"):
        raise DamagedError(f"{ARRAYS_NAME}: {key!r} does not match its digest")
    return np.asarray(array, dtype=np.int64)
