"""A softmax, or a single sigmoid, that ends a network: left out, since the class and the logits are before it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dwell.hls.frontends.keras_net.graph import Call, Graph

_NAMES = ("softmax", "sigmoid")
_LAYERS = ("Softmax", "QSoftmax")


@dataclass(frozen=True)
class LastSoftmax:
    """The layer that ends the network. `whole`: it does nothing else, so what enters it is the result."""

    call: Call
    kind: str
    whole: bool

    def before(self, low: Any, inputs: list[Any], read: Callable[..., Any]) -> Any:
        """What enters the softmax."""
        if self.whole:
            return inputs[0]
        with WithoutActivation(self.call.layer):
            return read(low, self.call, inputs)


class WithoutActivation:
    """A layer whose activation is taken away for a while."""

    def __init__(self, layer: Any) -> None:
        self._layer = layer
        self._kept: Any = None

    def __enter__(self) -> None:
        self._kept, self._layer.activation = self._layer.activation, None

    def __exit__(self, *_: object) -> None:
        self._layer.activation = self._kept


def last_softmax(graph: Graph) -> LastSoftmax | None:
    """The softmax or sigmoid that gives the network's output, and nothing else reads."""
    call = graph.maker(graph.output)
    layer = call.layer
    if not call.inputs or graph.readers(call.output) != 1:
        return None
    kind = type(layer).__name__
    if kind in _LAYERS:
        return LastSoftmax(call, "softmax", True)
    name = getattr(getattr(layer, "activation", None), "__name__", "")
    if kind == "QActivation":
        name = getattr(layer.quantizer, "__name__", "")
    if name not in _NAMES or (
        type(layer).__module__.startswith("hgq.") and getattr(layer, "enable_oq", False)
    ):
        return None
    return LastSoftmax(call, name, kind in ("Activation", "QActivation"))
