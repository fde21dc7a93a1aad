"""Building a `QModel` node by node, with the narrowest types that lose nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy.typing as npt

from dwell.errors import ConfigError
from dwell.hls.qmodel.graph import QModel
from dwell.hls.qmodel.nodes import Cast, Conv2D, Dense, Flatten, Input, Node, Relu, Reshape
from dwell.hls.qmodel.ranges import Interval, accumulator_frac, node_interval
from dwell.hls.qmodel.types import FixedPoint, Overflow, Rounding, Tensor, frozen_codes
from dwell.hls.qmodel.validate import conv_shape


class Builder:
    """Appends nodes; each method returns the name of the tensor it makes, which is the node's name.

    Output types are the narrowest that hold every code which interval arithmetic says can occur.
    """

    def __init__(self) -> None:
        self._nodes: list[Node] = []
        self._tensors: dict[str, Tensor] = {}
        self._intervals: dict[str, Interval] = {}

    def tensor(self, name: str) -> Tensor:
        return self._tensors[name]

    def interval(self, name: str) -> Interval:
        return self._intervals[name]

    def input(
        self,
        name: str,
        shape: tuple[int, ...],
        kind: FixedPoint,
        rounding: Rounding = Rounding.TRN,
        overflow: Overflow = Overflow.SAT,
    ) -> str:
        """The float frames, cast to `kind`; `shape` is (rows, columns, channels)."""
        return self._add(Input(name, (), name, rounding, overflow), shape, kind)

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
        padding: tuple[int, int, int, int] = (0, 0, 0, 0),
    ) -> str:
        """A convolution of weight codes (kh, kw, cin, cout); `weight_type` defaults to the narrowest."""
        codes = frozen_codes(weight)
        kind = weight_type or FixedPoint.holding(int(codes.min()), int(codes.max()), weight_frac)
        node = Conv2D(
            name, (source,), name, codes, kind, frozen_codes(bias), bias_frac, stride, dilation, padding
        )
        shape = conv_shape(node, self._tensors[source].shape)
        return self._add(node, shape, None, accumulator_frac(node, self._tensors[source].type.frac))

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
        codes = frozen_codes(weight)
        kind = weight_type or FixedPoint.holding(int(codes.min()), int(codes.max()), weight_frac)
        node = Dense(name, (source,), name, codes, kind, frozen_codes(bias), bias_frac)
        before = self._tensors[source]
        shape = (*before.shape[:-1], int(codes.shape[1]))
        return self._add(node, shape, None, accumulator_frac(node, before.type.frac))

    def relu(self, name: str, source: str) -> str:
        before = self._tensors[source]
        return self._add(Relu(name, (source,), name), before.shape, None, before.type.frac)

    def cast(
        self, name: str, source: str, types: Sequence[FixedPoint], rounding: Rounding, overflow: Overflow
    ) -> str:
        """Requantize to one type or to one per channel. One type is kept as it stands, not narrowed."""
        node = Cast(name, (source,), name, tuple(types), rounding, overflow)
        kind = node.types[0] if len(node.types) == 1 and node.types[0].width > 0 else None
        return self._add(node, self._tensors[source].shape, kind, node.frac)

    def flatten(self, name: str, source: str) -> str:
        before = self._tensors[source]
        size = 1
        for length in before.shape:
            size *= length
        return self._add(Flatten(name, (source,), name), (size,), before.type)

    def reshape(self, name: str, source: str, shape: tuple[int, ...]) -> str:
        return self._add(Reshape(name, (source,), name, shape), shape, self._tensors[source].type)

    def finish(
        self,
        name: str,
        output: str,
        quantizers: Sequence[tuple[str, str]] = (),
        notes: Sequence[str] = (),
    ) -> QModel:
        """The checked graph. Raises `ConfigError` as `QModel` does."""
        entry = next((n.output for n in self._nodes if isinstance(n, Input)), "")
        return QModel(name, tuple(self._nodes), self._tensors, entry, output, tuple(quantizers), tuple(notes))

    def _add(self, node: Node, shape: tuple[int, ...], kind: FixedPoint | None, frac: int = 0) -> str:
        if node.output in self._tensors:
            raise ConfigError(f"{node.name}: a second node of this name", place=node.name)
        # The interval needs the shape before the type is known; 1 bit stands in for it.
        self._tensors[node.output] = Tensor(node.output, shape, kind or FixedPoint(False, 1, frac))
        interval = node_interval(node, self._tensors, self._intervals)
        if kind is None:
            kind = FixedPoint.holding(interval.least, interval.greatest, frac)
            self._tensors[node.output] = Tensor(node.output, shape, kind)
        self._nodes.append(node)
        self._intervals[node.output] = interval
        return node.output
