"""FINN's thresholds, put right where the network's own quantizer says otherwise.

FINN reads every quantizer as one that rounds to the nearest, ties upwards, and works its thresholds out in floats; a
quantizer that gives ties to the even code differs at every sum that lies half way, which with scales that are
powers of two is common. What counts is the golden model: each quantizer behind a matrix unit is asked for every sum
that can occur, and a threshold that gives another code is moved.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dwell.hls.finn.quantizers import codes_of_sums, way_to_quantizer
from dwell.hls.finn.weights import Matrix
from dwell.hls.frontends.tables import steps_of
from dwell.hls.qmodel import Codes, Conv2D, Dense, Node, QModel, Table, value_range


def moved_thresholds(
    model: QModel,
    found: Sequence[Matrix],
    lowest: Mapping[str, int],
    steps: Mapping[str, Codes],
    *,
    any_weights: bool = False,
) -> dict[str, Codes]:
    """Thresholds (channels, steps) by FINN's layer, for those that have to be moved to give the codes of `model`.

    `lowest` is the lowest code, `steps` are FINN's thresholds (1 or channels, steps) of the quantizer behind a layer.
    They hold for the sums that `model` can give, or, with `any_weights`, other weights in its place.
    """
    moved = {}
    for matrix in found:
        layer = next(node for node in model.nodes if node.name == matrix.node)
        assert isinstance(layer, Conv2D | Dense)
        way = way_to_quantizer(model, layer)
        if not way or matrix.layer not in lowest:
            continue
        own = np.broadcast_to(steps[matrix.layer], (matrix.mh, np.shape(steps[matrix.layer])[1]))
        # A table knows the sums of its own network only.
        beyond = any_weights and not any(isinstance(node, Table) for node in way)
        ends = _sums(model, matrix, layer, beyond)
        wanted = _wanted(model, matrix, layer, way, lowest[matrix.layer], own, ends)
        if (wanted != own).any():
            moved[matrix.layer] = wanted
    return moved


def _sums(model: QModel, matrix: Matrix, layer: Conv2D | Dense, any_weights: bool) -> tuple[Codes, Codes]:
    """Lowest and highest code (channels,) of a layer's sums."""
    if not any_weights:
        low, high = value_range(model, layer.output)
        return np.broadcast_to(low, (matrix.mh,)), np.broadcast_to(high, (matrix.mh,))
    largest = max(int(np.abs(end).max()) for end in value_range(model, layer.inputs[0]))
    most = matrix.mw * largest * max(-matrix.low, (1 << (matrix.width - 1)) - 1)
    shift, bias = _places(model, layer)
    return bias - (most << shift), bias + (most << shift)


def _places(model: QModel, layer: Conv2D | Dense) -> tuple[int, Codes]:
    """How far a layer's own sums are shifted in its output's codes, and its bias in them."""
    frac = model.tensors[layer.output].type.frac
    shift = frac - model.tensors[layer.inputs[0]].type.frac - layer.weight_type.frac
    return shift, layer.bias << (frac - layer.bias_frac)


def _wanted(
    model: QModel,
    matrix: Matrix,
    layer: Conv2D | Dense,
    way: Sequence[Node],
    lowest: int,
    own: Codes,
    between: tuple[Codes, Codes],
) -> Codes:
    """`own` thresholds (channels, steps) with those moved that give another code for a sum `between` two ends."""
    low, high = between
    asked = steps_of(codes_of_sums(model, way), low, high)
    shift, bias = _places(model, layer)
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
