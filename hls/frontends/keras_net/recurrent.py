"""HGQ2's GRU and simple RNN, QKeras' LSTM; every other recurrent layer is refused with its reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dwell.hls.frontends.keras_net import quantizers
from dwell.hls.frontends.keras_net.layers import activation
from dwell.hls.frontends.keras_net.lowering import Lowering
from dwell.hls.frontends.keras_net.lstm import lstm_cell
from dwell.hls.frontends.keras_net.ptq_lstm import is_quantized
from dwell.hls.frontends.keras_net.steps import Cell, rolled
from dwell.hls.frontends.keras_net.values import Raw, Value
from dwell.hls.frontends.keras_net.weights import Weights, taken_apart

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
    """One cell, and the state that goes from step to step."""
    _check(low, layer, inputs)
    cell, source = layer.cell, inputs[0]
    if type(layer).__name__ == "QLSTM" or is_quantized(layer):
        read, states = lstm_cell(cell), 2
    else:
        read, states = (_gru_cell if type(layer).__name__ == "QGRU" else _simple_cell)(cell), 1
        if cell.enable_iq:  # of all steps at once: they share their types
            features = low.shape(inputs[0])[1:]
            source = low.quantize(source, quantizers.of_hgq(cell.iq, features, layer.name), f"{low.place}.iq")
    value = low.plain(source, "a recurrent layer")
    if layer.go_backwards:
        value = _backwards(low, value)
    return rolled(low, value, [int(cell.units)] * states, read, sequence=bool(layer.return_sequences))


def _backwards(low: Lowering, value: Value) -> Value:
    """The rows in the opposite order."""
    steps, features = low.shape(value)
    rows = [low.build.slice(low.fresh("step"), value.name, 0, at, at + 1) for at in reversed(range(steps))]
    if steps == 1:
        return value
    joined = low.build.concat(low.fresh("concat"), rows)
    return Value(low.build.reshape(low.fresh("shape"), joined, (steps, features)))


def _check(low: Lowering, layer: Any, inputs: Sources) -> None:
    kind, package = type(layer).__name__, type(layer).__module__.split(".")[0]
    known = (("hgq", "QGRU"), ("hgq", "QSimpleRNN"), ("qkeras", "QLSTM"))
    if (package, kind) not in known and not is_quantized(layer):
        low.refuse(REASONS.get(kind, "recurrent layers come from HGQ2 or QKeras"), "use hgq.layers.QGRU")
    if len(inputs) != 1:
        low.refuse("its first state is given", "let it start at zero")
    if layer.return_state or layer.stateful:
        low.refuse(
            "its state leaves the layer, or outlives a sample", "use return_state=False, stateful=False"
        )
    if package == "hgq" and layer.cell.enable_oq:
        low.refuse("an output quantizer inside its cell", "use enable_oq=False")


#: Why recurrent layers are refused by name.
REASONS = {
    "QGRU": "QKeras' QGRU computes other values in hls4ml than in Keras, and its state is not quantized",
    "QSimpleRNN": "QKeras' QSimpleRNN does not quantize its state",
    "QBidirectional": "QKeras' recurrent layers do not quantize their state",
    "LSTM": "its state is not quantized: --ptq does that",
    "RNN": "its cell is none of those that are known",
    "GRU": "its state is not quantized",
    "SimpleRNN": "its state is not quantized",
    "Bidirectional": "its state is not quantized",
}


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


def _add(low: Lowering, first: Value, second: Value) -> Value:
    return Value(low.build.add(low.fresh("sum"), first.name, second.name))


def _simple_cell(cell: Any) -> Cell:
    """As `hgq.layers.rnn.simple_rnn.QSimpleRNNCell.call` has it."""

    def read(low: Lowering, x: Value, states: list[Value]) -> tuple[Value, list[Value]]:
        before = _quantize(low, cell.sq, states[0], f"{low.place}.sq") if cell.enable_sq else states[0]
        own = _product(low, x, _part(low, cell.qkernel, cell.qbias if cell.use_bias else None, low.place))
        past = _product(low, before, _part(low, cell.qrecurrent_kernel, None, low.place))
        done = _quantize(low, cell.paq, _add(low, own, past), f"{low.place}.paq")
        state = activation(low, cell.activation, done, low.place)
        return state, [state]

    return read


def _gru_cell(cell: Any) -> Cell:
    """h = z h' + (1 - z) hh, as `hgq.layers.rnn.gru.QGRUCell.call` has it."""

    def read(low: Lowering, x: Value, states: list[Value]) -> tuple[Value, list[Value]]:
        state = _gru_step(low, cell, x, states[0])
        return state, [state]

    return read


def _gru_step(low: Lowering, cell: Any, x: Value, state: Value) -> Value:
    units, place = int(cell.units), low.place
    past = _quantize(low, cell.sq, state, f"{place}.sq")
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
