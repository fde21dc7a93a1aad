"""Sums: of products with constants, of signals, of windows."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dwell.hls.qmodel import Affine, Conv2D, Dense
from dwell.hls.qmodel.ranges import of_channel
from dwell.hls.rtl.circuit.adders import multiply
from dwell.hls.rtl.circuit.builder import CircuitBuilder, Signal
from dwell.hls.rtl.circuit.values import Value, summed


def total(builder: CircuitBuilder, signals: Sequence[Signal]) -> Signal:
    """The sum of `signals` (at least one): always the two narrowest next, so that carry chains stay short."""
    waiting = [(s.range.bits, number, s) for number, s in enumerate(signals)]
    heapq.heapify(waiting)
    number = len(waiting)
    while len(waiting) > 1:
        first, second = heapq.heappop(waiting), heapq.heappop(waiting)
        both = builder.add(first[2], second[2])
        heapq.heappush(waiting, (both.range.bits, number, both))
        number += 1
    return waiting[0][2]


def times(builder: CircuitBuilder, signal: Signal, factor: int, frac: int = 0) -> Signal:
    """``signal * factor * 2**-frac``."""
    product = multiply(builder, [signal], np.array([[factor]], dtype=np.int64))[0]
    return builder.rescaled(product, -frac)


def affine(builder: CircuitBuilder, signal: Signal, node: Affine, channel: int) -> Value:
    """One element of an `Affine`."""
    factor, bias = (int(of_channel(codes, channel)) for codes in (node.weight, node.bias))
    return summed(times(builder, signal, factor, node.weight_type.frac), bias, node.bias_frac)


def linear(builder: CircuitBuilder, row: Sequence[Signal | None], node: Conv2D | Dense) -> list[Value]:
    """The outputs of a `Dense` or of one window of a `Conv2D`; None stands for a zero of the padding.

    `row` are the inputs in the order of the weight's leading axes; for a convolution all channels of each
    tap, with groups too.
    """
    weight = node.weight
    groups = node.groups if isinstance(node, Conv2D) else 1
    cin, cout = weight.shape[-2:]
    taps = grid(row, (-1, groups, cin))
    each = cout // groups
    products: list[Signal] = []
    for group in range(groups):
        part = weight[..., group * each : (group + 1) * each].reshape(-1, each)
        products += _products(builder, list(taps[:, group].ravel()), part)
    return [
        summed(builder.rescaled(product, -node.weight_type.frac), int(bias), node.bias_frac)
        for product, bias in zip(products, node.bias, strict=True)
    ]


def grid(row: Sequence[Signal | None], shape: tuple[int, ...]) -> npt.NDArray[np.object_]:
    """`row` as an array of `shape`."""
    cells = np.empty(len(row), dtype=np.object_)
    cells[:] = row
    return cells.reshape(shape)


def _products(
    builder: CircuitBuilder, row: Sequence[Signal | None], matrix: npt.NDArray[np.int64]
) -> list[Signal]:
    live = [i for i, s in enumerate(row) if s is not None]
    return multiply(builder, [s for s in row if s is not None], matrix[live])
