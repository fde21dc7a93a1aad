"""Messages between a board's process and whoever uses it: a JSON head and NumPy arrays, over two pipes.

A message is the head's length (4 bytes, little-endian), the head (JSON, UTF-8) and the arrays' bytes. The
head's `arrays` lists name, type (`numpy.dtype.descr` or a type string) and shape of each, in order.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

LARGEST_HEAD = 1 << 20
LARGEST_ARRAYS = 1 << 28

Write = Callable[[bytes], Any]
Read = Callable[[int], bytes]


class ProtocolError(ValueError):
    """Bytes that are no message."""


def pack(head: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> bytes:
    """One message."""
    described = [
        {
            "name": name,
            "type": array.dtype.descr if array.dtype.names else array.dtype.str,
            "shape": array.shape,
        }
        for name, array in arrays.items()
    ]
    text = json.dumps({**head, "arrays": described}).encode()
    parts = [struct.pack("<I", len(text)), text]
    parts += [np.ascontiguousarray(array).tobytes() for array in arrays.values()]
    return b"".join(parts)


def unpack(read: Read) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The next message; `read(n)` returns exactly n bytes, or raises EOFError.

    Raises `ProtocolError` for anything else than a message.
    """
    (length,) = struct.unpack("<I", read(4))
    if length > LARGEST_HEAD:
        raise ProtocolError(f"a head of {length} bytes is too long")
    try:
        head = json.loads(read(length))
        arrays = {}
        for item in head.pop("arrays"):
            kind = item["type"]
            dtype = np.dtype([tuple(part) for part in kind] if isinstance(kind, list) else kind)
            shape = tuple(int(n) for n in item["shape"])
            size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
            if dtype.hasobject or not 0 <= size <= LARGEST_ARRAYS:
                raise ProtocolError(f"an array of {size} bytes of {dtype}")
            arrays[str(item["name"])] = np.frombuffer(read(size), dtype).reshape(shape)
    except (KeyError, TypeError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ProtocolError(f"not a message: {error}") from error
    return head, arrays
