"""Building a `QModel` node by node, with the narrowest types that lose nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy.typing as npt

from dwell.errors import ConfigError
from dwell.hls.qmodel import nodes as n
from dwell.hls.qmodel.checks import check_inputs, check_node
from dwell.hls.qmodel.graph import Node, QModel, Recurrent
from dwell.hls.qmodel.ranges import Interval, node_interval
from dwell.hls.qmodel.shapes import node_frac, node_shape
from dwell.hls.qmodel.types import Codes, FixedPoint, Overflow, Rounding, Tensor, frozen_codes
from dwell.hls.qmodel.validate import checked

Numbers = float | tuple[float, ...]
Pads = tuple[int, int, int, int]

#: Nodes whose output stands for what their input stands for, channel by channel.
_SAME_SCALE = (n.Relu, n.Clip, n.Cast, n.Pool2D, n.Upsample, n.Add)


class Builder:
    """Appends nodes; each method returns the name of the tensor it makes, which is the node's name.

    Output types are the narrowest that hold every code which interval arithmetic says can occur. One scale
    for all channels is handed on (products multiply it); `scaled` sets any other.
    """

    def __init__(self) -> None:
        self._nodes: list[Node] = []
        self._tensors: dict[str, Tensor] = {}
        self._intervals: dict[str, Interval] = {}

    def tensor(self, name: str) -> Tensor:
        return self._tensors[name]

    def interval(self, name: str) -> Interval:
        return self._intervals[name]

    def scaled(self, name: str, scale: Numbers, offset: Numbers = 0.0) -> str:
        """Say what the codes of tensor `name` stand for: ``code * 2**-frac * scale + offset``."""
        self._tensors[name] = replace(self._tensors[name], scale=scale, offset=offset)
        return name

    def input(
        self,
        name: str,
        shape: tuple[int, ...],
        kind: FixedPoint,
        rounding: Rounding = Rounding.TRN,
        overflow: Overflow = Overflow.SAT,
    ) -> str:
        """The float frames, cast to `kind`; `shape` is (rows, columns, channels), or that of a vector."""
        return self._add(n.Input(name, (), name, rounding, overflow), kind, shape=shape)

    def conv2d(
        self,
        name: str,
        source: str,
        weight: npt.ArrayLike,
        weight_frac: int,
        bias: npt.ArrayLike,
        bias_frac: int,
        *,
        weight_type: FixedPoint | None = None,
        stride: tuple[int, int] = (1, 1),
        dilation: tuple[int, int] = (1, 1),
        padding: Pads = (0, 0, 0, 0),
        groups: int = 1,
    ) -> str:
        """A convolution of weight codes (kh, kw, cin, cout); `weight_type` defaults to the narrowest."""
        codes, kind = _weights(weight, weight_frac, weight_type)
        biases = frozen_codes(bias)
        return self._add(
            n.Conv2D(name, (source,), name, codes, kind, biases, bias_frac, stride, dilation, padding, groups)
        )

    def dense(
        self,
        name: str,
        source: str,
        weight: npt.ArrayLike,
        weight_frac: int,
        bias: npt.ArrayLike,
        bias_frac: int,
        *,
        weight_type: FixedPoint | None = None,
    ) -> str:
        """A matrix product of weight codes (cin, cout)."""
        codes, kind = _weights(weight, weight_frac, weight_type)
        return self._add(n.Dense(name, (source,), name, codes, kind, frozen_codes(bias), bias_frac))

    def affine(
        self,
        name: str,
        source: str,
        weight: npt.ArrayLike,
        weight_frac: int,
        bias: npt.ArrayLike,
        bias_frac: int,
        *,
        weight_type: FixedPoint | None = None,
    ) -> str:
        """Each channel times its factor, plus its bias: codes (C,) or (1,)."""
        codes, kind = _weights(weight, weight_frac, weight_type)
        return self._add(n.Affine(name, (source,), name, codes, kind, frozen_codes(bias), bias_frac))

    def relu(self, name: str, source: str) -> str:
        return self._add(n.Relu(name, (source,), name))

    def leaky_relu(self, name: str, source: str, slope: npt.ArrayLike, slope_frac: int) -> str:
        """Negative codes times `slope`, codes (C,) or (1,)."""
        return self._add(n.LeakyRelu(name, (source,), name, frozen_codes(slope), slope_frac))

    def clip(self, name: str, source: str, lo: int, hi: int) -> str:
        """Codes brought into `lo` .. `hi`, which have the fraction of `source`."""
        return self._add(n.Clip(name, (source,), name, lo, hi))

    def cast(
        self, name: str, source: str, types: Sequence[FixedPoint], rounding: Rounding, overflow: Overflow
    ) -> str:
        """Requantize to one type or to one per channel. One type is kept as it stands, not narrowed."""
        node = n.Cast(name, (source,), name, tuple(types), rounding, overflow)
        kind = node.types[0] if len(node.types) == 1 and node.types[0].width > 0 else None
        return self._add(node, kind)

    def table(
        self,
        name: str,
        source: str,
        breaks: npt.ArrayLike,
        levels: npt.ArrayLike,
        frac: int = 0,
        *,
        kind: FixedPoint | None = None,
        scale: Numbers = 1.0,
        offset: Numbers = 0.0,
    ) -> str:
        """Any function by its steps: `breaks` (R, T) and `levels` (R, T + 1) as in `nodes.Table`.

        The output has `frac` fraction bits and the narrowest type, or `kind` where that is given.
        """
        node = n.Table(name, (source,), name, frozen_codes(breaks), frozen_codes(levels))
        return self.scaled(self._add(node, kind, frac), scale, offset)

    def pool2d(
        self,
        name: str,
        source: str,
        pooling: n.Pooling,
        size: tuple[int, int],
        stride: tuple[int, int] | None = None,
        padding: Pads = (0, 0, 0, 0),
        shift: int = 0,
    ) -> str:
        """Windows of `size`, side by side unless `stride` says otherwise."""
        return self._add(n.Pool2D(name, (source,), name, pooling, size, stride or size, padding, shift))

    def add(self, name: str, first: str, second: str) -> str:
        return self._add(n.Add(name, (first, second), name))

    def multiply(self, name: str, first: str, second: str) -> str:
        return self._add(n.Multiply(name, (first, second), name))

    def concat(self, name: str, sources: Sequence[str]) -> str:
        return self._add(n.Concat(name, tuple(sources), name))

    def upsample(self, name: str, source: str, factor: tuple[int, int]) -> str:
        return self._add(n.Upsample(name, (source,), name, factor))

    def topk(self, name: str, source: str, k: int = 1) -> str:
        return self._add(n.TopK(name, (source,), name, k))

    def softmax(
        self, name: str, source: str, exponentials: npt.ArrayLike, frac: int, width: int | None = None
    ) -> str:
        """Softmax by a table of exponentials (D,); `width` bits, by default `frac`, so that 1 saturates."""
        kind = FixedPoint(False, max(1, frac) if width is None else width, frac)
        return self._add(n.Softmax(name, (source,), name, frozen_codes(exponentials), frac), kind)

    def transpose(self, name: str, source: str, axes: tuple[int, ...]) -> str:
        return self._add(n.Transpose(name, (source,), name, axes), self._tensors[source].type)

    def slice(self, name: str, source: str, axis: int, start: int, stop: int) -> str:
        return self._add(n.Slice(name, (source,), name, axis, start, stop), self._tensors[source].type)

    def flatten(self, name: str, source: str) -> str:
        return self._add(n.Flatten(name, (source,), name), self._tensors[source].type)

    def reshape(self, name: str, source: str, shape: tuple[int, ...]) -> str:
        return self._add(n.Reshape(name, (source,), name, shape), self._tensors[source].type)

    def recurrent(
        self, name: str, source: str, body: QModel, initial: npt.ArrayLike, *, sequence: bool = False
    ) -> str:
        """`body` once for each step of `source`, as in `nodes.Recurrent`."""
        return self._add(Recurrent(name, (source,), name, body, frozen_codes(initial), sequence))

    def append(self, node: Node, kind: FixedPoint | None = None, shape: tuple[int, ...] = ()) -> str:
        """Any node, as it stands: `kind` is the output's type (None for the narrowest), `shape` that of an `Input`."""
        return self._add(node, kind, shape=shape, frac=0 if kind is None else kind.frac)

    def prune(self, wanted: Sequence[str]) -> None:
        """Drop the nodes that none of the tensors in `wanted` depends on, except the input."""
        needed = set(wanted)
        for node in reversed(self._nodes):
            if node.output in needed:
                needed.update(node.inputs)
        self._nodes = [node for node in self._nodes if node.output in needed or isinstance(node, n.Input)]
        kept = {node.output for node in self._nodes}
        self._tensors = {name: tensor for name, tensor in self._tensors.items() if name in kept}
        self._intervals = {name: interval for name, interval in self._intervals.items() if name in kept}

    def finish(
        self,
        name: str,
        output: str,
        quantizers: Sequence[tuple[str, str]] = (),
        notes: Sequence[str] = (),
    ) -> QModel:
        """The checked graph. Raises `ConfigError` as `checked` does."""
        entry = next((node.output for node in self._nodes if isinstance(node, n.Input)), "")
        model = QModel(
            name, tuple(self._nodes), self._tensors, entry, output, tuple(quantizers), tuple(notes)
        )
        return checked(model)

    def _add(
        self, node: Node, kind: FixedPoint | None = None, frac: int = 0, shape: tuple[int, ...] = ()
    ) -> str:
        if node.output in self._tensors:
            raise ConfigError(f"{node.name}: a second node of this name", place=node.name)
        sources = [self._tensors[name] for name in node.inputs]
        check_inputs(node)
        fixed = node_frac(node, [source.type.frac for source in sources])
        scale, offset = _meaning(node, sources)
        # Checks and the interval need a type before the narrowest is known; 1 bit stands in for it.
        place = FixedPoint(False, 1, frac if fixed is None else fixed)
        out = Tensor(node.output, shape, kind or place, scale, offset)
        if sources:
            check_node(node, sources, out)
            out = replace(out, shape=node_shape(node, [source.shape for source in sources]))
        self._tensors[node.output] = out
        interval = node_interval(node, self._tensors, self._intervals)
        if kind is None:
            kind = FixedPoint.holding(interval.least, interval.greatest, place.frac)
            self._tensors[node.output] = replace(out, type=kind)
        self._nodes.append(node)
        self._intervals[node.output] = interval
        return node.output


def _meaning(node: Node, sources: Sequence[Tensor]) -> tuple[Numbers, Numbers]:
    """Scale and offset of the output, as far as those of the inputs tell."""
    if not sources:
        return 1.0, 0.0
    first = sources[0]
    if isinstance(node, _SAME_SCALE):
        return first.scale, 0.0 if isinstance(node, n.Add) else first.offset
    if isinstance(node, Recurrent):
        made = node.body.tensors[node.body.output]
        ends = isinstance(made.scale, tuple) or isinstance(made.offset, tuple)
        return (1.0, 0.0) if ends else (made.scale, made.offset)
    if isinstance(node, n.TopK | n.Softmax | n.Table):
        return 1.0, 0.0
    if any(isinstance(source.scale, tuple) for source in sources):
        return 1.0, 0.0
    scales = [source.scale for source in sources if not isinstance(source.scale, tuple)]
    if isinstance(node, n.Multiply):
        return scales[0] * scales[1], 0.0
    return (scales[0], 0.0) if len(set(scales)) == 1 else (1.0, 0.0)


def _weights(weight: npt.ArrayLike, frac: int, kind: FixedPoint | None) -> tuple[Codes, FixedPoint]:
    """Weight codes and their type, by default the narrowest."""
    codes = frozen_codes(weight)
    return codes, kind or FixedPoint.holding(int(codes.min()), int(codes.max()), frac)
