"""hls4ml's ModelGraph, as the `Dwell` back end leaves it, to a `QModel`.

Only structure, weights and quantizers are taken from the graph. The types of sums are computed here
from the actual weights, so no accumulator is narrower than its sum.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from dwell.errors import ConfigError, UnsupportedLayerError
from dwell.hls.frontends.dyadic import exact_codes, least_frac
from dwell.hls.qmodel import MAX_WIDTH, Codes, FixedPoint, Overflow, QModel, Rounding
from dwell.hls.qmodel.build import Builder

SUPPORTED = ("Input", "FixedPointQuantizer", "Conv2D", "PointwiseConv2D", "Activation (relu, linear)")
PROPOSED_INPUT = "ufixed<8,0>"
#: A weight with more fraction bits than this has not been quantized.
_MAX_WEIGHT_FRAC = 32


def qmodel_from_graph(
    graph: Any, *, name: str, input_type: FixedPoint | None = None, names: Mapping[str, str] | None = None
) -> QModel:
    """Read an hls4ml graph that the `Dwell` flow has prepared.

    `names` maps hls4ml's quantizer layers to what the source framework calls them. Raises
    `UnsupportedLayerError` for anything outside the whitelist, `ConfigError` where an input type is needed.
    """
    return _GraphReader(graph, input_type, names or {}).read(name)


def _refuse(layer: Any, reason: str, hint: str) -> NoReturn:
    raise UnsupportedLayerError(str(layer.name), str(layer.class_name), SUPPORTED, reason=reason, hint=hint)


class _GraphReader:
    def __init__(self, graph: Any, input_type: FixedPoint | None, names: Mapping[str, str]) -> None:
        self._layers = list(graph.get_layers())
        self._outputs = [str(o) for o in graph.outputs]
        self._input_type = input_type
        self._names = names
        self._build = Builder()
        self._at: dict[str, str] = {}
        self._quantizers: list[tuple[str, str]] = []
        self._counts: dict[str, int] = {}

    def read(self, name: str) -> QModel:
        entries = [layer for layer in self._layers if layer.class_name in ("Input", "InputLayer")]
        if len(entries) != 1 or len(self._outputs) != 1:
            raise ConfigError(
                f"{name}: {len(entries)} inputs and {len(self._outputs)} outputs",
                hint="a network with one input and one output is needed",
            )
        for layer in self._layers:
            if layer is entries[0]:
                self._enter(layer)
            elif str(layer.outputs[0]) not in self._at:
                self._visit(layer)
        return self._build.finish(name, self._at[self._outputs[0]], self._quantizers)

    def _fresh(self, kind: str) -> str:
        self._counts[kind] = self._counts.get(kind, 0) + 1
        return f"{kind}{self._counts[kind]}"

    def _source(self, layer: Any) -> str:
        inputs = [str(i) for i in layer.inputs if i]  # hls4ml leaves '' where an input is absent
        if len(inputs) != 1 or inputs[0] not in self._at:
            _refuse(layer, f"it reads {inputs or 'nothing'}", "one input is needed")
        return self._at[inputs[0]]

    # ---- the input

    def _enter(self, layer: Any) -> None:
        output = str(layer.outputs[0])
        shape = tuple(int(n) for n in layer.get_output_variable().shape)
        if len(shape) != 3:
            _refuse(layer, f"frames of shape {shape}", "frames are (rows, columns, channels)")
        readers = [other for other in self._layers if output in [str(i) for i in other.inputs]]
        if len(readers) == 1 and readers[0].class_name == "FixedPointQuantizer":
            self._enter_quantized(output, readers[0], (shape[0], shape[1], shape[2]))
            return
        if self._input_type is None:
            raise ConfigError(
                f"{layer.name}: the network does not quantize its input, so its type has to be given",
                hint=f"add --input-type '{PROPOSED_INPUT}' if its pixels are 8-bit counts scaled to 0 … 1",
                place="convert.input_type",
            )
        self._at[output] = self._build.input("input", (shape[0], shape[1], shape[2]), self._input_type)

    def _enter_quantized(self, output: str, layer: Any, shape: tuple[int, int, int]) -> None:
        types, rounding, overflow = self._quantizer(layer, shape)
        live = {kind for kind in types if kind.width > 0}
        if len(live) != 1 or len(types) != 1:
            _refuse(layer, "a type for every input channel", "quantize the input with one type")
        kind = types[0]
        if self._input_type not in (None, kind):
            raise ConfigError(
                f"input type {self._input_type} is asked for, but the network quantizes its input to {kind}",
                hint="leave the input type out",
                place="convert.input_type",
            )
        at = self._build.input("input", shape, kind, rounding, overflow)
        self._at[output] = self._at[str(layer.outputs[0])] = at
        self._quantizers.append((self._names.get(str(layer.name), str(layer.name)), at))

    # ---- layers

    def _visit(self, layer: Any) -> None:
        kind = str(layer.class_name)
        output = str(layer.outputs[0])
        if kind == "FixedPointQuantizer":
            source = self._source(layer)
            types, rounding, overflow = self._quantizer(layer, self._build.tensor(source).shape)
            at = self._build.cast(self._fresh("act"), source, types, rounding, overflow)
            self._quantizers.append((self._names.get(str(layer.name), str(layer.name)), at))
        elif kind in ("Conv2D", "PointwiseConv2D"):
            at = self._convolve(layer)
        elif kind == "Activation":
            activation = str(layer.get_attr("activation")).lower()
            if activation not in ("relu", "linear"):
                _refuse(layer, f"activation {activation!r}", "use relu or linear")
            at = self._source(layer)
            if activation == "relu":
                at = self._build.relu(self._fresh("relu"), at)
        else:
            _refuse(layer, "", "remove the layer, or train the network without it")
        self._at[output] = at

    def _quantizer(
        self, layer: Any, shape: tuple[int, ...]
    ) -> tuple[tuple[FixedPoint, ...], Rounding, Overflow]:
        """The types of a mask: one, or one per channel. Bits below 0 count as none."""
        rounding, overflow = _mode(layer, str(layer.RND), Rounding), _mode(layer, str(layer.SAT), Overflow)
        masks = [_per_channel(layer, mask, shape) for mask in layer.mask_kbi]
        types = []
        for keep, bits, integer in zip(*masks, strict=True):
            width = max(int(bits), 0)
            frac = int(bits) - int(integer) if width else 0
            if width > MAX_WIDTH or abs(frac) > MAX_WIDTH:
                _refuse(layer, f"{width} bits, {frac} of them fraction", f"at most {MAX_WIDTH} bits")
            types.append(FixedPoint(bool(keep) and width > 0, width, frac))
        return (types[0],) if len(set(types)) == 1 else tuple(types), rounding, overflow

    def _convolve(self, layer: Any) -> str:
        source = self._source(layer)
        if layer.get_attr("data_format") != "channels_last":
            _refuse(layer, f"data format {layer.get_attr('data_format')!r}", "use channels_last")
        size = [int(layer.get_attr(key)) for key in ("filt_height", "filt_width", "n_chan", "n_filt")]
        values = np.asarray(layer.weights["weight"].data, dtype=np.float64)
        if values.size != int(np.prod(size)) or size[2] != self._build.tensor(source).shape[-1]:
            _refuse(layer, f"weights of shape {values.shape} for {size}", "use groups=1")
        weight, frac = _codes(layer, "weight", values.reshape(size))
        bias, bias_frac = np.zeros(size[3], dtype=np.int64), frac
        if "bias" in layer.weights:
            bias, bias_frac = _codes(layer, "bias", np.asarray(layer.weights["bias"].data, dtype=np.float64))
        stride = (int(layer.get_attr("stride_height")), int(layer.get_attr("stride_width")))
        top, bottom, left, right = (
            int(layer.get_attr(f"pad_{side}")) for side in ("top", "bottom", "left", "right")
        )
        return self._build.conv2d(
            self._fresh("conv"),
            source,
            weight,
            frac,
            bias,
            bias_frac,
            stride=stride,
            padding=(top, bottom, left, right),
        )


def _mode(layer: Any, text: str, kinds: Any) -> Any:
    try:
        return kinds(text.upper().removeprefix("S_"))
    except ValueError:
        _refuse(layer, f"mode {text!r}", f"use one of {', '.join(kinds)}")


def _per_channel(layer: Any, mask: npt.ArrayLike, shape: tuple[int, ...]) -> Codes:
    """One value per channel of a mask that may cover the whole tensor."""
    array = np.asarray(mask)
    if array.size == 1:
        return np.full(shape[-1], int(array.reshape(-1)[0]), dtype=np.int64)
    full = np.broadcast_to(array[0], shape).reshape(-1, shape[-1])
    if (full != full[0]).any():
        _refuse(
            layer,
            "a type for every pixel",
            "quantize per channel at most: heterogeneous_axis=(-1,) or () in QuantizerConfigScope",
        )
    return np.asarray(full[0], dtype=np.int64)


def _codes(layer: Any, what: str, values: npt.NDArray[np.float64]) -> tuple[Codes, int]:
    if not np.isfinite(values).all():
        raise ConfigError(
            f"{layer.name}: its {what} holds NaN or infinity",
            hint="look at the training, then save the network again",
            place=str(layer.name),
        )
    frac = least_frac(values, _MAX_WEIGHT_FRAC)
    codes = exact_codes(values, frac) if frac is not None else None
    if frac is None or codes is None:
        _refuse(layer, f"its {what} is not quantized", "use the layers of hgq.layers")
    return codes, frac
