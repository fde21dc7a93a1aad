"""What the walker knows of each tensor of the file: integers, what they stand for, and what is still float."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NoReturn, TypeAlias

import numpy as np
import numpy.typing as npt

from dwell.errors import UnsupportedLayerError
from dwell.hls.frontends.onnx_file import MAX_ACTIVATIONS, Array, Floats, OnnxGraph, OnnxNode, check_size
from dwell.hls.frontends.qonnx.kernels import Kernel
from dwell.hls.frontends.reading import Slack
from dwell.hls.qmodel import Codes, FixedPoint
from dwell.hls.qmodel.build import Builder

#: float32 sums are exact up to here, so the framework that made the file computes what we compute.
FLOAT32_BITS = 24
#: Half the distance between float32 numbers next to 1: the largest relative error of one operation.
ULP = 2.0**-FLOAT32_BITS

#: Most float operators between two quantizers.
MAX_OPERATORS = 64

SUPPORTED = (
    "Quant",
    "BipolarQuant",
    "Trunc",
    "MatMul",
    "Gemm",
    "Conv",
    "Add",
    "Sub",
    "Mul",
    "Div",
    "BatchNormalization",
    "Relu",
    "LeakyRelu",
    "PRelu",
    "Clip",
    "HardSigmoid",
    "Sigmoid",
    "Tanh",
    "Softmax (at the end)",
    "MaxPool",
    "AveragePool",
    "GlobalMaxPool",
    "GlobalAveragePool",
    "ReduceMean",
    "Concat",
    "Upsample",
    "Resize",
    "Flatten",
    "Reshape",
    "Transpose",
    "Squeeze",
    "Unsqueeze",
    "Slice",
    "Split",
    "Pad",
    "TopK",
    "ArgMax",
    "Identity",
    "Dropout",
)


@dataclass(frozen=True)
class Apply:
    """A float operator on the value before it; `None` in `arguments` is that of the codes themselves."""

    node: OnnxNode
    arguments: tuple[Apply | str | None, ...]  # an inner operator, a constant's name, or the codes' value
    size: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        size = 1 + sum(argument.size for argument in self.arguments if isinstance(argument, Apply))
        object.__setattr__(self, "size", size)
        if size > MAX_OPERATORS:
            refuse(self.node, f"{size} float operators stand before it", "quantize in between")

    def scalar(self, constants: Mapping[str, Array]) -> bool:
        """Whether it treats all channels alike."""
        return all(
            argument.scalar(constants)
            if isinstance(argument, Apply)
            else not argument or constants[argument].size == 1
            for argument in self.arguments
        )


@dataclass(frozen=True, eq=False)
class Signal:
    """A tensor of the file as it comes about: `expr` of codes times `scale`.

    `at` is the tensor of the integer graph, whose axis i is axis `order[i]` of the file's (axis 0, the
    frames, is left out). A code stands for ``code * 2**-frac * scale``, `scale` being (1,) or one for each
    channel, the last axis. `noise` bounds how far the source's float32 sums may be from ours, in codes; it is
    0 where float32 is exact.
    """

    at: str
    order: tuple[int, ...]
    scale: Floats = field(default_factory=lambda: np.ones(1))
    noise: float = 0.0
    expr: Apply | None = None

    @property
    def plain(self) -> bool:
        """Whether a code is a binary fraction: no scale apart from the type's."""
        return bool((self.scale == 1.0).all())

    @property
    def uniform(self) -> bool:
        """Whether all channels have one scale."""
        return bool((self.scale == self.scale[0]).all())


@dataclass(frozen=True, eq=False)
class Weights:
    """A quantized constant: ``codes * scale``, in the shape of the file's tensor."""

    codes: Codes
    scale: Floats
    kind: FixedPoint  # what the quantizer declares, without a fraction
    node: OnnxNode


def refuse(node: OnnxNode, reason: str, hint: str) -> NoReturn:
    """Raise the error for a layer that cannot be carried."""
    raise UnsupportedLayerError(node.label, node.op, SUPPORTED, reason=reason, hint=hint)


Shape: TypeAlias = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Unflattened:
    """A flattened tensor in the order of the integer graph: element i is element `rows[i]` of the file's."""

    signal: Signal
    rows: Codes


class Walk:
    """All that is known half way: what each tensor of the file has become, and the graph being built."""

    def __init__(self, graph: OnnxGraph) -> None:
        self.graph = graph
        self.constants: dict[str, Array] = dict(graph.constants)
        self.weights: dict[str, Weights] = {}
        self.signals: dict[str, Signal] = {}
        self.build = Builder()
        self.quantizers: list[tuple[str, str]] = []
        self.places: dict[str, str] = {}
        self.notes: list[str] = []
        self.slack: dict[str, Slack] = {}
        self.dropped = ""
        self.unflattened: dict[str, Unflattened] = {}
        self._settled: dict[str, Signal] = {}
        self._kernels: dict[str, Kernel] = {}
        self._counts: dict[str, int] = {}

    # ---- names, constants, kernels

    def fresh(self, kind: str) -> str:
        """A name for the next node of a kind."""
        self._counts[kind] = self._counts.get(kind, 0) + 1
        return f"{kind}{self._counts[kind]}"

    def kernel(self, node: OnnxNode) -> Kernel:
        """The source's own kernel of a node."""
        key = node.outputs[0]
        if key not in self._kernels:
            self._kernels[key] = Kernel(node, self.graph.opsets)
        return self._kernels[key]

    def constant(self, node: OnnxNode, index: int, what: str) -> Array:
        """An input that has to be constant; `what` names it in the error."""
        name = node.inputs[index] if index < len(node.inputs) else ""
        if name not in self.constants:
            refuse(node, f"{what} is not a constant", "fold constants before export (qonnx-cleanup)")
        return self.constants[name]

    def optional(self, node: OnnxNode, index: int, what: str) -> Array | None:
        """As `constant`, None where the input is left out."""
        if index >= len(node.inputs) or not node.inputs[index]:
            return None
        return self.constant(node, index, what)

    def signal(self, node: OnnxNode, index: int = 0) -> Signal:
        """An input that has to be computed from the network's own."""
        name = node.inputs[index]
        if name not in self.signals:
            refuse(node, f"its input {name!r} is a constant", "fold constants before export (qonnx-cleanup)")
        return self.signals[name]

    def moving(self, node: OnnxNode) -> list[str]:
        """The inputs of a node that are not constants."""
        return [name for name in node.inputs if name in self.signals]

    # ---- shapes

    def shape(self, signal: Signal) -> Shape:
        """The shape in the file, frames included."""
        stored = self.build.tensor(signal.at).shape
        lengths = dict(zip(signal.order, stored, strict=True))
        return (1, *(lengths[axis] for axis in range(1, len(stored) + 1)))

    def channels(self, signal: Signal) -> int:
        """Length of the last axis of the integer graph's tensor."""
        return self.build.tensor(signal.at).shape[-1]

    def per_channel(self, signal: Signal, values: Array) -> Floats | None:
        """A constant that is broadcast to a signal, as (1,) or (C,); None where it varies along other axes."""
        if values.size == 1:
            return values.reshape(1).astype(np.float64)
        axis, rank = signal.order[-1], len(signal.order) + 1
        shape = (1,) * (rank - values.ndim) + values.shape
        if len(shape) != rank or any(n != 1 for i, n in enumerate(shape) if i != axis):
            return None
        return values.reshape(-1).astype(np.float64) if values.size == self.channels(signal) else None

    def reorder(self, signal: Signal, order: tuple[int, ...]) -> Signal:
        """The same values with the axes of the integer graph's tensor in another order."""
        if signal.order == order:
            return signal
        if signal.order[-1] != order[-1] and not (signal.uniform and self._alike(signal)):
            raise ValueError("channels of several scales cannot move to another axis")
        stored = self.build.tensor(signal.at).shape
        axes = tuple(signal.order.index(axis) for axis in order)
        if [a for a in axes if stored[a] > 1] == [a for a in range(len(axes)) if stored[a] > 1]:
            at = self.build.reshape(self.fresh("reshape"), signal.at, tuple(stored[a] for a in axes))
        else:
            at = self.build.transpose(self.fresh("transpose"), signal.at, axes)
        return replace(signal, at=at, order=order, scale=signal.scale[:1] if signal.uniform else signal.scale)

    def _alike(self, signal: Signal) -> bool:
        return signal.expr is None or signal.expr.scalar(self.constants)

    # ---- values

    def evaluate(self, signal: Signal, codes: npt.ArrayLike) -> Array:
        """What the file's tensor holds, as its own kernels compute it, for `codes` (V, R), R = 1 or channels.

        `codes` may lie between integers. The result is (V, R') with R' = R, or the channels.
        """
        given = np.asarray(codes)
        frac = self.build.tensor(signal.at).type.frac
        real = np.ldexp(given.astype(np.float64), -frac) * signal.scale
        axis, rank = signal.order[-1], len(signal.order) + 1
        shape = [1] * rank
        shape[0], shape[axis] = real.shape
        found = self._apply(signal.expr, np.ascontiguousarray(real.reshape(shape), dtype=np.float32))
        return found.reshape(len(given), -1)

    def _apply(self, expr: Apply | None, leaf: Array) -> Array:
        if expr is None:
            return leaf
        inputs: list[Array | None] = []
        for argument in expr.arguments:
            if argument is None or isinstance(argument, Apply):
                inputs.append(self._apply(argument, leaf))
            else:
                inputs.append(self.constants[argument] if argument else None)
        return self.kernel(expr.node)(inputs)[0]

    def scaled(self, signal: Signal) -> None:
        """Write what codes stand for on the integer graph's tensor."""
        scale = float(signal.scale[0]) if signal.uniform else tuple(float(v) for v in signal.scale)
        self.build.scaled(signal.at, scale)

    def bound(self, signal: Signal) -> float:
        """The largest code that can occur, whatever its sign."""
        interval = self.build.interval(signal.at)
        return float(max(abs(interval.least), abs(interval.greatest)))

    # ---- results

    def set(self, node: OnnxNode, signal: Signal, output: int = 0) -> None:
        """What an output of a node has become."""
        name = node.outputs[output]
        check_size(f"{node.label!r}: its output", self.build.tensor(signal.at).shape, MAX_ACTIVATIONS)
        self.signals[name] = signal

    def remember(self, key: str, signal: Signal) -> Signal:
        """Keep what a float expression has become in integers, for its next reader."""
        self._settled[key] = signal
        return signal

    def remembered(self, key: str) -> Signal | None:
        return self._settled.get(key)


def integer(node: OnnxNode, key: str, default: int) -> int:
    """An attribute that is a whole number."""
    value = node.attributes.get(key, default)
    if not isinstance(value, int):
        refuse(node, f"{key} is {value!r}", "export the network again")
    return value


def integers(node: OnnxNode, key: str, default: Sequence[int]) -> tuple[int, ...]:
    """An attribute that is a list of whole numbers, as many as `default` has."""
    value = node.attributes.get(key, tuple(default))
    whole = isinstance(value, tuple) and all(isinstance(v, int) for v in value)
    if not whole or not isinstance(value, tuple) or len(value) != len(default):
        refuse(node, f"{key} is {value!r}; {len(default)} numbers are needed", "export the network again")
    return tuple(int(v) for v in value)


def number(node: OnnxNode, key: str, default: float) -> float:
    """An attribute that is a number."""
    value = node.attributes.get(key, default)
    if not isinstance(value, int | float):
        refuse(node, f"{key} is {value!r}", "export the network again")
    return float(value)
