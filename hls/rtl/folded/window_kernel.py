"""Folded kernels of convolutions: a window in, all channels of a pixel out, a window every R clocks.

    matrix = window_matrix(conv)                       # its size, for folding.require_foldings
    layer = window_layer([conv, relu, cast], model.tensors, taps, folding, options, "net_conv1")
    checked = check_window(layer, [conv, relu, cast], model.tensors)
    files = print_layer(layer, "net", header, loads)   # layer.py; `loads` is None where nothing reloads

gives a module ``net_conv1`` between two elastic links (`in_*`, `out_*`: valid, ready, first, last, bank, data).
`in_data` packs the window's taps row by row, all channels of each, at their own widths (`taps`); `out_data` the
channels of the result at theirs (`layer.out_spans`). A window is taken when the last one's folds are done, if there
is a place for its result; `rigid` leaves the FIFO and both `ready` out of it: then windows must be at least
`layer.unit.folding.reuse` clocks apart, and a result comes `layer.latency` clocks after its window, without fail.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from dwell.errors import InternalError
from dwell.hls.qmodel import Conv2D, Dense, Node, Tensor
from dwell.hls.rtl.circuit.builder import Range
from dwell.hls.rtl.folded.check import check_layer
from dwell.hls.rtl.folded.folding import Folding, Matrix
from dwell.hls.rtl.folded.lanes import plan_lanes
from dwell.hls.rtl.folded.layer import FoldedLayer, fifo_log2
from dwell.hls.rtl.folded.matrix import flat_matrix, plan_matrix
from dwell.hls.rtl.options import RtlOptions


def window_matrix(node: Conv2D | Dense) -> Matrix:
    """The size of a layer's matrix; groups count as zeros between them."""
    inputs, outputs = flat_matrix(node).shape
    return Matrix(node.name, int(inputs), int(outputs))


def window_layer(
    nodes: Sequence[Node],
    tensors: Mapping[str, Tensor],
    taps: Sequence[Range],
    folding: Folding,
    options: RtlOptions,
    module: str,
    *,
    rigid: bool = False,
) -> FoldedLayer:
    """A convolution (or a dense layer on whole vectors) and the element-wise nodes after it as one folded layer.

    Where a tap can lie in padding, its interval in `taps` includes 0.
    """
    head = nodes[0]
    if not isinstance(head, Conv2D | Dense):
        raise InternalError(f"{type(head).__name__} '{head.name}' is no layer with multipliers")
    unit = plan_matrix(head, folding, taps, options.multiplier, any_weights=options.reload)
    unit, lanes = plan_lanes(
        unit, nodes[1:], tensors, cutoff=options.latency_cutoff, any_weights=options.reload
    )
    layer = FoldedLayer(
        head.name, module, unit, lanes, tuple(taps), len(taps), slots=1, whole=True, rigid=rigid
    )
    return replace(layer, fifo_log2=0 if rigid else fifo_log2(1, layer.pipeline, folding.reuse))


def check_window(layer: FoldedLayer, nodes: Sequence[Node], tensors: Mapping[str, Tensor]) -> int:
    """Hold the layer's folds against the golden model; return how many codes were compared."""
    return check_layer(layer.unit, layer.lanes, nodes, tensors, layer.in_spans)
