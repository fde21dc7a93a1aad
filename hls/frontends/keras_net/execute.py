"""What Keras itself computes at the places that quantizers have, on frames of ours."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
import numpy.typing as npt

from dwell.hls.frontends.keras_net import lstm, quantizers
from dwell.hls.frontends.keras_net.graph import Call, Graph, graph_of
from dwell.hls.frontends.keras_net.layers import quantized
from dwell.hls.frontends.keras_net.lowering import OFF_GRID
from dwell.hls.frontends.keras_net.ptq_lstm import is_quantized
from dwell.hls.frontends.keras_net.quantizers import Function
from dwell.hls.frontends.keras_net.softmax import WithoutActivation, last_softmax
from dwell.hls.frontends.keras_net.values import Floats
from dwell.hls.frontends.keras_net.weights import taken_apart

_BATCH = 32
_PARTS = ("kernel", "depthwise_kernel", "pointwise_kernel", "bias")


def execute_model(model: Any, frames: npt.ArrayLike, places: Sequence[str]) -> dict[str, Floats]:
    """Values (N, …) at `places`, and the output (without a final softmax) as ``""``, by `Model.predict`."""
    x = np.asarray(frames, dtype=np.float32)
    graph = graph_of(model)
    with ExitStack() as stack:
        _on_grid(graph)
        entry, tensors = replayed(graph, _cut(graph, stack), _keras_of(model))
        steps = [place for place in places if _cell_place(graph, place)]
        wanted = {"": tensors[graph.output]}
        wanted |= {place: _tensor_at(graph, tensors, place) for place in places if place not in steps}
        for place in steps:
            call, _ = graph.at(place)
            if _into(call) not in wanted:
                wanted[_into(call)] = _sequence_into(call, tensors)
        values = _keras_of(model).Model(entry, list(wanted.values())).predict(x, batch_size=_BATCH, verbose=0)
    each = values if isinstance(values, list | tuple) else [values]
    found = {name: np.asarray(v, dtype=np.float32) for name, v in zip(wanted, each, strict=True)}
    for place in steps:
        if place not in found:
            call, _ = graph.at(place)
            found |= _through_time(call, found[_into(call)])
    return {"": found[""]} | {place: found[place] for place in places}


def _keras_of(model: Any) -> Any:
    """The Keras that a model is of: 2 or 3."""
    if any(kind.__module__.startswith("tf_keras") for kind in type(model).__mro__):
        return importlib.import_module("tf_keras")
    return importlib.import_module("keras")


def _cut(graph: Graph, stack: ExitStack) -> Call | None:
    """The final softmax, if it is a layer; one that is an activation is taken away until `stack` closes."""
    softmax = last_softmax(graph)
    if softmax is not None and not softmax.whole:
        stack.enter_context(WithoutActivation(softmax.call.layer))
    return softmax.call if softmax is not None and softmax.whole else None


def replayed(graph: Graph, left_out: Call | None, keras: Any) -> tuple[Any, dict[int, Any]]:
    """Every layer called once more, on one new input: models inside are no longer in the way."""
    tensors: dict[int, Any] = {}
    entry: Any = None
    for call in graph.calls:
        if not call.inputs:
            entry = keras.Input(tuple(call.tensor.shape[1:]))
            tensors[call.output] = entry
            continue
        given = [tensors[at] for at in call.inputs]
        if call is left_out:
            iq = getattr(call.layer, "enable_iq", False)
            tensors[call.output] = call.layer.iq(given[0]) if iq else given[0]
        else:
            tensors[call.output] = call.layer(given if len(given) > 1 else given[0])
    return entry, tensors


def _tensor_at(graph: Graph, tensors: Mapping[int, Any], place: str) -> Any:
    """The tensor that a quantizer gives: of an input of a layer (iq, iq0, …), or the layer's output."""
    call, side = graph.at(place)
    if not side.startswith("iq"):
        return tensors[call.output]
    layer, given = call.layer, [tensors[at] for at in call.inputs]
    if side != "iq":
        return layer.iq[int(side[2:])](given[int(side[2:])])
    return _sequence_into(call, tensors) if hasattr(layer, "cell") else layer.iq(given[0])


def _into(call: Call) -> str:
    """What the steps that enter a recurrent layer are called."""
    return f"{call.place}<steps>"


def _sequence_into(call: Call, tensors: Mapping[int, Any]) -> Any:
    """The steps that enter a recurrent layer's cell, through HGQ2's quantizer where it has one."""
    given, cell = tensors[call.inputs[0]], call.layer.cell
    return _each_step(cell.iq, given) if getattr(cell, "enable_iq", False) else given


def _each_step(quantizer: Any, sequence: Any) -> Any:
    """A cell's quantizer, made for one step, on all steps of a sequence."""
    import keras

    steps = [quantizer(sequence[:, at]) for at in range(sequence.shape[1])]
    return keras.ops.stack(steps, axis=1)


# ---- QKeras' noise


def _on_grid(graph: Graph) -> None:
    """Put what QKeras' x + (q - x) leaves beside its grid onto it: weights, and signs of a tanh."""
    for call in graph.calls:
        layer = call.layer
        for part in _PARTS:
            name = {"depthwise_kernel": "depthwise", "pointwise_kernel": "pointwise"}.get(part, part)
            attribute = f"{name}_quantizer_internal"
            if getattr(layer, attribute, None) is None or getattr(layer, part, None) is None:
                continue
            values, quantizer = quantized(layer, part)
            found = taken_apart(values, quantizer, str(layer.name))
            if found is not None and found.snapped:
                setattr(layer, attribute, _constant(found.values.reshape(values.shape)))
        if type(layer).__name__ == "QLSTM":
            _cell_on_grid(layer.cell, str(layer.name))
            continue
        for attribute in ("quantizer", "activation"):
            own = getattr(layer, attribute, None)
            if own is not None and quantizers.is_qkeras(own):
                kind = quantizers.of_qkeras(own, str(layer.name))
                if isinstance(kind, Function) and kind.noisy:
                    setattr(layer, attribute, _snapping(own, kind))


def _cell_on_grid(cell: Any, place: str) -> None:
    """The same for a cell: its weights, its states, its activations."""
    for part in lstm.PARTS if cell.use_bias else lstm.PARTS[:2]:
        found = lstm.cell_weights(cell, part, place)
        if found is not None and found.snapped:
            shape = np.asarray(getattr(cell, part)).shape
            setattr(cell, lstm.quantizer_name(part), _constant(found.values.reshape(shape)))
    for attribute in ("state_quantizer_internal", "activation", "recurrent_activation"):
        own = getattr(cell, attribute, None)
        if own is not None and quantizers.is_qkeras(own):
            kind = quantizers.of_qkeras(own, place)
            if isinstance(kind, Function) and kind.noisy:
                setattr(cell, attribute, _snapping(own, kind))


def _constant(values: npt.NDArray[np.float64]) -> Callable[[Any], Any]:
    import tensorflow as tf

    return lambda _: tf.constant(values.astype(np.float32))


def _snapping(quantizer: Any, kind: Function) -> Callable[[Any], Any]:
    """The quantizer, and the nearest point of its grid, from which it may be off by a float's rounding."""
    import tensorflow as tf

    step = float(np.ldexp(kind.scale[0], -(kind.frac or 0)))

    def snapped(x: Any) -> Any:
        steps = quantizer(x) / step
        near = tf.round(steps)
        tf.debugging.assert_less_equal(tf.reduce_max(tf.abs(steps - near)), OFF_GRID)
        return near * step

    return snapped


# ---- inside a recurrent layer


def _cell_place(graph: Graph, place: str) -> bool:
    """Whether a place is one of a cell's quantizers, as ``gru.sq``."""
    call, side = graph.at(place)
    return hasattr(call.layer, "cell") and side not in ("", "iq")


def _through_time(call: Call, sequence: Floats) -> dict[str, Floats]:
    """A cell, one step after the other; its quantizers' results (N, steps, units) by place."""
    layer, cell = call.layer, call.layer.cell
    heard: dict[str, list[Floats]] = {}
    of_qkeras = type(layer).__name__ == "QLSTM"
    states = 2 if of_qkeras or is_quantized(layer) else 1
    state: Any = [np.zeros((len(sequence), int(cell.units)), dtype=np.float32)] * states
    rows = range(sequence.shape[1])
    with ExitStack() as stack:
        listen = _lstm_quantizers if of_qkeras else _named_quantizers if states == 2 else _hgq_quantizers
        for quantizer in listen(cell, heard):
            stack.enter_context(quantizer)
        for at in reversed(rows) if layer.go_backwards else rows:
            _, state = cell(sequence[:, at], state)
    return {f"{call.place}.{part}": np.stack(steps, axis=1) for part, steps in heard.items()}


def _hgq_quantizers(cell: Any, heard: dict[str, list[Floats]]) -> list[Listening]:
    parts = [part for part in ("sq", "rhq", "paq", "praq") if getattr(cell, f"_{part}", None) is not None]
    return [Listening(getattr(cell, f"_{part}"), "call", heard, part) for part in parts]


def _named_quantizers(cell: Any, heard: dict[str, list[Floats]]) -> list[Listening]:
    return [Listening(cell, "fixed", heard, "")]


def _lstm_quantizers(cell: Any, heard: dict[str, list[Floats]]) -> list[Listening]:
    """In the order in which QKeras' cell asks them in a step."""
    return [
        Listening(cell, "state_quantizer_internal", heard, "ch"),
        Listening(cell, "recurrent_activation", heard, "ifo"),
        Listening(cell, "activation", heard, "ga"),
    ]


class Listening:
    """A function at an object's attribute whose results are kept.

    In turn under `names`, letter by letter; a method `call` under that one name, a method `fixed` under the name
    that it is given.
    """

    def __init__(self, owner: Any, attribute: str, heard: dict[str, list[Floats]], names: str) -> None:
        self._owner, self._attribute, self._heard = owner, attribute, heard
        self._names = [names] if attribute == "call" else list(names)
        self._asked = 0
        self._method = attribute if attribute in ("call", "fixed") else ""

    def __enter__(self) -> None:
        self._function = getattr(self._owner, self._attribute)

        def kept(*given: Any, **keys: Any) -> Any:
            done = self._function(*given, **keys)
            name = given[0] if self._method == "fixed" else self._names[self._asked % len(self._names)]
            self._asked += 1
            self._heard.setdefault(name, []).append(np.asarray(done, dtype=np.float32))
            return done

        object.__setattr__(self._owner, self._attribute, kept)

    def __exit__(self, *_: object) -> None:
        if self._method:  # the class has it
            object.__delattr__(self._owner, self._attribute)
        else:
            object.__setattr__(self._owner, self._attribute, self._function)
