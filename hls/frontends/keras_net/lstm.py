"""LSTM cells, QKeras' and that of `--ptq`: what they quantize, and in which order they compute."""

from __future__ import annotations

from typing import Any

import numpy as np

from dwell.hls.frontends.keras_net import quantizers
from dwell.hls.frontends.keras_net.layers import activation
from dwell.hls.frontends.keras_net.lowering import Lowering
from dwell.hls.frontends.keras_net.steps import Cell
from dwell.hls.frontends.keras_net.values import Value
from dwell.hls.frontends.keras_net.weights import Weights, taken_apart
from dwell.hls.qmodel import Codes, Overflow, Rounding

#: The gates in the order of Keras' kernels: input, forget, candidate, output.
GATES = "ifgo"
#: Bits of weights that no quantizer of their own has made.
_WIDEST_BARE = 20
PARTS = ("kernel", "recurrent_kernel", "bias")


def _fixed(cell: Any, name: str) -> quantizers.Fixed | None:
    """The type that `--ptq` has given to a state or an activation; None in a cell of QKeras."""
    types = getattr(cell, "types", None)
    return None if types is None else quantizers.Fixed((types[name],), Rounding.RND, Overflow.SAT)


def quantizer_name(part: str) -> str:
    """The attribute of a cell that holds the quantizer of one of its weights."""
    return f"{part.removesuffix('_kernel')}_quantizer_internal"


def cell_weights(cell: Any, part: str, place: str) -> Weights | None:
    """Codes of one of a cell's weights; None where they are on no grid."""
    raw, quantizer = getattr(cell, part), getattr(cell, quantizer_name(part), None)
    values = np.asarray(raw if quantizer is None else quantizer(raw))
    return taken_apart(values, quantizer, f"{place}: its {part}")


def lstm_cell(cell: Any) -> Cell:
    """c = f c' + i g and h = o a(c), as `qkeras.QLSTMCell.call` has it; the states c' and h' are quantized first.

    Sums and products are exact; every activation has to be a quantizer. Gates are computed a unit after the other,
    so that hardware which takes an element a clock has the multipliers of one unit.
    """

    def read(low: Lowering, x: Value, states: list[Value]) -> tuple[Value, list[Value]]:
        units = int(cell.units)
        h, c = (_state(low, cell, state, name) for name, state in zip("hc", states, strict=True))
        both = Value(low.build.concat(low.fresh("both"), (x.name, h.name)))
        weight, weight_frac, bias, bias_frac = _matrix(low, cell)
        order = np.arange(4 * units).reshape(4, units).T.reshape(-1)  # the four gates of a unit side by side
        sums = low.build.dense(
            low.fresh("dense"), both.name, weight[:, order], weight_frac, bias[order], bias_frac
        )
        pairs = low.build.reshape(low.fresh("units"), sums, (units, len(GATES)))
        gates = [_gate(low, cell, pairs, number) for number in range(len(GATES))]
        memory = low.build.reshape(low.fresh("memory"), c.name, (units, 1))
        kept = low.build.multiply(low.fresh("kept"), gates[1].name, memory)
        fresh = low.build.multiply(low.fresh("fresh"), gates[0].name, gates[2].name)
        new = low.build.add(low.fresh("memory"), kept, fresh)
        seen = _activated(low, cell, cell.activation, Value(new), "a")
        hidden = low.build.multiply(low.fresh("hidden"), gates[3].name, seen.name)
        left = [Value(low.build.flatten(low.fresh("flat"), name)) for name in (hidden, new)]
        return left[0], left

    return read


def _state(low: Lowering, cell: Any, state: Value, name: str) -> Value:
    kind: quantizers.Quantizer | None = _fixed(cell, name)
    if kind is None:
        if not cell.state_quantizer:
            low.refuse("its state is not quantized", "give it state_quantizer=quantized_bits(8, 1, alpha=1)")
        kind = quantizers.of_qkeras(cell.state_quantizer_internal, low.place)
    return _plain(low, low.entered(low.quantize(state, kind, f"{low.place}.{name}")), "its state")


def _gate(low: Lowering, cell: Any, pairs: str, number: int) -> Value:
    one = Value(low.build.slice(low.fresh("gate"), pairs, 1, number, number + 1))
    function = cell.activation if GATES[number] == "g" else cell.recurrent_activation
    return _activated(low, cell, function, one, GATES[number])


def _activated(low: Lowering, cell: Any, function: Any, value: Value, name: str) -> Value:
    kind = _fixed(cell, name)
    if kind is not None:
        pending = activation(low, function, value, low.place)
        return _plain(low, low.entered(low.quantize(pending, kind, f"{low.place}.{name}")), "its activation")
    if not quantizers.is_qkeras(function):
        text = getattr(function, "__name__", type(function).__name__)
        low.refuse(
            f"its activation {text} is not quantized",
            "use activation='quantized_tanh(8)' and recurrent_activation='quantized_sigmoid(8)'",
        )
    own = quantizers.of_qkeras(function, low.place)
    return _plain(low, low.entered(low.quantize(value, own, f"{low.place}.{name}")), "its activation")


def _plain(low: Lowering, value: Value, what: str) -> Value:
    if not (value.plain and (value.scale == 1.0).all()):
        low.refuse(f"{what} has a scale that is no power of two", "use alpha=1")
    return value


def _bare(cell: Any, part: str, weights: Weights) -> bool:
    """Whether a weight is a float; those of `--ptq` have no quantizer, and are taken where few bits hold them."""
    if getattr(cell, "types", None) is None:
        return getattr(cell, quantizer_name(part)) is None
    return int(np.abs(weights.codes).max(initial=0)).bit_length() > _WIDEST_BARE


def _matrix(low: Lowering, cell: Any) -> tuple[Codes, int, Codes, int]:
    """Both kernels above each other on one grid, and the bias: codes and fraction bits."""
    found = []
    for part in PARTS if cell.use_bias else PARTS[:2]:
        one = cell_weights(cell, part, low.place)
        if one is None or not (one.scale == 1.0).all() or _bare(cell, part, one):
            low.refuse(
                f"its {part} is not quantized, or has a scale that is no power of two",
                "give it kernel_quantizer, recurrent_quantizer and bias_quantizer with alpha=1 or 'auto_po2'",
            )
        found.append(one)
    frac = max(one.frac for one in found[:2])
    weight = np.concatenate([one.codes << (frac - one.frac) for one in found[:2]])
    if not cell.use_bias:
        return weight, frac, np.zeros(weight.shape[1], dtype=np.int64), 0
    return weight, frac, found[2].codes, found[2].frac
