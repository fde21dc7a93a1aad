"""The layers of a Keras model in the order in which they run, for Keras 3 and for Keras 2 (tf_keras) alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Call:
    """One use of a layer: the tensors it reads and gives, told apart by numbers; `tensor` is what it gives.

    `place` is the layer's name, with a number where the layer is used again.
    """

    layer: Any
    inputs: tuple[int, ...]
    output: int
    tensor: Any
    place: str


@dataclass(frozen=True)
class Graph:
    """All uses of layers on the way to `output`, inputs first. Models inside are entered."""

    calls: tuple[Call, ...]
    output: int

    def readers(self, tensor: int) -> int:
        """How many uses read a tensor."""
        return sum(call.inputs.count(tensor) for call in self.calls) + (tensor == self.output)

    def at(self, place: str) -> tuple[Call, str]:
        """The use that a quantizer's place belongs to, and the rest of the place after its point."""
        found = [call for call in self.calls if place == call.place or place.startswith(f"{call.place}.")]
        call = max(found, key=lambda one: len(one.place))
        return call, place[len(call.place) + 1 :]

    def maker(self, tensor: int) -> Call:
        """The use that gives a tensor."""
        return next(call for call in self.calls if call.output == tensor)


def graph_of(model: Any) -> Graph:
    """The graph of a model with one output."""
    made: list[Call] = []
    output = _visit(model.outputs[0], {}, made)
    return Graph(tuple(made), output)


def _visit(wanted: Any, known: dict[int, int], made: list[Call]) -> int:
    """Append the uses that `wanted` needs; its number. No recursion over the depth of the network."""
    stack: list[Any] = [wanted]
    while stack:
        tensor = stack[-1]
        if id(tensor) in known:
            stack.pop()
            continue
        layer, node = origin(tensor)
        reads = reads_of(node)
        lacking = [read for read in reads if id(read) not in known]
        if lacking:
            stack.extend(reversed(lacking))
            continue
        given = tuple(known[id(read)] for read in reads)
        if is_model(layer):
            inside = {id(own): outer for own, outer in zip(layer.inputs, given, strict=True)}
            known[id(tensor)] = _visit(_output_of(layer, tensor), inside, made)
        else:
            again = sum(call.layer is layer for call in made)
            place = f"{layer.name}#{again + 1}" if again else str(layer.name)
            made.append(Call(layer, given, id(tensor), tensor, place))
            known[id(tensor)] = id(tensor)
        stack.pop()
    return known[id(wanted)]


def _output_of(model: Any, tensor: Any) -> Any:
    """The tensor inside a model that it gives as `tensor`."""
    return model.outputs[int(tensor._keras_history.tensor_index)]


def origin(tensor: Any) -> tuple[Any, Any]:
    """The layer that gives a tensor, and the node of that use."""
    history = tensor._keras_history
    layer = history.layer if hasattr(history, "layer") else history.operation
    return layer, layer._inbound_nodes[history.node_index]


def reads_of(node: Any) -> list[Any]:
    """The tensors that a use reads."""
    if hasattr(node, "keras_inputs"):  # Keras 2
        return list(node.keras_inputs)
    return list(node.input_tensors)


def is_model(layer: Any) -> bool:
    return hasattr(layer, "layers") and hasattr(layer, "outputs") and bool(getattr(layer, "inputs", None))
