"""A Keras 3 LSTM with fixed-point quantizers where QKeras' has them: what `--ptq` makes of a float one."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np

from dwell.errors import UnsupportedLayerError
from dwell.hls.frontends.keras_net.values import Floats
from dwell.hls.qmodel import FixedPoint

#: States h and c, gates i, f, g, o, and a, the activation of the new c.
QUANTIZED = "hcifgoa"
CELL = "QuantizedLSTMCell"


@cache
def cell_class() -> Any:
    """The cell; Keras knows its name in files once this has been asked for."""
    import keras
    from keras import ops

    @keras.saving.register_keras_serializable(package="dwell", name=CELL)
    class QuantizedLSTMCell(keras.layers.LSTMCell):  # type: ignore[misc]
        """An LSTM cell; `types` holds (signed, width, frac) of what is rounded half up and saturates."""

        def __init__(self, units: int, types: Mapping[str, Any], **keys: Any) -> None:
            super().__init__(units, **keys)
            self.types = {name: FixedPoint(bool(s), int(w), int(f)) for name, (s, w, f) in types.items()}

        def fixed(self, name: str, x: Any) -> Any:
            """`x` in the type of that name."""
            kind = self.types[name]
            codes = ops.floor(x * 2.0**kind.frac + 0.5)
            return ops.clip(codes, float(kind.lo), float(kind.hi)) * 2.0**-kind.frac

        def call(self, inputs: Any, states: Any, training: bool = False) -> Any:
            """One step: its results, and the states h and c."""
            h, c = self.fixed("h", states[0]), self.fixed("c", states[1])
            z = ops.matmul(inputs, self.kernel) + ops.matmul(h, self.recurrent_kernel)
            z = z + self.bias if self.use_bias else z
            each = dict(zip("ifgo", ops.split(z, 4, axis=1), strict=True))
            gates = {
                name: self.fixed(name, (self.activation if name == "g" else self.recurrent_activation)(part))
                for name, part in each.items()
            }
            new = gates["f"] * c + gates["i"] * gates["g"]
            out = gates["o"] * self.fixed("a", self.activation(new))
            return out, [out, new]

        def get_config(self) -> dict[str, Any]:
            types = {name: [t.signed, t.width, t.frac] for name, t in self.types.items()}
            return {**super().get_config(), "types": types}

    return QuantizedLSTMCell


def is_quantized(layer: Any) -> bool:
    """Whether a layer is what `quantized_lstm` makes."""
    return type(getattr(layer, "cell", None)).__name__ == CELL


def check_lstm(layer: Any) -> None:
    """Raise `UnsupportedLayerError` for an LSTM that `--ptq` has no rule for."""
    functions = (layer.activation.__name__, layer.recurrent_activation.__name__)
    if functions != ("tanh", "sigmoid") or layer.return_state or layer.stateful:
        raise UnsupportedLayerError(
            str(layer.name), "LSTM", (),
            reason="--ptq knows LSTMs with tanh and sigmoid whose state stays inside, and no other",
            hint="use Keras' defaults",
        )  # fmt: skip


def lstm_types(layer: Any, steps: Floats, bits: int) -> dict[str, FixedPoint]:
    """Types of `bits` bits: what a sigmoid and a tanh can be, and for c what the frames (N, steps, …) make of it."""
    state: Any = [np.zeros((len(steps), int(layer.units)), dtype=np.float32)] * 2
    largest = 0.0
    for at in range(steps.shape[1]):
        _, state = layer.cell(steps[:, at], state)
        largest = max(largest, float(np.abs(np.asarray(state[1])).max(initial=0.0)))
    part, whole = FixedPoint(False, bits, bits), FixedPoint(True, bits, bits - 1)
    integer = max(0, int(np.ceil(np.log2(largest))) if largest > 0 else 0)
    memory = FixedPoint(True, bits, bits - 1 - integer)
    return {name: part if name in "ifo" else memory if name == "c" else whole for name in QUANTIZED}


def quantized_lstm(layer: Any, types: Mapping[str, FixedPoint]) -> Any:
    """The same layer with quantizers, its weights not yet set."""
    import keras

    said = {name: (kind.signed, kind.width, kind.frac) for name, kind in types.items()}
    cell = cell_class()(int(layer.units), said, use_bias=bool(layer.use_bias))
    return keras.layers.RNN(
        cell, return_sequences=layer.return_sequences, go_backwards=layer.go_backwards, name=str(layer.name)
    )
