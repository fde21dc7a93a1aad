"""New weights for a design that is running: what to write where, over its AXI4-Lite port.

    writes = plan_writes(design, model, bank=1)     # [(byte address, 32-bit word), …]
    for address, word in writes: port.write(address, word)
    port.write(control_address(design), 1)          # the frames that begin from now on use bank 1

The new model has the structure of the design's own: the same nodes, shapes, types and binary points. Weights and
biases of folded layers and the steps of tables behind them may differ, of FINN's layers the weights alone; all
else is in the circuit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from dwell.errors import ConfigError
from dwell.hls.backends import FINN
from dwell.hls.design import Design
from dwell.hls.finn.golden import like
from dwell.hls.finn.weights import Matrix
from dwell.hls.qmodel import Conv2D, Dense, Node, QModel, Table, value_range
from dwell.hls.rtl.design.stream import stream_layers
from dwell.hls.rtl.folded.chain import chain_layers
from dwell.hls.rtl.folded.layer import FoldedLayer
from dwell.hls.rtl.folded.memory import BUS_BITS, Memory
from dwell.hls.rtl.folded.plan import LayerIsland, carries, make_plan
from dwell.hls.rtl.folded.reload_map import MAP_FORMAT, all_memories
from dwell.hls.rtl.options import RtlOptions

#: Arrays that may differ, by node, where the node's layer is folded.
_WRITABLE: dict[type, tuple[str, ...]] = {
    Conv2D: ("weight", "bias"), Dense: ("weight", "bias"), Table: ("breaks", "levels"),
}  # fmt: skip
_WEIGHTS: dict[type, tuple[str, ...]] = {Conv2D: ("weight",), Dense: ("weight",)}

Write = tuple[int, int]


def plan_writes(design: Design, model: QModel, bank: int) -> list[Write]:
    """(byte address, word) of every write that brings the weights of `model` into `bank` of `design`.

    Raises `ConfigError` for a design without writable weights, and where `model` differs from the design's own
    in anything but weights, biases and steps, naming the node and what differs.
    """
    body = _weights(design)
    if bank not in (0, 1):
        raise ConfigError(f"bank {bank}: there are banks 0 and 1", place=design.name)
    own = design.qmodel()
    if design.backend == FINN:
        model = like(own, model)
    check_structure(own, model, writable_layers(design), writable_arrays(design))
    memories = _memories(design, model)
    base = int(body["memory_offset"]) + bank * int(body["bank_offset"])
    writes: list[Write] = []
    for memory, entry in zip(memories, _matched(memories, body["memories"]), strict=True):
        writes += _memory_writes(memory, base + int(entry["offset"]))
    return writes


def control_address(design: Design) -> int:
    """Byte address of the register whose bit 0 selects the bank of the frames to come."""
    return int(_weights(design)["registers"]["CONTROL"])


def reload_cycles(writes: Sequence[Write], clocks_a_write: int = 2) -> int:
    """Clocks that the port needs for `writes`: it takes one every two clocks if the master is as fast."""
    return len(writes) * clocks_a_write


def _weights(design: Design) -> Mapping[str, Any]:
    body = design.weights
    if not body:
        raise ConfigError(
            f"the weights of {design.name} are fixed",
            hint="convert it with reload and reuse factors above 1",
            place=str(design.path),
        )
    if body.get("format") != MAP_FORMAT:
        raise ConfigError(
            f"the register map of {design.name} is of format {body.get('format')}, not {MAP_FORMAT}",
            hint="convert the network again",
            place=str(design.path),
        )
    return body


def writable_layers(design: Design) -> set[str]:
    """The nodes of the golden model whose weights can be written."""
    layers = design.layers
    if design.backend == FINN:
        return {str(layer["matrix"]["node"]) for layer in layers if "matrix" in layer}
    return {str(layer["name"]) for layer in layers if "reuse" in layer["kernel"]}


def writable_arrays(design: Design) -> Mapping[type, tuple[str, ...]]:
    """The arrays that can be written, by the type of node."""
    return _WEIGHTS if design.backend == FINN else _WRITABLE


def _memories(design: Design, model: QModel) -> list[Memory]:
    if design.backend != FINN:
        return all_memories(_layers(design, model))
    matrices = [layer["matrix"] for layer in design.layers if "matrix" in layer]
    return [Matrix.from_json(matrix, str(matrix["node"])).memory(model) for matrix in matrices]


def _layers(design: Design, model: QModel) -> list[FoldedLayer]:
    """The folded layers of the design with the weights of `model`."""
    reuse = {
        str(layer["name"]): int(layer["kernel"]["reuse"])
        for layer in design.layers
        if "reuse" in layer["kernel"]
    }
    if design.style == "folded" and carries(model):
        plan = make_plan(model, RtlOptions(style="folded", reuse=reuse, reload=True))
        return [island.layer for island in plan.islands if isinstance(island, LayerIsland)]
    if design.max_width:
        options = RtlOptions(style="stream", reuse=reuse, reload=True, max_width=design.max_width)
        return chain_layers(model, options)
    if design.style == "stream":
        pixels = design.input.elements // design.input.shape[-1]
        return stream_layers(
            model, RtlOptions(style="stream", reuse=reuse, reload=True, pixels_per_clock=pixels)
        )
    raise ConfigError(f"weights of style '{design.style}' cannot be written", place=design.name)


def _matched(memories: Sequence[Memory], entries: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    known = {str(entry["name"]): entry for entry in entries}
    found = []
    for memory in memories:
        entry = known.get(memory.name)
        if entry is None or (entry["width"], entry["depth"]) != (memory.width, memory.depth):
            have = f"{entry['depth']} words of {entry['width']} bits" if entry else "no such memory"
            raise ConfigError(
                f"memory {memory.name}: the model needs {memory.depth} words of {memory.width} bits, "
                f"the design has {have}",
                hint="convert the network again",
                place=memory.layer,
            )
        found.append(entry)
    if len(found) != len(known):
        raise ConfigError(
            "the design has memories that the model does not fill", hint="convert the network again"
        )
    return found


def _memory_writes(memory: Memory, base: int) -> list[Write]:
    mask, size = (1 << BUS_BITS) - 1, BUS_BITS // 8
    return [
        (base + (address << memory.chunk_bits | chunk) * size, (word >> (chunk * BUS_BITS)) & mask)
        for address, word in enumerate(memory.words)
        for chunk in range(memory.chunks)
    ]


# ---- same structure


def check_structure(
    own: QModel, new: QModel, folded: set[str], arrays: Mapping[type, tuple[str, ...]] = _WRITABLE
) -> None:
    """Raise `ConfigError` where `new` differs from `own` in more than `arrays` of `folded` layers."""
    mine, theirs = own.order(), new.order()
    if len(mine) != len(theirs):
        raise ConfigError(
            f"the model has {len(theirs)} nodes, the design {len(mine)}", hint=_HINT, place=new.name
        )
    layer = ""
    for a, b in zip(mine, theirs, strict=True):
        if isinstance(a, Conv2D | Dense):
            layer = a.name
        _same_node(a, b, arrays if layer in folded else {})
        before, after = own.tensors[a.output], new.tensors[b.output]
        if before.shape != after.shape:
            raise _different(a, "the shape of its output", before.shape, after.shape)
        if before.type.frac != after.type.frac:
            raise _different(a, "the fraction bits of its output", before.type.frac, after.type.frac)
        if not isinstance(a, Conv2D | Dense) and a.inputs and _quantizes(a) and before.type != after.type:
            raise _different(a, "the type of its output", before.type, after.type)
    low, high = value_range(new, new.output)
    port = own.tensors[own.output].type
    if int(low.min()) < port.lo or int(high.max()) > port.hi:
        raise ConfigError(
            f"results from {int(low.min())} to {int(high.max())} do not fit the design's output, {port}",
            hint="end the network with a quantizer, or convert it again",
            place=new.output,
        )


_HINT = "only weights, biases and steps of tables can be written into a running design"


def _quantizes(node: Node) -> bool:
    return type(node).__name__ in ("Cast", "Table")


def _same_node(a: Node, b: Node, arrays: Mapping[type, tuple[str, ...]]) -> None:
    if type(a) is not type(b) or a.name != b.name:
        raise ConfigError(
            f"the design has {type(a).__name__} '{a.name}' where the model has {type(b).__name__} '{b.name}'",
            hint=_HINT,
            place=a.name,
        )
    free = arrays.get(type(a), ())
    for field in fields(a):
        mine, theirs = getattr(a, field.name), getattr(b, field.name)
        if isinstance(mine, np.ndarray):
            if mine.shape != theirs.shape:
                raise _different(a, f"the shape of its {field.name}", mine.shape, theirs.shape)
            if not np.array_equal(mine, theirs) and field.name not in free:
                reason = "" if arrays else f"; layer '{a.name}' is not folded"
                raise ConfigError(
                    f"'{a.name}': its {field.name} are in the circuit and differ{reason}",
                    hint=_HINT,
                    place=a.name,
                )
        elif mine != theirs:
            raise _different(a, f"its {field.name}", mine, theirs)


def _different(node: Node, what: str, mine: object, theirs: object) -> ConfigError:
    return ConfigError(
        f"'{node.name}': {what} is {mine} in the design, {theirs} in the model", hint=_HINT, place=node.name
    )
