"""`QModel`: the integer graph, checked when it is built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from dwell.hls.qmodel import interpret, store
from dwell.hls.qmodel.nodes import LOCAL_NODES, Conv2D, Input, Node
from dwell.hls.qmodel.ranges import Interval
from dwell.hls.qmodel.types import Codes, Tensor
from dwell.hls.qmodel.validate import validate_graph


@dataclass(frozen=True, eq=False)
class QModel:
    """A network in integers, whose NumPy interpreter is what every back end is held against.

    `nodes` are in the order of computation, `tensors` maps names to `Tensor`, `input` names the tensor
    of input codes and `output` that of the result; `quantizers` pairs the names the source framework
    gave its quantizers with the tensors that carry their codes, in the order of computation.

    Raises `ConfigError` when the graph is not valid: unknown or unused tensors, a cycle, more than one
    input, shapes that do not follow, types too narrow for the codes that can occur, widths above 62.
    """

    name: str
    nodes: tuple[Node, ...]
    tensors: Mapping[str, Tensor]
    input: str
    output: str
    quantizers: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "tensors", MappingProxyType(dict(self.tensors)))
        object.__setattr__(self, "nodes", tuple(self.nodes))
        self.intervals  # noqa: B018 - building it is the check

    @cached_property
    def intervals(self) -> Mapping[str, Interval]:
        """The lowest and highest code each tensor can hold, by interval arithmetic over the weights."""
        return MappingProxyType(
            validate_graph(self.nodes, self.tensors, self.input, self.output, self.quantizers)
        )

    def value_range(self, tensor: str) -> tuple[Codes, Codes]:
        """Lowest and highest code per channel (C,) that `tensor` can hold."""
        interval = self.intervals[tensor]
        return np.array(interval.lo, dtype=np.int64), np.array(interval.hi, dtype=np.int64)

    # ---- shape

    @property
    def input_node(self) -> Input:
        return next(n for n in self.nodes if isinstance(n, Input))

    @property
    def fully_convolutional(self) -> bool:
        """Whether any frame at least `window` large is accepted."""
        return all(isinstance(n, LOCAL_NODES) for n in self.nodes)

    @property
    def stride(self) -> tuple[int, int]:
        """(rows, columns) of input between neighbouring outputs, along the path to the output."""
        rows = columns = 1
        for node in self._path():
            if isinstance(node, Conv2D):
                rows, columns = rows * node.stride[0], columns * node.stride[1]
        return rows, columns

    @property
    def window(self) -> tuple[int, int]:
        """(rows, columns) of input that one output sees; the whole frame when not fully convolutional."""
        if not self.fully_convolutional:
            shape = self.tensors[self.input].shape
            return (shape[0], shape[1]) if len(shape) == 3 else (1, 1)
        size, step = [1, 1], [1, 1]
        for node in self._path():
            if isinstance(node, Conv2D):
                for axis in (0, 1):
                    size[axis] += (node.weight.shape[axis] - 1) * node.dilation[axis] * step[axis]
                    step[axis] *= node.stride[axis]
        return size[0], size[1]

    @property
    def centre(self) -> tuple[int, int]:
        """(row, column) of the input pixel, within its window, that an output speaks for."""
        rows, columns = self.window
        return (rows - 1) // 2, (columns - 1) // 2

    @property
    def shift(self) -> int:
        """Fraction bits of the output: its real value is ``code * 2**-shift * scale``."""
        return self.tensors[self.output].type.frac

    def _path(self) -> tuple[Node, ...]:
        """The nodes from the input to the output, without side branches that only quantizers watch."""
        maker = {n.output: n for n in self.nodes}
        path: list[Node] = []
        at: str | None = self.output
        while at is not None:
            node = maker[at]
            path.append(node)
            at = node.inputs[0] if node.inputs else None
        return tuple(reversed(path))

    # ---- running

    def quantize(self, x: npt.ArrayLike) -> Codes:
        """Float frames (N, *shape) as codes. Raises `ConfigError` for a wrong shape, NaN or infinity."""
        return interpret.quantize(self, x)

    def run(self, x: npt.ArrayLike) -> Codes:
        """Float frames (N, H, W, C) to output codes (N, ...). Raises `ConfigError` as `quantize` does."""
        return self.run_codes(self.quantize(x))

    def run_codes(self, codes: npt.ArrayLike) -> Codes:
        """Input codes (N, H, W, C) to output codes. Raises `ConfigError` for a wrong shape or code."""
        return interpret.run_codes(self, codes)

    def trace(self, x: npt.ArrayLike) -> dict[str, Codes]:
        """The codes of every tensor, (N, ...) each, for float frames."""
        return interpret.trace_codes(self, self.quantize(x))

    def trace_codes(self, codes: npt.ArrayLike) -> dict[str, Codes]:
        """The codes of every tensor, (N, ...) each, for input codes."""
        return interpret.trace_codes(self, codes)

    def to_real(self, tensor: str, codes: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Codes of `tensor` as real values."""
        kind = self.tensors[tensor]
        return np.asarray(np.ldexp(np.asarray(codes, dtype=np.float64), -kind.type.frac) * kind.scale)

    # ---- keeping

    def digest(self) -> str:
        """SHA-256 over the canonical form: equal for equal graphs, on any machine."""
        return store.digest(self)

    def save(self, directory: Path | str) -> None:
        """Write `qmodel.json` and `qmodel.npz` into `directory`, byte for byte the same each time."""
        store.save(self, Path(directory))

    @classmethod
    def load(cls, directory: Path | str) -> QModel:
        """Read what `save` wrote. Raises `ConfigError` for a missing, damaged or altered file."""
        return store.load(Path(directory))
