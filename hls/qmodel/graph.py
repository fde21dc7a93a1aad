"""`QModel`: the integer graph, and the node that holds one.

It is plain data: what is known of a graph is found by functions in the modules above. `validate.checked` says whether
it is one to believe.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, wraps
from types import MappingProxyType
from typing import TypeAlias, TypeVar
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from dwell.hls.qmodel.nodes import (
    Add,
    Affine,
    Cast,
    Clip,
    Concat,
    Conv2D,
    Dense,
    Flatten,
    Input,
    LeakyRelu,
    Multiply,
    Pool2D,
    Relu,
    Reshape,
    Slice,
    Softmax,
    Table,
    TopK,
    Transpose,
    Upsample,
)
from dwell.hls.qmodel.types import Codes, Tensor, frozen_codes

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Recurrent:
    """`body` once for each step of a (steps, features) tensor, with a state that goes from step to step.

    `body` is a graph from one vector to one vector. It reads the features of a step, aligned to the fraction of
    its input, and behind them the S codes of the state; it gives the step's results and behind them the S codes
    of the new state. Its input and output have one fraction, so that a state's codes go round as they are.
    The first step finds the codes `initial` (S,). The output is a (steps, results) tensor where `sequence` is
    set, else the results (results,) of the last step; it has the fraction of the body's output.
    """

    name: str
    inputs: tuple[str, ...]
    output: str
    body: QModel
    initial: Codes
    sequence: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "initial", frozen_codes(self.initial))

    @property
    def features(self) -> int:
        """Features of a step."""
        return self.body.tensors[self.body.input].shape[-1] - len(self.initial)

    @property
    def results(self) -> int:
        """Results of a step."""
        return self.body.tensors[self.body.output].shape[-1] - len(self.initial)

    @property
    def frac(self) -> int:
        """Fraction bits of the body's input, its output and the state."""
        return self.body.tensors[self.body.output].type.frac


Node: TypeAlias = (
    Input
    | Conv2D
    | Dense
    | Affine
    | Relu
    | LeakyRelu
    | Clip
    | Cast
    | Table
    | Pool2D
    | Add
    | Multiply
    | Concat
    | Upsample
    | TopK
    | Softmax
    | Transpose
    | Slice
    | Flatten
    | Reshape
    | Recurrent
)

#: Nodes that treat each element by itself, knowing at most its channel.
ELEMENTWISE_NODES = (Affine, Relu, LeakyRelu, Clip, Cast, Table)

#: Nodes that read two tensors (`Concat`: two or more).
JOINING_NODES = (Add, Multiply, Concat)

#: Nodes that see a neighbourhood only, so that any frame at least a window large will do.
LOCAL_NODES = (Input, Conv2D, Pool2D, Add, Multiply, Concat, *ELEMENTWISE_NODES)


@dataclass(frozen=True, eq=False)
class QModel:
    """A network in integers, whose NumPy interpreter is what every back end is held against.

    `nodes` are in the order of computation, `tensors` maps names to `Tensor`, `input` names the tensor
    of input codes and `output` that of the result; `quantizers` pairs the names the source framework
    gave its quantizers with the tensors that carry their codes, in the order of computation.
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

    @property
    def input_node(self) -> Input:
        return next(n for n in self.nodes if isinstance(n, Input))

    @property
    def shift(self) -> int:
        """Fraction bits of the output: its real value is ``code * 2**-shift * scale + offset``."""
        return self.tensors[self.output].type.frac

    @property
    def watched(self) -> Mapping[str, Tensor]:
        """The tensor of each source quantizer by its name; inside a body, that of a step."""
        found = {source: self.tensors[name] for source, name in self.quantizers}
        for node in self.nodes:
            if isinstance(node, Recurrent):
                found |= node.body.watched
        return found

    def to_real(self, tensor: str, codes: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Codes of `tensor` as real values."""
        kind = self.tensors[tensor]
        plain = np.ldexp(np.asarray(codes, dtype=np.float64), -kind.type.frac)
        return np.asarray(plain * np.asarray(kind.scale) + np.asarray(kind.offset))

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


def once_per_graph(function: Callable[[QModel], T]) -> Callable[[QModel], T]:
    """`function` of a graph, computed once for each and kept no longer than the graph; the result must not hold it."""
    kept: WeakKeyDictionary[QModel, T] = WeakKeyDictionary()

    @wraps(function)
    def found(model: QModel) -> T:
        if model not in kept:
            kept[model] = function(model)
        return kept[model]

    return found
