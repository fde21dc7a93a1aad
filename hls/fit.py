"""Whether a network can fit a board at all: a rough estimate, made before hours are spent on it.

Only synthesis counts LUTs. This multiplies what is known of the graph by figures seen on synthesized designs, and
refuses only what is far beyond the board; it is never shown as a measurement.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from dwell.errors import ResourceError
from dwell.hls.qmodel import Conv2D, Dense, Node, QModel, Recurrent
from dwell.hls.qmodel.recurrence import named_body
from dwell.hls.rtl.options import RtlOptions
from dwell.hls.synthesis import BoardLike

#: LUTs for each bit of a sum that a weight other than zero is added to, sums shared between neurons accounted for:
#: 33k LUT of the jet tagger (64-32-32-5, 6 bits) by Yosys, rounded down.
_LUT_PER_SUM_BIT = 0.5
#: Weights of one or two bits share more of their sums.
_SHORT_WEIGHTS = 0.4
#: LUTs of a multiplier for each product of bits, where DSPs are not used.
_LUT_PER_PRODUCT_BIT = 0.8
#: How far beyond the board an estimate has to be before it refuses.
MARGIN = 2.0
_BRAM_BITS = 36 << 10


@dataclass(frozen=True)
class Estimate:
    """Of one layer, or of a design: LUTs, DSPs and 36-kbit memories."""

    lut: float = 0.0
    dsp: float = 0.0
    bram36: float = 0.0

    def __add__(self, other: Estimate) -> Estimate:
        return Estimate(self.lut + other.lut, self.dsp + other.dsp, self.bram36 + other.bram36)

    def to_json(self) -> dict[str, Any]:
        """Whole numbers, and that they are estimated."""
        whole = {key: math.ceil(getattr(self, key)) for key in ("lut", "dsp", "bram36")}
        return {**whole, "evidence": "estimated"}


def estimate_layer(model: QModel, node: Node, options: RtlOptions) -> Estimate:
    """What a layer that multiplies costs; a recurrent one as much as its body; nothing for all others."""
    if isinstance(node, Recurrent):
        steps = model.tensors[node.inputs[0]].shape[0] if options.style == "unrolled" else 1
        body = named_body(node)
        inner = sum((estimate_layer(body, each, options) for each in body.order()), Estimate())
        return Estimate(inner.lut * steps, inner.dsp * steps, inner.bram36 * steps)
    if not isinstance(node, Conv2D | Dense):
        return Estimate()
    nonzero = int(np.count_nonzero(node.weight))
    copies = 1
    if isinstance(node, Conv2D):
        rows, columns, _ = model.tensors[node.output].shape
        copies = options.pixels_per_clock if options.style == "stream" else rows * columns
    reuse = options.reuse_of(node.name)
    in_bits = model.tensors[node.inputs[0]].type.width
    if reuse == 1 and options.style != "folded":
        short = _SHORT_WEIGHTS if node.weight_type.width <= 2 else 1.0
        sums = model.tensors[node.output].type.width
        return Estimate(lut=_LUT_PER_SUM_BIT * short * sums * nonzero * copies)
    multipliers = math.ceil(node.weight.size / reuse) * copies
    memory = node.weight.size * node.weight_type.width / _BRAM_BITS
    if options.multiplier == "dsp":
        return Estimate(dsp=multipliers, bram36=memory)
    return Estimate(lut=_LUT_PER_PRODUCT_BIT * multipliers * in_bits * node.weight_type.width, bram36=memory)


def estimate(model: QModel, options: RtlOptions) -> Estimate:
    """The sum over all layers."""
    return sum((estimate_layer(model, node, options) for node in model.order()), Estimate())


def check_fit(model: QModel, options: RtlOptions, board: BoardLike) -> Estimate:
    """Raise `ResourceError` where a network is far beyond a board: which resource, by how much, and what would do."""
    whole = estimate(model, options)
    for name in ("lut", "dsp", "bram36"):
        asked, have = getattr(whole, name), int(getattr(board.resources, name))
        if asked <= MARGIN * have:
            continue
        parts = {n.name: getattr(estimate_layer(model, n, options), name) for n in model.order()}
        worst = max(parts, key=lambda layer: float(parts[layer]))
        raise ResourceError(
            f"{board.name} has {have} {_NAMES[name]}; style '{options.style}' would need about {_round(asked)} "
            f"({asked / have:.1f} times as many), {_round(parts[worst])} of them in {worst!r} (an estimate, "
            "not a synthesis)",
            hint=_advice(options, asked / have),
            place=worst,
        )
    return whole


_NAMES = {"lut": "LUT", "dsp": "DSP", "bram36": "memories of 36 kbit"}


def _round(value: float) -> str:
    digits = max(0, len(str(int(value))) - 2)
    return f"{round(value, -digits):,.0f}"


def _advice(options: RtlOptions, times: float) -> str:
    factor = 1 << max(1, math.ceil(math.log2(times)))
    if options.reuse != 1 or options.style == "folded":
        return f"use each multiplier more often (about {factor} times as often as now), or a larger board"
    return f"use multipliers several times over (--reuse {max(8, factor)} or more), fewer bits, or a larger board"
