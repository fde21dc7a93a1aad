"""Post-training quantization of a float Keras 3 network: the same network with HGQ2 quantizers in it.

The rule, per tensor: a scale is the power of two that just holds the largest magnitude (of weights, or of what
the calibration frames gave there). Weights are rounded to the nearest and symmetric; values are rounded to the
nearest, ties up, and saturate; biases are rounded to the grid of their layer's sums. A batch normalization that
follows a layer with weights, and nothing else reads that layer, is folded into it first.

The result is a file like any other: it climbs rung 2 against Keras' own predict of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dwell.errors import ConfigError, UnsupportedLayerError
from dwell.hls.frontends.keras_net.execute import execute_model
from dwell.hls.frontends.keras_net.graph import Call, Graph, graph_of
from dwell.hls.frontends.keras_net.load import load_keras
from dwell.hls.frontends.keras_net.ptq_lstm import check_lstm, lstm_types, quantized_lstm
from dwell.hls.frontends.keras_net.values import Floats
from dwell.hls.qmodel import FixedPoint

WEIGHTED = (
    *("Dense", "EinsumDense", "Conv1D", "Conv2D", "DepthwiseConv1D", "DepthwiseConv2D"),
    *("SeparableConv1D", "SeparableConv2D", "LSTM"),
)
#: Layers whose inputs have to be quantized too, for they compute with several values.
JOINING = (
    *(
        "Add",
        "Subtract",
        "Multiply",
        "Average",
        "Maximum",
        "Concatenate",
        "AveragePooling1D",
        "AveragePooling2D",
    ),
    *("GlobalAveragePooling1D", "GlobalAveragePooling2D"),
)
#: Layers that only move values: what is quantized before them is so after them.
MOVING = (
    *("Flatten", "Reshape", "Permute", "Dropout", "SpatialDropout1D", "SpatialDropout2D", "MaxPooling1D"),
    *("MaxPooling2D", "GlobalMaxPooling1D", "GlobalMaxPooling2D", "ZeroPadding1D", "ZeroPadding2D"),
    *("UpSampling1D", "UpSampling2D", "Cropping1D", "Cropping2D"),
)
_MOST_FRAMES = 1024


@dataclass(frozen=True)
class Calibrated:
    """A network that has been quantized after training: its file, and how it compares with the float one."""

    path: Path
    report: Mapping[str, Any]


def quantize_file(
    path: Path, frames: npt.ArrayLike, bits: int, out: Path, input_type: FixedPoint | None = None
) -> Calibrated:
    """Quantize the float network in `path` to `bits` bits by `frames` (N, …), into the folder `out`.

    Raises `UnsupportedLayerError` for a layer that this rule does not cover, `ConfigError` for frames of another
    shape, or widths outside 2 to 16.
    """
    if not 2 <= bits <= 16:
        raise ConfigError(f"--ptq {bits}: 2 to 16 bits can be had", hint="use 8", place="--ptq")
    model = load_keras(path)
    shape = tuple(int(n) for n in model.inputs[0].shape[1:])
    x = np.asarray(frames, dtype=np.float32)
    if x.shape[1:] != shape or not len(x) or not np.isfinite(x).all():
        raise ConfigError(
            f"the calibration frames are {x.shape}, the network takes {shape}",
            hint=f"give finite frames of shape (N, {', '.join(map(str, shape))}) as `x`",
            place="--calibrate",
        )
    graph = graph_of(model)
    _check(graph)
    floats = execute_model(model, x, [])[""]
    made = _Quantized(graph, x[:_MOST_FRAMES], bits, input_type)
    network = made.build()
    file = out / f"{path.stem}_ptq.keras"
    network.save(file)
    report = {"bits": bits, "types": made.types, **_difference(floats, execute_model(network, x, [])[""])}
    return Calibrated(file, report)


def _check(graph: Graph) -> None:
    """Refuse layers with weights that the rule does not cover."""
    for call in graph.calls:
        kind = type(call.layer).__name__
        if kind == "LSTM":
            check_lstm(call.layer)
        covered = kind in WEIGHTED or kind == "BatchNormalization" or not call.layer.weights
        if not covered or type(call.layer).__module__.startswith("hgq."):
            raise UnsupportedLayerError(
                str(call.layer.name),
                kind,
                WEIGHTED,
                reason="--ptq has no rule for it",
                hint="train it with HGQ2 or QKeras, or leave --ptq out where it is quantized already",
            )


class _Quantized:
    """The network made anew, layer by layer, with quantizers where values enter weights or each other."""

    def __init__(self, graph: Graph, x: Floats, bits: int, input_type: FixedPoint | None) -> None:
        self._graph, self._bits, self._input_type = graph, bits, input_type
        self.types: dict[str, str] = {}
        self._folded = {
            norm.output: call for call in graph.calls if (norm := _norm_after(graph, call)) is not None
        }
        self._ranges = self._calibrate(x)
        self._fracs: dict[int, int] = {}
        self._made: dict[int, Any] = {}

    def build(self) -> Any:
        import keras

        tensors: dict[int, Any] = {}
        entry: Any = None
        for call in self._graph.calls:
            kind = type(call.layer).__name__
            if not call.inputs:
                entry = keras.Input(tuple(call.tensor.shape[1:]))
                tensors[call.output] = entry
                continue
            if call.output in self._folded:  # its work is in the weights before it
                tensors[call.output] = tensors[call.inputs[0]]
                self._pass_on(call)
                continue
            given = [tensors[at] for at in call.inputs]
            if kind in WEIGHTED or kind in JOINING:
                given = [self._quantized(at, tensor) for at, tensor in zip(call.inputs, given, strict=True)]
            layer = self._again(call)
            tensors[call.output] = layer(given if len(given) > 1 else given[0])
            layer.set_weights(self._weights(call))
            if kind in MOVING:
                self._pass_on(call)
        return keras.Model(entry, tensors[self._graph.output], name="ptq")

    def _again(self, call: Call) -> Any:
        """The layer anew, without its weights; an LSTM with quantizers inside."""
        if type(call.layer).__name__ != "LSTM":
            return type(call.layer).from_config(call.layer.get_config())
        types = lstm_types(call.layer, self._steps[call.output], self._bits)
        self.types |= {f"{call.place}.{name}": str(kind) for name, kind in types.items()}
        return quantized_lstm(call.layer, types)

    def _pass_on(self, call: Call) -> None:
        fracs = {self._fracs[at] for at in call.inputs if at in self._fracs}
        if len(fracs) == 1 and all(at in self._fracs for at in call.inputs):
            self._fracs[call.output] = fracs.pop()

    def _quantized(self, at: int, tensor: Any) -> Any:
        """The tensor through its quantizer, made where it is first wanted."""
        if at in self._fracs:
            return self._made.get(at, tensor)
        maker = self._graph.maker(at)
        kind = _type(*self._ranges[at], self._bits)
        if not maker.inputs and self._input_type is not None:
            kind = self._input_type
        made = _quantizer(kind, f"{maker.place}_q".replace("#", "_"))(tensor)
        self._fracs[at] = kind.frac
        self.types[maker.place] = str(kind)
        self._made[at] = made
        return made

    def _weights(self, call: Call) -> list[npt.NDArray[np.float32]]:
        layer = call.layer
        values = [np.asarray(v, dtype=np.float64) for v in layer.get_weights()]
        kind = type(layer).__name__
        if not values or kind == "BatchNormalization":
            return [v.astype(np.float32) for v in values]
        norm = next((n for n in self._folded if self._folded[n] is call), None)
        *kernels, bias = (
            values if getattr(layer, "use_bias", True) else [*values, np.zeros(values[-1].shape[-1])]
        )
        if norm is not None:
            kernels[-1], bias = _fold(self._graph.maker(norm).layer, layer, kernels[-1], bias)
        codes = [_symmetric(kernel, self._bits) for kernel in kernels]
        grid = self._fracs[call.inputs[0]] + sum(frac for _, frac in codes[: 1 if kind == "LSTM" else None])
        self.types[f"{call.place} weights"] = ", ".join(
            f"{self._bits} bits, {frac} of them fraction" for _, frac in codes
        )
        found = [value for value, _ in codes]
        if getattr(layer, "use_bias", True):
            found.append(np.ldexp(np.rint(np.ldexp(bias, grid)), -grid))
        elif bias.any():
            raise UnsupportedLayerError(
                str(layer.name),
                kind,
                WEIGHTED,
                reason="the batch norm after it needs a bias",
                hint="use use_bias=True",
            )
        return [v.astype(np.float32) for v in found]

    def _calibrate(self, x: Floats) -> dict[int, tuple[float, float]]:
        """Least and greatest float value of every tensor that a quantizer may be put on."""
        import keras

        from dwell.hls.frontends.keras_net.execute import replayed

        entry, tensors = replayed(self._graph, None, keras)
        wanted = sorted(
            {
                at
                for call in self._graph.calls
                if type(call.layer).__name__ in WEIGHTED + JOINING
                for at in call.inputs
            }
        )
        values = keras.Model(entry, [tensors[at] for at in wanted]).predict(x, batch_size=32, verbose=0)
        each = values if isinstance(values, list | tuple) else [values]
        known = dict(zip(wanted, each, strict=True))
        self._steps = {
            call.output: np.asarray(known[call.inputs[0]], dtype=np.float32)
            for call in self._graph.calls
            if type(call.layer).__name__ == "LSTM"
        }
        return {at: (float(np.min(v)), float(np.max(v))) for at, v in zip(wanted, each, strict=True)}


def _norm_after(graph: Graph, call: Call) -> Call | None:
    """The batch normalization that alone reads a layer with weights and no activation of its own."""
    layer = call.layer
    plain = getattr(getattr(layer, "activation", None), "__name__", "linear") == "linear"
    if type(layer).__name__ not in WEIGHTED or not plain or graph.readers(call.output) != 1:
        return None
    readers = [other for other in graph.calls if call.output in other.inputs]
    if not readers or type(readers[0].layer).__name__ != "BatchNormalization":
        return None
    return readers[0] if getattr(layer, "use_bias", False) else None


def _fold(
    norm: Any, layer: Any, kernel: npt.NDArray[np.float64], bias: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    gamma = 1.0 if norm.gamma is None else np.asarray(norm.gamma, dtype=np.float64)
    beta = 0.0 if norm.beta is None else np.asarray(norm.beta, dtype=np.float64)
    factor = gamma / np.sqrt(np.asarray(norm.moving_variance, dtype=np.float64) + norm.epsilon)
    spread = factor
    if type(layer).__name__.startswith("Depthwise"):  # its last two axes are the output channels
        spread = factor.reshape(kernel.shape[-2:])
    return kernel * spread, (bias - np.asarray(norm.moving_mean, dtype=np.float64)) * factor + beta


def _symmetric(values: npt.NDArray[np.float64], bits: int) -> tuple[npt.NDArray[np.float64], int]:
    """Values rounded to `bits` bits, and the fraction bits; all zeros give none."""
    largest = float(np.abs(values).max(initial=0.0))
    frac = bits - 1 - _integer_bits(largest)
    high = 2 ** (bits - 1) - 1
    return np.ldexp(np.clip(np.rint(np.ldexp(values, frac)), -high, high), -frac), frac


def _type(low: float, high: float, bits: int) -> FixedPoint:
    signed = low < 0
    return FixedPoint(signed, bits, bits - int(signed) - _integer_bits(max(-low, high)))


def _integer_bits(largest: float) -> int:
    """The fewest integer bits, which may be negative, whose range holds `largest`."""
    return int(np.ceil(np.log2(largest))) if largest > 2.0**-16 else -16


def _quantizer(kind: FixedPoint, name: str) -> Any:
    from hgq.quantizer import Quantizer
    from hgq.quantizer.config import QuantizerConfig

    keys = {
        "homogeneous_axis": None,
        "heterogeneous_axis": (),
        "ir": None,
        "fr": None,
        "ic": None,
        "fc": None,
    }
    config = QuantizerConfig(
        "kif",
        "datalane",
        k0=int(kind.signed),
        i0=kind.width - int(kind.signed) - kind.frac,
        f0=kind.frac,
        round_mode="RND",
        overflow_mode="SAT",
        trainable=False,
        **keys,
    )
    return Quantizer(config, name=name)


def _difference(floats: Floats, quantized: Floats) -> dict[str, Any]:
    """How far the quantized network's outputs are from the float network's, on the calibration frames."""
    off = np.abs(floats.astype(np.float64) - quantized)
    spread = float(np.std(floats)) or 1.0
    found: dict[str, Any] = {
        "frames": len(floats),
        "largest_difference": round(float(off.max()), 6),
        "rms_difference_of_spread": round(float(np.sqrt((off**2).mean())) / spread, 6),
    }
    if floats.ndim == 2 and floats.shape[1] > 1:
        found["same_class"] = round(float((floats.argmax(1) == quantized.argmax(1)).mean()), 6)
    return found
