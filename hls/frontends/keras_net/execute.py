"""What Keras itself computes at the places that quantizers have, on frames of ours."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
import numpy.typing as npt

from dwell.hls.frontends.keras_net import quantizers
from dwell.hls.frontends.keras_net.graph import Call, Graph, graph_of
from dwell.hls.frontends.keras_net.layers import quantized
from dwell.hls.frontends.keras_net.lowering import OFF_GRID
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
        for cell in {graph.at(place)[0].place for place in steps}:
            wanted[f"{cell}.iq"] = _tensor_at(graph, tensors, f"{cell}.iq")
        values = _keras_of(model).Model(entry, list(wanted.values())).predict(x, batch_size=_BATCH, verbose=0)
    each = values if isinstance(values, list | tuple) else [values]
    found = {name: np.asarray(v, dtype=np.float32) for name, v in zip(wanted, each, strict=True)}
    for place in steps:
        if place not in found:
            call, _ = graph.at(place)
            found |= _through_time(call, found[f"{call.place}.iq"])
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
    return _each_step(layer.cell.iq, given[0]) if hasattr(layer, "cell") else layer.iq(given[0])


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
        for attribute in ("quantizer", "activation"):
            own = getattr(layer, attribute, None)
            if own is not None and quantizers.is_qkeras(own):
                kind = quantizers.of_qkeras(own, str(layer.name))
                if isinstance(kind, Function) and kind.noisy:
                    setattr(layer, attribute, _snapping(own, kind))


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
    """Whether a place is one of a cell's quantizers at a step, as ``gru.3.sq``."""
    call, side = graph.at(place)
    return hasattr(call.layer, "cell") and "." in side


def _through_time(call: Call, sequence: Floats) -> dict[str, Floats]:
    """HGQ2's cell, one step after the other, its quantizers' results by place."""
    import keras

    layer, cell = call.layer, call.layer.cell
    found: dict[str, Floats] = {}
    state: Any = keras.ops.zeros((len(sequence), int(cell.units)))
    order = range(sequence.shape[1])
    for number, at in enumerate(reversed(order) if layer.go_backwards else order):
        heard: dict[str, Any] = {}
        with ExitStack() as stack:
            for part in ("sq", "rhq", "paq", "praq"):
                own = getattr(cell, f"_{part}", None)
                if own is not None:
                    stack.enter_context(_Listening(own, heard, part))
            state, _ = cell(keras.ops.convert_to_tensor(sequence[:, at]), [state])
        found |= {f"{call.place}.{number}.{part}": np.asarray(value) for part, value in heard.items()}
    return found


class _Listening:
    """A quantizer whose results are kept while it is used."""

    def __init__(self, quantizer: Any, heard: dict[str, Any], part: str) -> None:
        self._quantizer, self._heard, self._part = quantizer, heard, part

    def __enter__(self) -> None:
        call = self._quantizer.call

        def kept(*given: Any, **keys: Any) -> Any:
            self._heard[self._part] = call(*given, **keys)
            return self._heard[self._part]

        object.__setattr__(self._quantizer, "call", kept)

    def __exit__(self, *_: object) -> None:
        object.__delattr__(self._quantizer, "call")
