"""FINN's thresholds, put right where the network's own quantizer says otherwise.

FINN reads every quantizer as one that rounds to the nearest, ties upwards, and works its thresholds out in floats; a
quantizer that gives ties to the even code differs at every sum that lies half way, which with scales that are
powers of two is common. What counts is the golden model: each quantizer behind a matrix unit is asked for every sum
that can occur, and a threshold that gives another code is moved.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dwell.hls.finn.weights import Matrix
from dwell.hls.frontends.tables import steps_of
from dwell.hls.qmodel import (
    Affine,
    Cast,
    Clip,
    Codes,
    Conv2D,
    Dense,
    LeakyRelu,
    Node,
    QModel,
    Relu,
    Table,
)
from dwell.hls.qmodel.kernels import evaluate


def moved_thresholds(
    model: QModel, found: Sequence[Matrix], lowest: Mapping[str, int], steps: Mapping[str, Codes]
) -> dict[str, Codes]:
    """Thresholds (channels, steps) by FINN's layer, for those that have to be moved to give the codes of `model`.

    `lowest` is the lowest code, `steps` are FINN's thresholds (1 or channels, steps) of the quantizer behind a layer.
    """
    moved = {}
    for matrix in found:
        layer = next(node for node in model.nodes if node.name == matrix.node)
        assert isinstance(layer, Conv2D | Dense)
        way = _to_quantizer(model, layer)
        if not way or matrix.layer not in lowest:
            continue
        own = np.broadcast_to(steps[matrix.layer], (matrix.mh, np.shape(steps[matrix.layer])[1]))
        wanted = _wanted(model, matrix, layer, way, lowest[matrix.layer], own)
        if (wanted != own).any():
            moved[matrix.layer] = wanted
    return moved


def _to_quantizer(model: QModel, layer: Node) -> list[Node]:
    """The nodes from a layer's sums to its quantizer, each the only reader of the one before; none if it has none."""
    quantized = {name for _, name in model.quantizers}
    way: list[Node] = []
    tensor = layer.output
    while not way or way[-1].output not in quantized:
        readers = model.readers(tensor)
        if len(readers) != 1 or not isinstance(readers[0], Relu | LeakyRelu | Clip | Affine | Cast | Table):
            return []
        way.append(readers[0])
        tensor = readers[0].output
    return way


def _wanted(
    model: QModel, matrix: Matrix, layer: Conv2D | Dense, way: Sequence[Node], lowest: int, own: Codes
) -> Codes:
    """`own` thresholds (channels, steps) with those moved that give another code for a sum that can occur."""
    low, high = (np.broadcast_to(end, (matrix.mh,)) for end in model.value_range(layer.output))

    def code(sums: Codes) -> Codes:
        for node in way:
            sources = [model.tensors[name] for name in node.inputs]
            out = model.tensors[node.output]
            sums = evaluate(node, sources, out, model.intervals[node.inputs[0]], [sums])
        return sums

    asked = steps_of(code, low, high)
    sums = model.tensors[layer.output].type
    shift = sums.frac - model.tensors[layer.inputs[0]].type.frac - layer.weight_type.frac
    bias = layer.bias << (sums.frac - layer.bias_frac)
    rows = []
    for channel in range(matrix.mh):
        row = channel % len(asked.breaks)
        breaks = -((bias[channel] - asked.breaks[row]) >> shift)  # rounded up: the least own sum at or above
        ends = [(int(end[channel]) - int(bias[channel])) >> shift for end in (low, high)]
        levels = asked.levels[row]
        if channel in matrix.flipped:
            breaks, levels, ends = 1 - breaks[::-1], levels[::-1], [-ends[1], -ends[0]]
        rows.append(_moved(own[channel], breaks, levels, lowest, *ends))
    return np.array(rows)


def _moved(own: Codes, breaks: Codes, levels: Codes, lowest: int, low: int, high: int) -> Codes:
    """Thresholds of one channel: `own` where it does as the steps do on sums from `low` to `high`."""
    if (np.diff(levels) < 0).any():
        return own  # no thresholds do what this function does: comparing codes will tell
    wanted = own.copy()
    for step in range(len(own)):
        segment = int(np.searchsorted(levels, lowest + step + 1))  # the first at this code or above
        if segment == 0 or (segment < len(levels) and breaks[segment - 1] <= low):
            wanted[step] = min(int(own[step]), low)
        elif segment == len(levels) or breaks[segment - 1] > high:
            wanted[step] = max(int(own[step]), high + 1)
        else:
            wanted[step] = breaks[segment - 1]
    return wanted
