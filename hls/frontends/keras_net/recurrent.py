"""HGQ2's GRU and simple RNN, unrolled through time; every other recurrent layer is refused with its reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dwell.hls.frontends.keras_net import quantizers
from dwell.hls.frontends.keras_net.layers import activation
from dwell.hls.frontends.keras_net.lowering import Lowering
from dwell.hls.frontends.keras_net.values import Raw, Value
from dwell.hls.frontends.keras_net.weights import Weights, taken_apart

#: Steps through time beyond which an unrolled network is refused.
MAX_STEPS = 64
Sources = list[Value | Raw]


@dataclass(frozen=True)
class _Part:
    """A product with columns `start` .. `stop` - 1 of a cell's weights, and its bias."""

    weights: Weights
    bias: Weights | None

    def columns(self, start: int, stop: int) -> _Part:
        bias = None if self.bias is None else Weights(self.bias.codes[start:stop], self.bias.frac)
        return _Part(Weights(self.weights.codes[:, start:stop], self.weights.frac), bias)


def recurrent(low: Lowering, layer: Any, inputs: Sources) -> Value:
    """One cell after the other, each with the state that the one before has left."""
    cell = layer.cell
    _check(low, layer, inputs)
    steps, features = low.shape(inputs[0])
    source = inputs[0]
    if cell.enable_iq:  # of all steps at once: they share their types
        source = low.quantize(source, quantizers.of_hgq(cell.iq, (features,), layer.name), f"{low.place}.iq")
    value = low.plain(source, "a recurrent layer")
    if steps > MAX_STEPS:
        low.refuse(f"{steps} steps through time", f"at most {MAX_STEPS}, as each becomes hardware of its own")
    gru = type(layer).__name__ == "QGRU"
    state: Value | None = None
    outputs: list[Value] = []
    order = range(steps - 1, -1, -1) if layer.go_backwards else range(steps)
    for number, at in enumerate(order):
        taken = low.build.slice(low.fresh("step"), value.name, 0, at, at + 1)
        x = Value(low.build.flatten(low.fresh("flat"), taken))
        place = f"{low.place}.{number}"
        state = _gru_step(low, cell, x, state, place) if gru else _simple_step(low, cell, x, state, place)
        outputs.append(state)
    if state is None:
        low.refuse("no steps through time")
    return _sequence(low, outputs) if layer.return_sequences else state


def _check(low: Lowering, layer: Any, inputs: Sources) -> None:
    if type(layer).__name__ not in ("QGRU", "QSimpleRNN") or not type(layer).__module__.startswith("hgq."):
        low.refuse(
            REASONS.get(type(layer).__name__, "recurrent layers come from HGQ2"), "use hgq.layers.QGRU"
        )
    if len(inputs) != 1:
        low.refuse("its first state is given", "let it start at zero")
    if layer.return_state or layer.stateful:
        low.refuse(
            "its state leaves the layer, or outlives a sample", "use return_state=False, stateful=False"
        )
    if layer.cell.enable_oq:
        low.refuse("an output quantizer inside its cell", "use enable_oq=False")


#: Why recurrent layers are refused by name.
REASONS = {
    "QLSTM": "QKeras' QLSTM computes other values in hls4ml than in Keras, and its state is not quantized",
    "QGRU": "QKeras' QGRU computes other values in hls4ml than in Keras, and its state is not quantized",
    "QSimpleRNN": "QKeras' QSimpleRNN does not quantize its state",
    "QBidirectional": "QKeras' recurrent layers do not quantize their state",
    "LSTM": "its state is not quantized",
    "GRU": "its state is not quantized",
    "SimpleRNN": "its state is not quantized",
    "Bidirectional": "its state is not quantized",
}


def _sequence(low: Lowering, outputs: list[Value]) -> Value:
    """The states of all steps as a (steps, units) tensor."""
    names = [v.name for v in outputs]
    joined = low.build.concat(low.fresh("concat"), names) if len(names) > 1 else names[0]
    units = low.shape(outputs[0])[-1]
    return Value(low.build.reshape(low.fresh("shape"), joined, (len(names), units)))


def _part(low: Lowering, kernel: Any, bias: Any, place: str) -> _Part:
    weights = taken_apart(np.asarray(kernel), None, f"{place}: its kernel")
    biases = None if bias is None else taken_apart(np.asarray(bias), None, f"{place}: its bias")
    if weights is None or (bias is not None and biases is None):
        low.refuse("its weights are not quantized", "give it kq_conf, rkq_conf and bq_conf")
    return _Part(weights, biases)


def _product(low: Lowering, value: Value, part: _Part) -> Value:
    units = part.weights.codes.shape[1]
    bias = part.bias or Weights(np.zeros(units, dtype=np.int64), 0)
    return Value(
        low.build.dense(
            low.fresh("dense"), value.name, part.weights.codes, part.weights.frac, bias.codes, bias.frac
        )
    )


def _quantize(low: Lowering, quantizer: Any, value: Value, place: str) -> Value:
    kind = quantizers.of_hgq(quantizer, low.shape(value), place)
    return low.entered(low.quantize(value, kind, place))


def _zeros(low: Lowering, like: Value, units: int) -> Value:
    """A state of zeros: a product with weights of zero."""
    size = low.shape(like)[-1]
    none = np.zeros((size, units), dtype=np.int64)
    return Value(low.build.dense(low.fresh("zero"), like.name, none, 0, np.zeros(units, dtype=np.int64), 0))


def _add(low: Lowering, first: Value, second: Value) -> Value:
    return Value(low.build.add(low.fresh("sum"), first.name, second.name))


def _simple_step(low: Lowering, cell: Any, x: Value, state: Value | None, place: str) -> Value:
    before = state or _zeros(low, x, int(cell.units))
    if cell.enable_sq:
        before = _quantize(low, cell.sq, before, f"{place}.sq")
    own = _product(low, x, _part(low, cell.qkernel, cell.qbias if cell.use_bias else None, place))
    past = _product(low, before, _part(low, cell.qrecurrent_kernel, None, place))
    done = _quantize(low, cell.paq, _add(low, own, past), f"{place}.paq")
    return _exact(low, activation(low, cell.activation, done, place))


def _exact(low: Lowering, value: Value) -> Value:
    if value.steps:
        low.refuse(f"{value.steps[0].text} of its state is not quantized", "use activation='linear'")
    return value


def _gru_step(low: Lowering, cell: Any, x: Value, state: Value | None, place: str) -> Value:
    """h = z h' + (1 - z) hh, as `hgq.layers.rnn.gru.QGRUCell.call` has it."""
    units = int(cell.units)
    past = _quantize(low, cell.sq, state or _zeros(low, x, units), f"{place}.sq")
    biases: tuple[Any, Any] = (None, None)
    if cell.use_bias:
        given = np.asarray(cell.qbias)
        biases = (given[0], given[1]) if cell.reset_after else (given, None)
    own = _part(low, cell.qkernel, biases[0], place)
    inner = _part(low, cell.qrecurrent_kernel, biases[1], place)
    gates = _add(
        low, _product(low, x, own.columns(0, 2 * units)), _product(low, past, inner.columns(0, 2 * units))
    )
    zr = _quantize(low, cell.praq, activation(low, cell.recurrent_activation, gates, place), f"{place}.praq")
    z, r = (Value(low.build.slice(low.fresh("gate"), zr.name, 0, k * units, (k + 1) * units)) for k in (0, 1))
    rest = inner.columns(2 * units, 3 * units)
    if cell.reset_after:
        kept = _quantize(low, cell.rhq, _product(low, past, rest), f"{place}.rhq")
        recalled = Value(low.build.multiply(low.fresh("product"), r.name, kept.name))
    else:
        gated = Value(low.build.multiply(low.fresh("product"), r.name, past.name))
        recalled = _product(low, _quantize(low, cell.rhq, gated, f"{place}.rhq"), rest)
    candidate = _add(low, _product(low, x, own.columns(2 * units, 3 * units)), recalled)
    hh = _quantize(low, cell.paq, activation(low, cell.activation, candidate, place), f"{place}.paq")
    minus, one = np.full(1, -1, dtype=np.int64), np.ones(1, dtype=np.int64)
    rest_of = low.build.affine(low.fresh("rest"), z.name, minus, 0, one, 0)
    held = low.build.multiply(low.fresh("product"), z.name, past.name)
    new = low.build.multiply(low.fresh("product"), rest_of, hh.name)
    return Value(low.build.add(low.fresh("sum"), held, new))
