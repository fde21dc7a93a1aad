"""A graph as JSON and arrays, and back; the graph inside a node is written the same way."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import cache
from typing import Any, get_args, get_type_hints

import numpy as np

from dwell.hls.qmodel import fields as f
from dwell.hls.qmodel import types as t
from dwell.hls.qmodel.graph import Node, QModel, Recurrent
from dwell.hls.qmodel.nodes import Pooling
from dwell.hls.qmodel.validate import checked

FORMAT = "dwell-qmodel-2"

#: The node classes by name; no other kind is read.
KINDS: Mapping[str, type[Node]] = {kind.__name__: kind for kind in get_args(Node)}


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
        "nodes": [_node_out(node, arrays, prefix) for node in model.nodes],
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


def _node_out(node: Node, arrays: dict[str, t.Codes], prefix: str = "") -> dict[str, Any]:
    """The JSON form of `node`; its arrays are put into `arrays`, named there behind `prefix`."""
    out: dict[str, Any] = {"kind": type(node).__name__}
    for name in _codecs(type(node).__name__):
        value, key = getattr(node, name), f"{prefix}{node.name}/{name}"
        if isinstance(value, np.ndarray):
            out[name] = f.array_out(arrays, key, value)
        elif isinstance(node, Recurrent) and name == "body":
            out[name] = document(node.body, arrays, f"{key}/")[0]
        else:
            out[name] = f.plain_out(value)
    return out


# ---- reading


def graph_in(body: Mapping[str, Any], archive: zipfile.ZipFile) -> QModel:
    """A graph from its JSON form and the archive of arrays.

    Raises `DamagedError`, or `ConfigError` as `checked` does.
    """
    if body.get("format") != FORMAT:
        raise f.DamagedError(f"format is {body.get('format')!r}, this version reads {FORMAT!r}")
    nodes = tuple(_node_in(f.as_dict(item), archive) for item in f.as_list(body, "nodes"))
    tensors = [_tensor_in(f.as_dict(item)) for item in f.as_list(body, "tensors")]
    pairs = [f.as_strings(pair) for pair in f.as_list(body, "quantizers")]
    if any(len(pair) != 2 for pair in pairs):
        raise f.DamagedError("a quantizer is not a pair of names")
    model = QModel(
        name=f.as_str(body.get("name")),
        nodes=nodes,
        tensors={tensor.name: tensor for tensor in tensors},
        input=f.as_str(body.get("input")),
        output=f.as_str(body.get("output")),
        quantizers=tuple((pair[0], pair[1]) for pair in pairs),
        notes=f.as_strings(body.get("notes")),
    )
    return checked(model)


_Reader = Callable[[object, zipfile.ZipFile], Any]


@cache
def _codecs(kind: str) -> Mapping[str, _Reader]:
    """How each field of a kind of node is read, from its declared type."""
    hints = get_type_hints(KINDS[kind])
    readers: list[tuple[object, _Reader]] = [
        (str, lambda v, _: f.as_str(v)),
        (int, lambda v, _: f.as_int(v)),
        (bool, lambda v, _: f.as_bool(v)),
        (tuple[str, ...], lambda v, _: f.as_strings(v)),
        (tuple[int, ...], lambda v, _: f.as_ints(v)),
        (tuple[int, int], lambda v, _: f.as_ints(v, 2)),
        (tuple[int, int, int, int], lambda v, _: f.as_ints(v, 4)),
        (t.FixedPoint, lambda v, _: f.type_in(v)),
        (tuple[t.FixedPoint, ...], lambda v, _: f.types_in(v)),
        (t.Rounding, lambda v, _: t.Rounding(f.as_str(v))),
        (t.Overflow, lambda v, _: t.Overflow(f.as_str(v))),
        (Pooling, lambda v, _: Pooling(f.as_str(v))),
        (t.Codes, f.array_in),
        (QModel, _body_in),
    ]
    return {
        field.name: next(read for hint, read in readers if hint == hints[field.name])
        for field in fields(KINDS[kind])
    }


def _node_in(body: Mapping[str, Any], archive: zipfile.ZipFile) -> Node:
    """A node from its JSON form and the archive of arrays. Raises `DamagedError` for anything else."""
    name = f.as_str(body.get("kind"))
    if name not in KINDS:
        raise f.DamagedError(f"a node of unknown kind {name!r}")
    codecs = _codecs(name)
    if set(body) != {"kind", *codecs}:
        raise f.DamagedError(f"a {name} with {sorted(set(body) ^ {'kind', *codecs})} missing or not known")
    return KINDS[name](**{key: read(body[key], archive) for key, read in codecs.items()})


def _body_in(value: object, archive: zipfile.ZipFile) -> QModel:
    return graph_in(f.as_dict(value), archive)


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
