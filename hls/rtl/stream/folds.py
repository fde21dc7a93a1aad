"""Layers with shared multipliers as blocks of a stream."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from dwell.hls.qmodel import Conv2D, Dense, Node, QModel
from dwell.hls.rtl.circuit.builder import Range
from dwell.hls.rtl.folded.check import check_layer
from dwell.hls.rtl.folded.folding import Folding, Matrix, best_folding, require_foldings
from dwell.hls.rtl.folded.layer import FoldedLayer
from dwell.hls.rtl.folded.window_kernel import window_layer, window_matrix
from dwell.hls.rtl.options import RtlOptions
from dwell.hls.rtl.stream.blocks import Folded


def is_folded(node: Node, options: RtlOptions) -> bool:
    """Whether a node's multipliers are shared."""
    return isinstance(node, Conv2D | Dense) and options.reuse_of(node.name) > 1


def foldings_of(nodes: Sequence[Node], options: RtlOptions) -> Mapping[str, Folding]:
    """The folding of each layer by its name.

    Raises `ConfigError` for reuse factors that do not exist, listing those that do, and for unknown layers.
    """
    if not options.folds:
        return {}
    return require_foldings([window_matrix(n) for n in nodes if isinstance(n, Conv2D | Dense)], options)


def folded_layer(
    nodes: Sequence[Node],
    model: QModel,
    beat: Sequence[Range],
    folding: Folding,
    options: RtlOptions,
    module: str,
) -> FoldedLayer:
    """The layer of `nodes`, whose vector comes in beats of `beat`: a whole window or a part of a flattened frame."""
    times = folding.inputs // len(beat)
    if times > 1:  # the same multipliers, shared so that parts of a beat come out even
        matrix = Matrix(nodes[0].name, folding.inputs, folding.outputs, len(beat))
        folding = best_folding(matrix, folding.reuse) or folding
    layer = window_layer(nodes, model.tensors, tuple(beat) * times, folding, options, module)
    return replace(layer, in_spans=tuple(beat), in_lanes=len(beat), slots=2 if times > 1 else 1)


def check_folded(block: Folded, model: QModel) -> int:
    """Hold a layer's folds against the golden model; return how many codes were compared."""
    layer = block.layer
    return check_layer(layer.unit, layer.lanes, block.nodes, model.tensors, layer.in_spans * block.beats)
