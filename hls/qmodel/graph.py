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
from dwell.hls.qmodel.geometry import Geometry, frame_geometry
from dwell.hls.qmodel.nodes import Input, Node, Recurrent
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

    @property
    def watched(self) -> Mapping[str, Tensor]:
        """The tensor of each source quantizer by its name; inside a body, that of a step."""
        found = {source: self.tensors[name] for source, name in self.quantizers}
        for node in self.nodes:
            if isinstance(node, Recurrent):
                found |= node.body.watched
        return found

    def value_range(self, tensor: str) -> tuple[Codes, Codes]:
        """Lowest and highest code per channel (C,) that `tensor` can hold."""
        interval = self.intervals[tensor]
        return np.array(interval.lo, dtype=np.int64), np.array(interval.hi, dtype=np.int64)

    # ---- shape

    @property
    def input_node(self) -> Input:
        return next(n for n in self.nodes if isinstance(n, Input))

    @cached_property
    def fully_convolutional(self) -> bool:
        """Whether any frame at least `window` large is accepted, beside those of the nominal size.

        So it is where all nodes see a neighbourhood only, and branches that meet have strided and cut the
        frame alike.
        """
        return self._geometry is not None

    @property
    def stride(self) -> tuple[int, int]:
        """(rows, columns) of input between neighbouring outputs; (1, 1) when not fully convolutional."""
        return (1, 1) if self._geometry is None else self._geometry.stride

    @property
    def window(self) -> tuple[int, int]:
        """(rows, columns) of input that one output sees; the whole frame when not fully convolutional."""
        if self._geometry is None:
            shape = self.tensors[self.input].shape
            return (shape[0], shape[1]) if len(shape) == 3 else (1, 1)
        return self._geometry.window

    @cached_property
    def _geometry(self) -> Geometry | None:
        if len(self.tensors[self.input].shape) != 3:
            return None
        return frame_geometry(self.nodes, self.output)

    @property
    def centre(self) -> tuple[int, int]:
        """(row, column) of the input pixel, within its window, that an output speaks for."""
        rows, columns = self.window
        return (rows - 1) // 2, (columns - 1) // 2

    @property
    def shift(self) -> int:
        """Fraction bits of the output: its real value is ``code * 2**-shift * scale + offset``."""
        return self.tensors[self.output].type.frac

    # ---- structure

    def maker(self, tensor: str) -> Node:
        """The node that computes `tensor`."""
        return self._makers[tensor]

    def readers(self, tensor: str) -> tuple[Node, ...]:
        """The nodes that read `tensor`, in order; one that reads it twice comes once."""
        return self._readers.get(tensor, ())

    def order(self) -> tuple[Node, ...]:
        """The nodes that the output depends on, in the order of computation.

        Side branches that only quantizers watch are left out.
        """
        wanted = {self.output}
        path: list[Node] = []
        for node in reversed(self.nodes):
            if node.output in wanted:
                path.append(node)
                wanted.update(node.inputs)
        return tuple(reversed(path))

    @property
    def is_chain(self) -> bool:
        """Whether each node reads the one before it and nothing else, from the input to the output."""
        names = [n.output for n in self.nodes]
        return [n.inputs for n in self.nodes[1:]] == [(name,) for name in names[:-1]] and (
            names[-1] == self.output
        )

    @cached_property
    def _makers(self) -> Mapping[str, Node]:
        return {node.output: node for node in self.nodes}

    @cached_property
    def _readers(self) -> Mapping[str, tuple[Node, ...]]:
        found: dict[str, tuple[Node, ...]] = {}
        for node in self.nodes:
            for name in dict.fromkeys(node.inputs):
                found[name] = (*found.get(name, ()), node)
        return found

    # ---- running

    def quantize(self, x: npt.ArrayLike) -> Codes:
        """Float frames (N, *shape) as codes. Raises `ConfigError` for a wrong shape, NaN or infinity."""
        return interpret.quantize(self, x)

    def run(self, x: npt.ArrayLike) -> Codes:
        """Float frames (N, *shape) to output codes (N, ...). Raises `ConfigError` as `quantize` does."""
        return self.run_codes(self.quantize(x))

    def run_codes(self, codes: npt.ArrayLike) -> Codes:
        """Input codes (N, *shape) to output codes. Raises `ConfigError` for a wrong shape or code."""
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
        plain = np.ldexp(np.asarray(codes, dtype=np.float64), -kind.type.frac)
        return np.asarray(plain * np.asarray(kind.scale) + np.asarray(kind.offset))

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
