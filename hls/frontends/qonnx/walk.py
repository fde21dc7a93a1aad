"""The first door: QONNX, as Brevitas and QONNX' own tools write it, to a `QModel`.

A whitelist of operators and attributes. Codes stay integers throughout: a tensor is codes, a scale and what is
still float, which becomes a cast or a table at the next quantizer.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from dwell.errors import ConfigError, DwellError
from dwell.hls.frontends.onnx_file import OnnxGraph, OnnxNode, read_onnx
from dwell.hls.frontends.qonnx import elementwise, fold, linear, pooling, shape, tail
from dwell.hls.frontends.qonnx.operators import check_operator
from dwell.hls.frontends.qonnx.quantize import quantize, split
from dwell.hls.frontends.qonnx.signals import Signal, Walk, integer, refuse
from dwell.hls.frontends.qonnx.spec import CAST_ROUNDINGS, MAX_BITS, QUANTIZERS, read_spec
from dwell.hls.frontends.reading import INPUT, Reading
from dwell.hls.qmodel import FixedPoint

_LOG = logging.getLogger(__name__)

PROPOSED_PIXELS = "ufixed<8,0>"
PROPOSED_VALUES = "fixed<16,6>"


def read_qonnx(
    path: Path, *, input_type: FixedPoint | None = None, names: Mapping[str, str] | None = None
) -> Reading:
    """Read a QONNX file.

    `input_type` is needed where the file does not quantize its input; `names` maps ONNX tensors that
    leave a quantizer to what the source framework calls that quantizer. Raises `ConfigError` for a file that
    cannot be read, `UnsupportedLayerError` for a layer or an attribute that cannot be carried exactly.
    """
    return _Reader(read_onnx(path), input_type, names or {}).read()


class _Reader:
    def __init__(self, graph: OnnxGraph, input_type: FixedPoint | None, names: Mapping[str, str]) -> None:
        self._graph = graph
        self._input_type = input_type
        self._names = dict(names)
        self._walk = Walk(graph)
        self._orders: dict[str, tuple[int, ...]] = {}

    def read(self) -> Reading:
        walk, graph = self._walk, self._graph
        for node in graph.nodes:
            check_operator(node)
        for node in graph.nodes:
            if all(not name or name in walk.constants for name in node.inputs):
                _guarded(fold.constant, walk, node)
        self._enter()
        for node in graph.nodes:
            if node.outputs[0] not in walk.signals and node.outputs[0] not in walk.constants:
                self._visit(node)
        if graph.output not in walk.signals:
            raise ConfigError(
                f"{graph.path.name}: its output does not depend on its input", place=str(graph.path)
            )
        unknown = sorted(set(self._names) - set(self._orders))
        if unknown:
            hint = "frontend.json names tensors that leave a Quant: it belongs to another network"
            raise ConfigError(f"{graph.path.name} has no quantizer {unknown[0]!r}", hint=hint)
        signal, ending, offset = tail.finish(walk)
        channels = walk.channels(signal)
        walk.build.scaled(signal.at, tail.numbers(signal.scale, channels), tail.numbers(offset, channels))
        self._orders[ending.logits] = self._orders[ending.place] = signal.order
        walk.build.prune([signal.at, *(at for _, at in walk.quantizers)])
        model = walk.build.finish(graph.path.stem, signal.at, walk.quantizers, walk.notes)
        slack = {at: one for at, one in walk.slack.items() if at in model.tensors}
        return Reading(model, slack, self._orders, ending)

    def _visit(self, node: OnnxNode) -> None:
        walk = self._walk
        if not walk.moving(node):
            _guarded(fold.constant, walk, node)
        elif node.op in QUANTIZERS:
            _guarded(_quantized, walk, node)
            self._quantizer(node, walk.signals[node.outputs[0]])
        elif node.op not in _VISITORS:
            refuse(node, "it works on a tensor of the network", "use it on constants and shapes only")
        else:
            _guarded(_VISITORS[node.op], walk, node)

    def _quantizer(self, node: OnnxNode, made: Signal) -> None:
        name = node.outputs[0]
        self._walk.quantizers.append((self._names.get(name, name), made.at))
        self._orders[name] = made.order

    # ---- the input

    def _enter(self) -> None:
        graph, walk = self._graph, self._walk
        given = graph.input_shape
        if not 2 <= len(given) <= 4 or given[0] != 1:
            raise ConfigError(
                f"{graph.path.name}: the input is {given}; (1, channels, rows, columns) or (1, values) is needed",
                hint="export with one frame: torch.rand(1, 1, 32, 32)",
                place=str(graph.path),
            )
        order = self._input_order()
        if given[order[-1]] > shape.MAX_VALUES:
            raise ConfigError(
                f"{graph.path.name}: a vector of {given[order[-1]]} values; {shape.MAX_VALUES} are the most",
                place=str(graph.path),
            )
        frame = tuple(given[axis] for axis in order)
        self._orders[INPUT] = order
        readers = graph.readers(graph.input)
        if len(readers) == 1 and readers[0].op == "Quant" and self._enter_quantized(readers[0], frame, order):
            return
        if self._input_type is None:
            pixels = len(given) == 4
            proposed = PROPOSED_PIXELS if pixels else PROPOSED_VALUES
            what = "its pixels are 8-bit counts scaled to 0 … 1" if pixels else "its values are standardised"
            raise ConfigError(
                f"{graph.path.name} does not quantize its input in a way that fixes its type: it has to be given",
                hint=f"add --input-type '{proposed}' if {what}",
                place="convert.input_type",
            )
        if self._input_type.width > MAX_BITS:
            raise ConfigError(
                f"an input type of {self._input_type.width} bits; {MAX_BITS} are the most",
                hint=f"use a narrower type, such as {PROPOSED_VALUES}",
                place="convert.input_type",
            )
        walk.signals[graph.input] = Signal(walk.build.input("input", frame, self._input_type), order)

    def _input_order(self) -> tuple[int, ...]:
        """Axes of the file's input in the order of the integer graph's: channels last, where there are channels."""
        rank = len(self._graph.input_shape)
        after = _first_structural(self._graph)
        if rank == 4:
            turned = (
                after is not None and after.op == "Transpose" and after.attributes.get("perm") == (0, 3, 1, 2)
            )
            return (1, 2, 3) if turned else (2, 3, 1)
        if rank == 3 and after is not None and after.op in _ON_CHANNELS:
            return (2, 1)
        return tuple(range(1, rank))

    def _enter_quantized(self, node: OnnxNode, frame: tuple[int, ...], order: tuple[int, ...]) -> bool:
        """Take the type from the file's first quantizer, where a cast of floats can be it."""
        walk = self._walk
        spec = read_spec(walk, node)
        if spec.scale.size != 1 or spec.rounding not in CAST_ROUNDINGS or not (spec.zero == 0 or spec.shifts):
            return False
        mantissa, exponent = split(spec.scale.reshape(1))
        kind = replace(spec.type(), frac=-int(exponent[0]))
        overflow, clip = spec.overflow()
        if self._input_type is not None and self._input_type != kind:
            raise ConfigError(
                f"input type {self._input_type} is asked for, but the network quantizes its input to {kind}",
                hint="leave the input type out",
                place="convert.input_type",
            )
        at = walk.build.input("input", frame, kind, CAST_ROUNDINGS[spec.rounding], overflow)
        walk.build.scaled(at, float(mantissa[0]))
        if clip:
            at = walk.build.clip(walk.fresh("clip"), at, spec.lo, spec.hi)
        made = Signal(at, order, mantissa)
        walk.signals[self._graph.input] = made
        walk.set(node, made)
        self._quantizer(node, made)
        return True


def _guarded(visit: Callable[[Walk, OnnxNode], None], walk: Walk, node: OnnxNode) -> None:
    """Visit a node. What a malformed one makes NumPy or onnxruntime say becomes an error that names it."""
    try:
        visit(walk, node)
    except DwellError as error:
        error.place = error.place or node.label
        raise
    except Exception as error:  # onnxruntime's errors have no common base
        _LOG.debug("%s", node.label, exc_info=True)
        what = str(error).splitlines()[0][:160] if str(error) else type(error).__name__
        refuse(node, f"it is malformed, or of a form that is not known: {what}", "export the network again")


def _quantized(walk: Walk, node: OnnxNode) -> None:
    walk.set(node, quantize(walk, node))


_ON_CHANNELS = ("Conv", "MaxPool", "AveragePool", "GlobalMaxPool", "GlobalAveragePool", "BatchNormalization")


def _first_structural(graph: OnnxGraph) -> OnnxNode | None:
    """The first operator behind the input that is not one on single elements."""
    name = graph.input
    for _ in range(len(graph.nodes)):
        readers = [node for node in graph.readers(name) if node.op != "Shape"]
        if not readers:
            return None
        if readers[0].op not in (*QUANTIZERS, *elementwise.UNARY[:-2], *elementwise.BINARY, "Identity"):
            return readers[0]
        name = readers[0].outputs[0]
    return None


def _identity(walk: Walk, node: OnnxNode) -> None:
    if len(node.outputs) > 1 and walk.graph.readers(node.outputs[1]):
        refuse(node, "its second output is read", "export the network in evaluation mode")
    walk.set(node, walk.signal(node))


def _softmax(walk: Walk, node: OnnxNode) -> None:
    signal = walk.signal(node)
    axis = integer(node, "axis", -1 if walk.graph.opsets.get("", 13) >= 13 else 1)
    rank = len(signal.order) + 1
    if node.outputs[0] != walk.graph.output or walk.graph.readers(node.outputs[0]):
        refuse(
            node,
            "it does not end the network",
            "softmax is left out at the end, or made by --output probabilities; elsewhere it has no exact form",
        )
    if axis % rank != signal.order[-1]:
        refuse(node, f"it runs over axis {axis}", "let it run over the classes")
    walk.dropped = node.inputs[0]
    walk.notes.append(tail.dropped(node.op))
    walk.signals[node.outputs[0]] = signal


def _argmax(walk: Walk, node: OnnxNode) -> None:
    """ArgMax and TopK: the indices of the largest codes."""
    signal = elementwise.settled(walk, node, node.inputs[0])
    rank = len(signal.order) + 1
    axis = integer(node, "axis", 0 if node.op == "ArgMax" else -1) % rank
    if axis == 0:
        refuse(node, "it runs over frames", "let it run over the classes")
    if not signal.uniform:
        refuse(node, "its channels have a scale each", "quantize them with one scale")
    if integer(node, "select_last_index", 0) or not integer(node, "largest", 1):
        refuse(node, "it takes the last or the least", "take the first of the largest")
    signal = walk.reorder(signal, (*(a for a in signal.order if a != axis), axis))
    if node.op == "ArgMax":
        made = replace(signal, at=walk.build.topk(walk.fresh("top"), signal.at), scale=np.ones(1))
        walk.set(node, replace(made, noise=0.0))
        if not integer(node, "keepdims", 1):
            shape.reshape_to(walk, replace(node, inputs=node.outputs), _without(walk.shape(made), axis))
        return
    if walk.graph.readers(node.outputs[0]):
        refuse(node, "its values are read", "use its indices only")
    k = int(walk.constant(node, 1, "how many it takes").reshape(-1)[0])
    if not 1 <= k <= walk.channels(signal):
        refuse(node, f"the {k} largest of {walk.channels(signal)}", "export the network again")
    made = replace(signal, at=walk.build.topk(walk.fresh("top"), signal.at, k), scale=np.ones(1), noise=0.0)
    walk.signals[node.outputs[0]] = signal
    walk.set(node, made, 1)


def _without(lengths: tuple[int, ...], axis: int) -> tuple[int, ...]:
    rest = (*lengths[:axis], *lengths[axis + 1 :])
    return rest if len(rest) > 1 else (1, 1)


_VISITORS: Mapping[str, Callable[[Walk, OnnxNode], None]] = {
    **dict.fromkeys(elementwise.UNARY, elementwise.unary),
    **dict.fromkeys(elementwise.BINARY, elementwise.binary),
    "Shape": fold.shape_of,
    "MatMul": linear.matmul,
    "Gemm": linear.gemm,
    "Conv": linear.conv,
    **dict.fromkeys(("MaxPool", "AveragePool", "GlobalMaxPool", "GlobalAveragePool"), pooling.pool),
    "ReduceMean": pooling.reduce_mean,
    "Reshape": shape.reshape,
    "Flatten": shape.flatten,
    "Squeeze": shape.squeeze,
    "Unsqueeze": shape.squeeze,
    "Transpose": shape.transpose,
    "Concat": shape.concat,
    "Slice": shape.cut,
    "Split": shape.split_axis,
    "Pad": shape.pad,
    "Upsample": shape.upsample,
    "Resize": shape.upsample,
    "Identity": _identity,
    "Dropout": _identity,
    "Softmax": _softmax,
    "LogSoftmax": _softmax,
    "ArgMax": _argmax,
    "TopK": _argmax,
}
