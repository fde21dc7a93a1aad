"""Constants of constants: folded by the source's own kernels, quantized ones with their codes and scales."""

from __future__ import annotations

import math

import numpy as np

from dwell.errors import UnsupportedLayerError
from dwell.hls.frontends.hush import hushed
from dwell.hls.frontends.onnx_file import MAX_ELEMENTS, Array, OnnxNode
from dwell.hls.frontends.qonnx.signals import Walk, Weights, integer, refuse
from dwell.hls.frontends.qonnx.spec import QUANTIZERS, quantized_constant

#: Operators that only move elements, so that codes and scales move alike.
_MOVING = ("Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Slice", "Gather")


def constant(walk: Walk, node: OnnxNode) -> None:
    """Compute a node that has no input of the network's."""
    missing = [name for name in node.inputs if name and name not in walk.constants]
    if missing:
        refuse(node, f"its input {missing[0]!r} is neither computed nor constant", "export the network again")
    if node.op in QUANTIZERS:
        walk.weights[node.outputs[0]] = quantized_constant(walk, node)
        return
    inputs = [walk.constants[name] if name else None for name in node.inputs]
    _check_size(node, [array for array in inputs if array is not None])
    for name, value in zip(node.outputs, _run(walk, node, inputs), strict=True):
        if value.size > MAX_ELEMENTS or value.dtype.kind not in "fiub":
            refuse(node, f"a constant of {value.size} elements of {value.dtype}", "export a smaller network")
        walk.constants[name] = value
    source = walk.weights.get(node.inputs[0]) if node.inputs else None
    if source is not None and node.op in _MOVING:
        rest = inputs[1:]
        codes = _run(walk, node, [source.codes, *rest])[0]
        scale = _run(walk, node, [np.ascontiguousarray(source.scale), *rest])[0]
        moved = Weights(codes, scale, source.kind, source.node)
        walk.weights[node.outputs[0]] = moved


def _run(walk: Walk, node: OnnxNode, inputs: list[Array | None]) -> list[Array]:
    try:
        with hushed():
            return walk.kernel(node)(inputs)
    except UnsupportedLayerError:
        raise
    except Exception as error:  # onnxruntime has errors of its own for operators that do not fit their inputs
        reason = str(error).splitlines()[0][:160]
        refuse(node, f"it cannot be computed: {reason}", "export the network again")


def _check_size(node: OnnxNode, inputs: list[Array]) -> None:
    """Refuse what would make a huge tensor of small ones."""
    rank = max((array.ndim for array in inputs), default=0)
    shapes = [(1,) * (rank - array.ndim) + array.shape for array in inputs]
    size = math.prod(max(lengths) for lengths in zip(*shapes, strict=True)) if shapes else 0
    if node.op == "ConstantOfShape":
        size = math.prod(int(n) for n in inputs[0].reshape(-1))
    if node.op in ("Gather", "MatMul", "Gemm"):
        size = math.prod(array.size for array in inputs[:2])
        size = min(size, MAX_ELEMENTS) if node.op == "Gather" and inputs[0].ndim == 1 else size
    if node.op in ("Conv", "Pad", "Upsample", "Resize", "Concat"):
        size = MAX_ELEMENTS + 1 if node.op != "Concat" else sum(array.size for array in inputs)
    if size > MAX_ELEMENTS:
        refuse(node, "its result is a large constant", "fold constants before export (qonnx-cleanup)")


def shape_of(walk: Walk, node: OnnxNode) -> None:
    """The shape of a tensor of the network, which is fixed."""
    lengths = walk.shape(walk.signal(node))
    start, end = integer(node, "start", 0), integer(node, "end", len(lengths))
    walk.constants[node.outputs[0]] = np.array(lengths[start:end], dtype=np.int64)
