"""The first door: QONNX, as Brevitas exports it, to a `QModel`.

Our own walker over a whitelist of operators and attributes. Codes stay integers throughout: a scale is
taken apart into its power of two, never multiplied.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np

from dwell.errors import ConfigError, UnsupportedLayerError
from dwell.hls.frontends.dyadic import exact_codes, least_frac, power_of_two
from dwell.hls.frontends.onnx_file import QUANT_DOMAINS, Attribute, Floats, OnnxGraph, OnnxNode, read_onnx
from dwell.hls.qmodel import MAX_WIDTH, Codes, FixedPoint, Overflow, QModel, Rounding
from dwell.hls.qmodel.build import Builder

SUPPORTED = ("Quant", "Conv", "Relu", "Add (bias)", "Identity")
PROPOSED_INPUT = "ufixed<8,0>"

#: float32 sums are exact up to here, so the framework that made the file computes what we compute.
_FLOAT32_BITS = 24

_ROUNDINGS = {
    "ROUND": Rounding.RND_CONV,
    "HALF_EVEN": Rounding.RND_CONV,
    "FLOOR": Rounding.TRN,
    "DOWN": Rounding.TRN_ZERO,
    "ROUND_TO_ZERO": Rounding.TRN_ZERO,
    "HALF_UP": Rounding.RND_INF,  # half away from zero, whatever the name says
    "HALF_DOWN": Rounding.RND_ZERO,
}

_ATTRIBUTES: Mapping[str, frozenset[str]] = {
    "Quant": frozenset({"signed", "narrow", "rounding_mode"}),
    "Conv": frozenset({"auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"}),
    "Relu": frozenset(),
    "Add": frozenset(),
    "Identity": frozenset(),
}


@dataclass(frozen=True)
class QuantSpec:
    """A Quant node's constants: `exponent` is log2 of its scale, in the scale's own shape."""

    signed: bool
    narrow: bool
    bits: int
    exponent: Codes
    rounding: Rounding

    def kind(self, exponent: int) -> FixedPoint:
        return FixedPoint(self.signed, self.bits, -exponent)

    @property
    def overflow(self) -> Overflow:
        return Overflow.SAT_SYM if self.narrow else Overflow.SAT

    def constants(self, node: OnnxNode, values: Floats) -> tuple[Codes, Codes]:
        """The codes of a constant tensor under this quantizer, and the exponent of each element."""
        exponent = np.broadcast_to(self.exponent, values.shape)
        scaled = np.ldexp(values, -exponent)
        kind = self.kind(0)
        low = -kind.hi if self.narrow else kind.lo
        rounded = _round_floats(np.clip(scaled, low, kind.hi), self.rounding)
        return rounded.astype(np.int64), np.asarray(exponent, dtype=np.int64)


def _round_floats(values: Floats, rounding: Rounding) -> Floats:
    if rounding is Rounding.RND_CONV:
        return np.rint(values)
    if rounding is Rounding.TRN:
        return np.floor(values)
    if rounding is Rounding.TRN_ZERO:
        return np.trunc(values)
    size = np.abs(values)
    whole, rest = np.floor(size), size - np.floor(size)
    up = rest >= 0.5 if rounding is Rounding.RND_INF else rest > 0.5
    return np.asarray(np.copysign(whole + up, values), dtype=np.float64)


def read_qonnx(
    path: Path, *, input_type: FixedPoint | None = None, names: Mapping[str, str] | None = None
) -> QModel:
    """Read a QONNX file.

    `input_type` is needed where the file does not quantize its input; `names` maps ONNX tensors that
    leave a Quant to what the source framework calls that quantizer. Raises `ConfigError` for a file that
    cannot be read, `UnsupportedLayerError` for a layer or an attribute that cannot be carried exactly.
    """
    return _Walker(read_onnx(path), input_type, names or {}).walk()


def _refuse(node: OnnxNode, reason: str, hint: str) -> NoReturn:
    raise UnsupportedLayerError(node.label, node.op, SUPPORTED, reason=reason, hint=hint)


def _check_op(node: OnnxNode) -> None:
    quant = node.op == "Quant" and node.domain in QUANT_DOMAINS
    if not quant and not (node.domain in ("", "ai.onnx") and node.op in _ATTRIBUTES and node.op != "Quant"):
        _refuse(node, "", "remove the layer, or fold it before export (qonnx-cleanup folds constants)")
    extra = set(node.attributes) - _ATTRIBUTES[node.op]
    if extra:
        _refuse(node, f"attribute {sorted(extra)[0]!r} is not known", "export the network without it")
    if len(node.outputs) != 1:
        _refuse(node, f"it has {len(node.outputs)} outputs", "export the network again")


def _integer(node: OnnxNode, key: str, default: int) -> int:
    value = node.attributes.get(key, default)
    if not isinstance(value, int):
        _refuse(node, f"{key} is {value!r}", "export the network again")
    return value


def _integers(node: OnnxNode, key: str, default: tuple[int, ...]) -> tuple[int, ...]:
    value: Attribute = node.attributes.get(key, default)
    if (
        not isinstance(value, tuple)
        or len(value) != len(default)
        or not all(isinstance(v, int) for v in value)
    ):
        _refuse(node, f"{key} is {value!r}", "two-dimensional convolutions are supported")
    return tuple(int(v) for v in value)


def _aligned(node: OnnxNode, codes: Codes, exponent: Codes) -> Codes:
    """Codes of several exponents as codes of the smallest."""
    shift = exponent - int(exponent.min())
    if int(shift.max()) + int(np.abs(codes).max()).bit_length() >= MAX_WIDTH:
        _refuse(node, f"its scales are {int(shift.max())} powers of two apart", "use one scale for the layer")
    return np.asarray(codes << shift, dtype=np.int64)


class _Walker:
    """Holds, for every ONNX tensor met so far, the name of the builder's tensor (channels-last)."""

    def __init__(self, graph: OnnxGraph, input_type: FixedPoint | None, names: Mapping[str, str]) -> None:
        self._graph = graph
        self._input_type = input_type
        self._names = dict(names)
        self._build = Builder()
        self._at: dict[str, str] = {}
        self._weights: dict[str, tuple[Codes, Codes, OnnxNode, QuantSpec]] = {}
        self._quantizers: list[tuple[str, str]] = []
        self._notes: list[str] = []
        self._counts: dict[str, int] = {}

    def walk(self) -> QModel:
        for node in self._graph.nodes:
            _check_op(node)
            if node.op == "Quant" and node.inputs[0] in self._graph.constants:
                spec = self._spec(node)
                values = self._graph.constants[node.inputs[0]]
                self._weights[node.outputs[0]] = (*spec.constants(node, values), node, spec)
        self._enter()
        for node in self._graph.nodes:
            if node.outputs[0] not in self._at and node.outputs[0] not in self._weights:
                self._visit(node)
        unknown = sorted(set(self._names) - set(self._at))
        if unknown:
            hint = "frontend.json names tensors that leave a Quant: it belongs to another network"
            raise ConfigError(f"{self._graph.path.name} has no tensor {unknown[0]!r}", hint=hint)
        return self._build.finish(
            self._graph.path.stem, self._at[self._graph.output], self._quantizers, self._notes
        )

    def _fresh(self, kind: str) -> str:
        self._counts[kind] = self._counts.get(kind, 0) + 1
        return f"{kind}{self._counts[kind]}"

    # ---- the input

    def _enter(self) -> None:
        graph = self._graph
        shape = graph.input_shape
        if len(shape) != 4 or shape[0] != 1:
            raise ConfigError(
                f"{graph.path.name}: the input is {shape}; (1, channels, rows, columns) is needed",
                hint="export with one frame: torch.rand(1, 1, 32, 32)",
                place=str(graph.path),
            )
        frame = (shape[2], shape[3], shape[1])
        readers = graph.readers(graph.input)
        if len(readers) == 1 and readers[0].op == "Quant":
            self._enter_quantized(readers[0], frame)
            return
        if self._input_type is None:
            raise ConfigError(
                f"{graph.path.name} does not quantize its input, so its type has to be given",
                hint=f"add --input-type '{PROPOSED_INPUT}' if its pixels are 8-bit counts scaled to 0 … 1",
                place="convert.input_type",
            )
        self._at[graph.input] = self._build.input("input", frame, self._input_type)

    def _enter_quantized(self, node: OnnxNode, frame: tuple[int, int, int]) -> None:
        spec = self._spec(node)
        if spec.exponent.size != 1:
            _refuse(node, "a scale for every input channel", "quantize the input with one scale")
        kind = spec.kind(int(spec.exponent.reshape(-1)[0]))
        if self._input_type not in (None, kind):
            raise ConfigError(
                f"input type {self._input_type} is asked for, but the network quantizes its input to {kind}",
                hint="leave the input type out",
                place="convert.input_type",
            )
        at = self._build.input("input", frame, kind, spec.rounding, spec.overflow)
        self._at[self._graph.input] = self._at[node.outputs[0]] = at
        self._quantizers.append((self._names.get(node.outputs[0], node.outputs[0]), at))

    # ---- nodes

    def _visit(self, node: OnnxNode) -> None:
        source = self._at.get(node.inputs[0])
        if source is None:
            _refuse(
                node, f"its first input {node.inputs[0]!r} is a constant", "fold constants (qonnx-cleanup)"
            )
        output = node.outputs[0]
        if node.op == "Identity":
            self._at[output] = source
        elif node.op == "Relu":
            self._at[output] = self._build.relu(self._fresh("relu"), source)
        elif node.op == "Quant":
            self._quantize(node, source)
        elif node.op == "Conv":
            self._convolve(node, source)
        else:
            _refuse(
                node, "it does not add a constant to a convolution without a bias", "add biases in the layer"
            )

    def _quantize(self, node: OnnxNode, source: str) -> None:
        spec = self._spec(node)
        channels = self._build.tensor(source).shape[-1]
        exponent = spec.exponent
        if exponent.size == 1:
            exponents = [int(exponent.reshape(-1)[0])]
        elif exponent.ndim in (3, 4) and exponent.shape[-3] == exponent.size == channels:
            exponents = [int(e) for e in exponent.reshape(-1)]
        else:
            _refuse(node, f"a scale of shape {exponent.shape}", "use one scale, or one for each channel")
        types = [spec.kind(e) for e in exponents]
        at = self._build.cast(self._fresh("act"), source, types, spec.rounding, spec.overflow)
        self._at[node.outputs[0]] = at
        self._quantizers.append((self._names.get(node.outputs[0], node.outputs[0]), at))

    def _spec(self, node: OnnxNode) -> QuantSpec:
        if len(node.inputs) != 4 or any(name not in self._graph.constants for name in node.inputs[1:]):
            _refuse(
                node, "scale, zero point and width have to be constants", "fold constants (qonnx-cleanup)"
            )
        scale, zero, bits = (self._graph.constants[name] for name in node.inputs[1:])
        if (zero != 0).any():
            _refuse(
                node, "its zero point is not 0", "use a symmetric quantizer (Brevitas: …FixedPoint classes)"
            )
        exponent = power_of_two(scale)
        if exponent is None:
            worst = float(scale.reshape(-1)[0])
            hint = "restrict scales to powers of two (Brevitas: …FixedPoint classes); tables come later"
            _refuse(node, f"its scale, {worst:g}, is not a power of two", hint)
        if (
            bits.size != 1
            or float(bits.reshape(-1)[0]) % 1
            or not 1 <= float(bits.reshape(-1)[0]) <= MAX_WIDTH
        ):
            _refuse(
                node, f"a width of {bits.reshape(-1)[:4]} bits", f"use one whole width of 1 to {MAX_WIDTH}"
            )
        signed, narrow = _integer(node, "signed", 1) != 0, _integer(node, "narrow", 1) != 0
        width = int(bits.reshape(-1)[0])
        if signed and width == 1:
            _refuse(node, "one signed bit stands for -1 and 1", "use two bits, or an unsigned one")
        if narrow and not signed:
            _refuse(node, "an unsigned narrow range", "use narrow=0 for unsigned quantizers")
        mode = str(node.attributes.get("rounding_mode", "ROUND")).upper()
        if mode not in _ROUNDINGS:
            _refuse(node, f"rounding mode {mode!r}", f"use one of {', '.join(_ROUNDINGS)}")
        if (np.abs(exponent) > MAX_WIDTH).any():
            _refuse(node, f"a scale of 2**{int(exponent.reshape(-1)[0])}", "rescale the network")
        return QuantSpec(signed, narrow, width, exponent, _ROUNDINGS[mode])

    def _convolve(self, node: OnnxNode, source: str) -> None:
        weight, exponent, _, spec = self._weight(node)
        if weight.ndim != 4:
            _refuse(node, f"weights of {weight.ndim} axes", "two-dimensional convolutions are supported")
        self._check_conv(node, weight, self._build.tensor(source).shape[-1])
        frac = -int(exponent.min())
        codes = _aligned(node, weight, exponent).transpose(2, 3, 1, 0)
        low, high = int(codes.min()), int(codes.max())
        kind = spec.kind(-frac) if int(exponent.max()) == -frac else FixedPoint.holding(low, high, frac)
        top, left, bottom, right = _integers(node, "pads", (0, 0, 0, 0))
        dilation, stride = _integers(node, "dilations", (1, 1)), _integers(node, "strides", (1, 1))
        bias, bias_frac, output = self._bias(node, frac + self._build.tensor(source).type.frac)
        at = self._build.conv2d(
            self._fresh("conv"),
            source,
            codes,
            frac,
            bias,
            bias_frac,
            weight_type=kind,
            stride=(stride[0], stride[1]),
            dilation=(dilation[0], dilation[1]),
            padding=(top, bottom, left, right),
        )
        self._at[output] = self._at[node.outputs[0]] = at
        width = self._build.tensor(at).type.width
        if width > _FLOAT32_BITS:
            self._notes.append(
                f"{at}: sums of {width} bits are exact here, rounded in the framework's float32"
            )

    def _weight(self, node: OnnxNode) -> tuple[Codes, Codes, OnnxNode, QuantSpec]:
        if len(node.inputs) < 2 or node.inputs[1] not in self._weights:
            _refuse(node, "its weights are not quantized", "give the layer a weight quantizer")
        return self._weights[node.inputs[1]]

    def _check_conv(self, node: OnnxNode, weight: Codes, channels: int) -> None:
        if _integer(node, "group", 1) != 1 or weight.shape[1] != channels:
            _refuse(
                node,
                f"weights for {weight.shape[1]} channels a group, the input has {channels}",
                "use group=1",
            )
        if _integers(node, "kernel_shape", weight.shape[2:]) != weight.shape[2:]:
            _refuse(node, "kernel_shape is not that of the weights", "export the network again")
        pads = _integers(node, "pads", (0, 0, 0, 0))
        mode = node.attributes.get("auto_pad", "NOTSET")
        if mode not in ("NOTSET", "VALID") or (mode == "VALID" and any(pads)):
            _refuse(node, f"auto_pad is {mode!r}", "give pads as numbers")
        small = (*_integers(node, "strides", (1, 1)), *_integers(node, "dilations", (1, 1)))
        if min(small) < 1 or min(pads) < 0:
            _refuse(node, f"strides and dilations {small}, pads {pads}", "export the network again")

    def _bias(self, node: OnnxNode, natural: int) -> tuple[Codes, int, str]:
        """Codes and fraction of the bias, and the tensor that holds the sum (the Add's, if one brings it)."""
        cout = self._weights[node.inputs[1]][0].shape[0]
        name, output = (node.inputs[2] if len(node.inputs) > 2 else ""), node.outputs[0]
        if not name:
            name, output = self._added_bias(node, cout)
        if not name:
            return np.zeros(cout, dtype=np.int64), natural, output
        if name in self._weights:
            codes, exponent, _, _ = self._weights[name]
            return _aligned(node, codes, exponent).reshape(-1), -int(exponent.min()), output
        if name not in self._graph.constants:
            _refuse(node, f"its bias {name!r} is not a constant", "fold constants (qonnx-cleanup)")
        values = self._graph.constants[name].reshape(-1)
        least = least_frac(values, _FLOAT32_BITS)
        found = exact_codes(values, least) if least is not None else None
        if least is None or found is None or least > natural:
            _refuse(
                node,
                "its bias is finer than the sums it is added to, which float32 rounds",
                "give the layer a bias quantizer (Brevitas: bias_quant=Int16Bias)",
            )
        return found, least, output

    def _added_bias(self, node: OnnxNode, cout: int) -> tuple[str, str]:
        """The constant of an Add that alone reads the convolution and adds one number to each channel."""
        readers = self._graph.readers(node.outputs[0])
        if len(readers) != 1 or readers[0].op != "Add" or node.outputs[0] == self._graph.output:
            return "", node.outputs[0]
        add = readers[0]
        others = [name for name in add.inputs if name != node.outputs[0]]
        shapes = ((cout, 1, 1), (1, cout, 1, 1)) if cout > 1 else ((), (1,), (1, 1), (1, 1, 1), (1, 1, 1, 1))
        for name in others:
            values = self._graph.constants.get(name)
            if name in self._weights:
                values = self._weights[name][0].astype(np.float64)
            if len(others) == 1 and values is not None and values.shape in shapes:
                return name, add.outputs[0]
        return "", node.outputs[0]
