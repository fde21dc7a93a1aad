"""Reading an ONNX file with nothing taken on trust: the graph as plain Python data, or a clear error."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dwell.errors import ConfigError

Floats = npt.NDArray[np.float64]
Array = npt.NDArray[Any]
Attribute = int | float | str | tuple[int, ...] | tuple[float, ...] | tuple[str, ...]

MAX_BYTES = 256 << 20
#: Elements of the largest constant, of the largest tensor computed, and of the input.
MAX_ELEMENTS = 1 << 26
MAX_ACTIVATIONS = 1 << 24
MAX_INPUT = 1 << 22
#: Operators in a file.
MAX_NODES = 20_000
#: Axes of the tensor that has most, the frames' own included.
MAX_AXES = 5
#: Domains under which exporters have put the Quant operator.
QUANT_DOMAINS = ("qonnx.custom_op.general", "onnx.brevitas", "finn.custom_op.general")


@dataclass(frozen=True)
class OnnxNode:
    """One operator: `inputs` may hold empty strings where an optional input is left out."""

    name: str
    op: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Attribute]
    proto: Any = field(default=None, compare=False, repr=False)

    @property
    def label(self) -> str:
        """What to call it in a message."""
        return self.name or self.outputs[0]


@dataclass(frozen=True)
class OnnxGraph:
    """A checked graph: constants, as they are kept, from initializers and Constant nodes; one input, one output.

    `opsets` holds the version of each operator domain, "" being ONNX' own.
    """

    path: Path
    nodes: tuple[OnnxNode, ...]
    constants: Mapping[str, Array]
    input: str
    input_shape: tuple[int, ...]
    output: str
    opsets: Mapping[str, int]

    @cached_property
    def _readers(self) -> Mapping[str, tuple[OnnxNode, ...]]:
        found: dict[str, list[OnnxNode]] = {}
        for node in self.nodes:
            for name in dict.fromkeys(node.inputs):
                found.setdefault(name, []).append(node)
        return {name: tuple(nodes) for name, nodes in found.items()}

    def readers(self, tensor: str) -> tuple[OnnxNode, ...]:
        """The operators that read a tensor, in order; one that reads it twice comes once."""
        return self._readers.get(tensor, ())


def read_onnx(path: Path) -> OnnxGraph:
    """Parse and check an ONNX file.

    Raises `ConfigError` for a file that is missing, damaged, too large, or incomplete: external data,
    missing initializers, NaN or infinite constants, dynamic shapes, several inputs or outputs, nodes that
    are out of order or form a cycle.
    """
    import onnx

    model = _parse(path)
    for tensor in model.graph.initializer:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            raise _bad(
                path,
                f"the weights {tensor.name!r} are kept in another file",
                "save it in one file: onnx.save(onnx.load('model.onnx'), 'whole.onnx')",
            )
    if model.graph.sparse_initializer:
        raise _bad(path, "it holds sparse initializers", "export it with dense weights")
    constants = {str(t.name): _constant(path, str(t.name), t) for t in model.graph.initializer}
    nodes: list[OnnxNode] = []
    for proto in model.graph.node:
        node = _node(path, proto)
        if node.op == "Constant" and node.domain == "":
            values = {a.name: a for a in proto.attribute}
            if "value" not in values:
                raise _bad(
                    path, f"the Constant {node.label!r} holds no tensor", "fold constants before export"
                )
            constants[node.outputs[0]] = _constant(path, node.label, values["value"].t)
        else:
            nodes.append(node)
    entry, shape = _entry(path, model.graph, constants)
    if len(model.graph.output) != 1:
        raise _bad(path, f"it has {len(model.graph.output)} outputs", "export a network with one output")
    opsets = {str(o.domain).replace("ai.onnx", "", 1): int(o.version) for o in model.opset_import}
    output = str(model.graph.output[0].name)
    graph = OnnxGraph(path, tuple(nodes), constants, entry, shape, output, opsets)
    _check_order(graph)
    return graph


def _bad(path: Path, what: str, hint: str) -> ConfigError:
    return ConfigError(f"{path.name}: {what}", hint=hint, place=str(path))


def _parse(path: Path) -> Any:
    import onnx

    hint = "give an ONNX file as Brevitas' export_qonnx writes it"
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise _bad(path, f"{size >> 20} MiB is more than the {MAX_BYTES >> 20} MiB this reads", hint)
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}", hint=hint, place=str(path)) from error
    try:
        model = onnx.load_model_from_string(content)
    except Exception as error:  # protobuf has errors of its own; whatever it says, this is not ONNX
        raise _bad(path, "not an ONNX file, or a damaged one", hint) from error
    if not model.graph.node:
        raise _bad(path, "its graph is empty", hint)
    if len(model.graph.node) > MAX_NODES:
        raise _bad(path, f"{len(model.graph.node)} operators; {MAX_NODES} are the most", "export one network")
    return model


def check_size(what: str, shape: tuple[int, ...], most: int = MAX_ELEMENTS) -> None:
    """Refuse a tensor that is too large to be worked on. Raises `ConfigError` naming `what`."""
    if len(shape) > MAX_AXES:
        raise ConfigError(
            f"{what} has {len(shape)} axes; {MAX_AXES} are the most, the frames' own included",
            hint="reshape the network's tensors to (1, channels, rows, columns)",
        )
    if math.prod(shape) > most or min(shape, default=1) < 1:
        raise ConfigError(
            f"{what} is {shape}: {math.prod(shape)} elements; 1 to {most} are read",
            hint="export with smaller frames, or check the padding and the shapes",
        )


def _constant(path: Path, name: str, tensor: Any) -> Array:
    from onnx import numpy_helper

    try:
        check_size(f"the constant {name!r}", tuple(int(n) for n in tensor.dims))
    except ConfigError as error:
        if 0 not in tensor.dims or len(tensor.dims) > MAX_AXES:
            raise _bad(path, error.message, error.hint) from error
    try:
        array = np.asarray(numpy_helper.to_array(tensor))
    except (ValueError, TypeError, KeyError, RuntimeError) as error:
        raise _bad(path, f"the constant {name!r} is damaged: {error}", "export the network again") from error
    if array.dtype.kind not in "fiub":
        raise _bad(path, f"the constant {name!r} holds {array.dtype}", "export the network in float32")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        count = int((~np.isfinite(array)).sum())
        raise _bad(
            path, f"{count} values of {name!r} are NaN or infinite", "look at the training, then export"
        )
    return array


def _node(path: Path, proto: Any) -> OnnxNode:
    from onnx import AttributeProto, helper

    attributes: dict[str, Attribute] = {}
    for item in proto.attribute:
        name = str(item.name)  # bytes, where it is not UTF-8
        if item.type in (AttributeProto.INT, AttributeProto.FLOAT):
            attributes[name] = helper.get_attribute_value(item)
        elif item.type == AttributeProto.STRING:
            attributes[name] = item.s.decode("utf-8", "replace")
        elif item.type in (AttributeProto.INTS, AttributeProto.FLOATS):
            attributes[name] = tuple(helper.get_attribute_value(item))
        elif not (item.type == AttributeProto.TENSOR and proto.op_type == "Constant"):
            # Kept by name, so that a whitelist of attributes refuses it.
            attributes[name] = f"an attribute of type {item.type}"
    if not proto.output or not all(proto.output):
        raise _bad(path, f"the node {proto.name!r} has no output", "export the network again")
    return OnnxNode(
        str(proto.name),
        str(proto.op_type),
        str(proto.domain),
        tuple(str(i) for i in proto.input),
        tuple(str(o) for o in proto.output),
        attributes,
        proto,
    )


def _entry(path: Path, graph: Any, constants: Mapping[str, Array]) -> tuple[str, tuple[int, ...]]:
    entries = [value for value in graph.input if str(value.name) not in constants]
    if len(entries) != 1:
        names = ", ".join(repr(str(value.name)) for value in entries) or "none"
        hint = "one input is expected, every other tensor needs its initializer: export the network again"
        raise _bad(path, f"inputs without a value: {names}", hint)
    shape = []
    for axis, dim in enumerate(entries[0].type.tensor_type.shape.dim):
        if axis == 0 and dim.WhichOneof("value") != "dim_value":
            shape.append(1)  # frames are taken one by one, however many the file would take
            continue
        if dim.WhichOneof("value") != "dim_value" or dim.dim_value < 1:
            hint = "export with a fixed frame, for example torch.rand(1, 1, 32, 32)"
            raise _bad(path, f"axis {axis} of the input {str(entries[0].name)!r} has no fixed length", hint)
        shape.append(int(dim.dim_value))
    try:
        check_size(f"the input {str(entries[0].name)!r}", tuple(shape), MAX_INPUT)
    except ConfigError as error:
        raise _bad(path, error.message, error.hint) from error
    return str(entries[0].name), tuple(shape)


def _check_order(graph: OnnxGraph) -> None:
    known = set(graph.constants) | {graph.input, ""}
    made = {name for node in graph.nodes for name in node.outputs}
    for node in graph.nodes:
        for name in node.inputs:
            if name in known:
                continue
            if name in made:
                what = f"{node.label!r} reads {name!r} before it is computed: a cycle, or nodes out of order"
            else:
                what = f"{node.label!r} reads {name!r}, which nothing computes and no initializer holds"
            raise _bad(graph.path, what, "export the network again")
        doubled = [name for name in node.outputs if name in known]
        if doubled:
            raise _bad(graph.path, f"{doubled[0]!r} is computed twice", "export the network again")
        known |= set(node.outputs)
    if graph.output not in known:
        raise _bad(graph.path, f"the output {graph.output!r} is never computed", "export the network again")
