"""A pass that leaves out channels: those whose code never changes, and those that nobody looks at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from dwell.hls.qmodel import nodes as n
from dwell.hls.qmodel.graph import ELEMENTWISE_NODES, Node, QModel
from dwell.hls.qmodel.ranges import intervals_of
from dwell.hls.qmodel.rewrite import Report, Result, rebuilt
from dwell.hls.qmodel.shapes import accumulator_frac
from dwell.hls.qmodel.types import Codes, Tensor

#: A channel of a tensor.
_Place = tuple[str, int]

#: Nodes whose output channel is computed from the same channel of each input.
_SAME_CHANNEL = (*ELEMENTWISE_NODES, n.Pool2D, n.Add, n.Multiply, n.Upsample)


def prune_channels(model: QModel) -> Result:
    """Leave out channels that are constant or unused, from the layer that makes them to those that read them.

    What a constant channel adds to the sums of its readers goes into their biases. Channels tied to each
    other (by activations, pooling, joins, flattening) go together or not at all; those of the input, of the
    output, and of nodes that need all of their channels stay, and each tensor keeps at least one.
    """
    ties = _Ties(model)
    gone = ties.removable()
    constants = sum(len(places) for places in _constant(model, gone).values())
    dropped = {name: np.array(sorted(c for at, c in gone if at == name)) for name in {at for at, _ in gone}}
    report = Report(
        "prune_channels",
        {
            "channels": sum(
                len(dropped.get(node.output, ()))
                for node in model.nodes
                if isinstance(node, n.Conv2D | n.Dense)
            ),
            "constants folded into biases": constants,
        },
    )
    if not gone:
        return model, report
    keep = {
        name: np.setdiff1d(np.arange(tensor.shape[-1]), dropped.get(name, np.array([], dtype=np.int64)))
        for name, tensor in model.tensors.items()
    }
    nodes = [_cut(model, node, keep) for node in model.nodes]
    tensors = {name: _cut_tensor(tensor, keep[name]) for name, tensor in model.tensors.items()}
    return rebuilt(model, nodes, tensors, altered=dropped), report


def _constant(model: QModel, places: set[_Place]) -> dict[str, list[int]]:
    """Channels among `places` that a linear node reads and that stand for a number other than zero."""
    found: dict[str, list[int]] = {}
    for name in {name for name, _ in places}:
        interval = intervals_of(model)[name]
        if any(isinstance(reader, n.Conv2D | n.Dense) for reader in model.readers(name)):
            channels = [c for at, c in places if at == name and interval.lo[c] == interval.hi[c] != 0]
            if channels:
                found[name] = channels
    return found


class _Ties:
    """Which channels stand or fall together: union-find over the channels of all tensors."""

    def __init__(self, model: QModel) -> None:
        self._model = model
        self._parent: dict[_Place, _Place] = {
            (name, c): (name, c) for name, tensor in model.tensors.items() for c in range(tensor.shape[-1])
        }
        self._needed: set[_Place] = set()
        self._need(model.input)
        self._need(model.output)
        for node in model.nodes:
            self._tie(node)

    def removable(self) -> set[_Place]:
        """All channels that can go."""
        needed = {self._root(place) for place in self._needed}
        groups: dict[_Place, list[_Place]] = {}
        for place in self._parent:
            root = self._root(place)
            if root not in needed:
                groups.setdefault(root, []).append(place)
        self._keep_fractions(groups)
        left = {name: tensor.shape[-1] for name, tensor in self._model.tensors.items()}
        gone: set[_Place] = set()
        for places in groups.values():
            counts: dict[str, int] = {}
            for name, _ in places:
                counts[name] = counts.get(name, 0) + 1
            if all(left[name] > count for name, count in counts.items()):
                gone.update(places)
                for name, count in counts.items():
                    left[name] -= count
        return gone

    def _keep_fractions(self, groups: dict[_Place, list[_Place]]) -> None:
        """Keep a channel of the finest type of each cast per channel, which fixes the fraction of all."""
        for node in self._model.nodes:
            if isinstance(node, n.Cast) and len(node.types) > 1:
                finest = [c for c, t in enumerate(node.types) if t.frac == node.frac and t.width > 0]
                roots = [self._root((node.output, c)) for c in finest]
                if all(root in groups for root in roots):
                    for root in roots[:1] or {self._root((node.output, c)) for c in range(len(node.types))}:
                        groups.pop(root, None)

    def _root(self, place: _Place) -> _Place:
        while self._parent[place] != place:
            self._parent[place] = self._parent[self._parent[place]]
            place = self._parent[place]
        return place

    def _join(self, first: _Place, second: _Place) -> None:
        self._parent[self._root(second)] = self._root(first)

    def _need(self, name: str) -> None:
        self._needed.update((name, c) for c in range(self._model.tensors[name].shape[-1]))

    def _tie(self, node: Node) -> None:
        if isinstance(node, n.Conv2D) and node.groups > 1:
            self._need(node.inputs[0])
            self._need(node.output)
        elif isinstance(node, n.Conv2D | n.Dense):
            source = node.inputs[0]
            self._needed.update((source, c) for c in _read_channels(self._model, node))
        elif isinstance(node, _SAME_CHANNEL):
            for name in node.inputs:
                for c in range(self._model.tensors[name].shape[-1]):
                    self._join((name, c), (node.output, c))
        elif isinstance(node, n.Concat | n.Flatten) or (isinstance(node, n.Slice) and not self._cuts(node)):
            for first, second in self._moved(node):
                self._join(first, second)
        elif not isinstance(node, n.Input):
            for name in (*node.inputs, node.output):
                self._need(name)

    def _cuts(self, node: n.Slice) -> bool:
        return node.axis == len(self._model.tensors[node.inputs[0]].shape) - 1

    def _moved(self, node: n.Concat | n.Flatten | n.Slice) -> Iterator[tuple[_Place, _Place]]:
        """Pairs of channels, before and after, that are the same."""
        if isinstance(node, n.Concat):
            start = 0
            for name in node.inputs:
                width = self._model.tensors[name].shape[-1]
                yield from (((name, c), (node.output, start + c)) for c in range(width))
                start += width
            return
        source = node.inputs[0]
        width = self._model.tensors[source].shape[-1]
        for c in range(self._model.tensors[node.output].shape[-1]):
            yield (source, c % width), (node.output, c)


def _read_channels(model: QModel, node: n.Conv2D | n.Dense) -> Iterator[int]:
    """Channels of its input that `node` needs: weighted, and not a constant that its bias can take up."""
    interval = intervals_of(model)[node.inputs[0]]
    padded = isinstance(node, n.Conv2D) and any(node.padding)
    weighted = (node.weight != 0).any(
        axis=tuple(a for a in range(node.weight.ndim) if a != node.weight.ndim - 2)
    )
    for c, (lo, hi) in enumerate(zip(interval.lo, interval.hi, strict=True)):
        if weighted[c] and (lo != hi or (padded and lo != 0)):
            yield c


def _cut_tensor(tensor: Tensor, keep: Codes) -> Tensor:
    scale, offset = (
        tuple(value[c] for c in keep) if isinstance(value, tuple) else value
        for value in (tensor.scale, tensor.offset)
    )
    return replace(tensor, shape=(*tensor.shape[:-1], len(keep)), scale=scale, offset=offset)


def _cut(model: QModel, node: Node, keep: dict[str, Codes]) -> Node:
    """`node` for the channels that are kept."""
    channels = keep[node.output]
    if isinstance(node, n.Conv2D | n.Dense):
        return _cut_linear(model, node, keep[node.inputs[0]], channels)
    if isinstance(node, n.Cast):
        return replace(node, types=tuple(node.types[c] for c in channels)) if len(node.types) > 1 else node
    if isinstance(node, n.Affine):
        return replace(node, weight=_own(node.weight, channels), bias=_own(node.bias, channels))
    if isinstance(node, n.LeakyRelu):
        return replace(node, slope=_own(node.slope, channels))
    if isinstance(node, n.Table):
        return replace(node, breaks=_own(node.breaks, channels), levels=_own(node.levels, channels))
    return node


def _own(rows: Codes, channels: Codes) -> Codes:
    return rows[channels] if len(rows) > 1 else rows


def _cut_linear(model: QModel, node: n.Conv2D | n.Dense, inputs: Codes, outputs: Codes) -> Node:
    """Rows and columns left out; what the left out rows add goes into the bias, at the sum's own fraction."""
    groups = node.groups if isinstance(node, n.Conv2D) else 1
    if groups > 1:  # all of its channels are kept
        return node
    source = model.tensors[node.inputs[0]]
    lost = np.setdiff1d(np.arange(source.shape[-1]), inputs)
    bias, bias_frac = node.bias, node.bias_frac
    fixed = np.array([intervals_of(model)[source.name].lo[c] for c in lost], dtype=np.int64)
    flat = node.weight.reshape(-1, *node.weight.shape[-2:]).sum(axis=0)[lost]
    added = np.asarray(fixed @ flat, dtype=np.int64)
    if added.any():
        frac = accumulator_frac(node, source.type.frac)
        bias = (bias << (frac - bias_frac)) + (added << (frac - source.type.frac - node.weight_type.frac))
        bias_frac = frac
    weight = np.take(np.take(node.weight, inputs, axis=-2), outputs, axis=-1)
    return replace(node, weight=weight, bias=bias[outputs], bias_frac=bias_frac)
