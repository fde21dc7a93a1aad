"""The golden model of what FINN keeps of a network: from the first quantizer's codes to the last sums."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from dwell.errors import ConfigError
from dwell.hls.qmodel import Input, Node, Overflow, QModel, Rounding, Tensor

#: The type that a network which does not fix its input's type is read with: FINN's design does not see it,
#: for the host quantizes the frames.
READ_WITH = "ufixed<8,0>"


def from_first_quantizer(model: QModel, scale: float, offset: float) -> QModel:
    """`model` without what comes before its first quantizer, whose codes become the input.

    A code stands for ``code * scale + offset`` in the units of the frames. Raises `ConfigError` for a network
    without a quantizer on its input.
    """
    if not model.quantizers:
        raise ConfigError("the network has no quantizer", hint="put a QuantIdentity before the first layer")
    first = model.quantizers[0][1]
    before = _before(model, first)
    after = [node for node in model.nodes if node.name not in before]
    inner = {node.output for node in model.nodes if node.name in before} - {first}
    if any(name in inner for node in after for name in node.inputs):
        raise ConfigError(
            "the frame is used apart from its quantizer", hint="put a QuantIdentity before the first layer"
        )
    kind = model.tensors[first].type
    low = int(model.value_range(first)[0].min())
    overflow = Overflow.SAT_SYM if kind.signed and low > kind.lo else Overflow.SAT
    nodes: list[Node] = [Input(first, (), first, Rounding.RND_CONV, overflow), *after]
    tensors = {node.output: model.tensors[node.output] for node in nodes}
    tensors[first] = _real(tensors[first], scale, offset)
    kept = tuple((source, name) for source, name in model.quantizers if name in tensors)
    return QModel(model.name, tuple(nodes), tensors, first, model.output, kept, model.notes)


def _real(tensor: Tensor, scale: float, offset: float) -> Tensor:
    return replace(tensor, scale=scale * 2.0**tensor.type.frac, offset=offset)


def _maker(model: QModel, tensor: str) -> Node:
    return next(node for node in model.nodes if node.output == tensor)


def _before(model: QModel, tensor: str) -> set[str]:
    """Names of the nodes that `tensor` depends on, its own among them."""
    found: set[str] = set()
    waiting: Sequence[str] = [tensor]
    while waiting:
        node = _maker(model, waiting[0])
        waiting = [*waiting[1:], *node.inputs]
        found.add(node.name)
    return found
