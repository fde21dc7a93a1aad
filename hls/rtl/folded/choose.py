"""The fastest folding that a board has room for, by an estimate made from matrices and widths alone.

    reuse = reuse_for_board(model, board.resources)          # {layer: reuse factor}
    write_design(model, RtlOptions(style="folded", reuse=reuse), out)

The estimate counts what grows with the folding: products, adder trees, accumulators, memories. It is there to
choose, not to be shown as a measurement; synthesis says what a design takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from dwell.errors import ResourceError
from dwell.hls.qmodel import QModel
from dwell.hls.qmodel.recurrence import multiplying
from dwell.hls.rtl.folded.folding import Folding, Matrix, best_folding, legal_reuse, reuse_for_clocks
from dwell.hls.rtl.folded.matrix import flat_matrix, in_logic
from dwell.hls.rtl.options import Multiplier

#: Part of a board that the layers may take; the rest is for what lies between them and for routing.
SHARE = 0.6

#: LUTs of a product in logic for each pair of bits; of a layer's counters, buffers and flow control.
_LUT_PER_PAIR, _LUT_PER_LAYER = 0.9, 250

#: Words up to which a memory is built of look-up tables, and the bits of a block RAM.
_SHALLOW, _BLOCK_WORDS, _BLOCK_WIDTH = 64, 512, 72


class Resources(Protocol):
    """What a board has."""

    @property
    def lut(self) -> int: ...
    @property
    def dsp(self) -> int: ...
    @property
    def bram36(self) -> int: ...


@dataclass(frozen=True)
class Layer:
    """A matrix and the bits of its inputs, weights and sums."""

    matrix: Matrix
    inputs: int
    weights: int
    sums: int


@dataclass(frozen=True)
class Cost:
    """About what a folding takes."""

    lut: float
    dsp: int
    bram36: float

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.lut + other.lut, self.dsp + other.dsp, self.bram36 + other.bram36)


def layers_of(model: QModel) -> tuple[Layer, ...]:
    """All layers with multipliers."""
    found = []
    for graph, node in multiplying(model):
        inputs, outputs = (int(v) for v in flat_matrix(node).shape)
        source, out = graph.tensors[node.inputs[0]].type, graph.tensors[node.output].type
        matrix = Matrix(node.name, inputs, outputs)
        found.append(Layer(matrix, source.width, node.weight_type.width, out.width))
    return tuple(found)


def cost(layer: Layer, folding: Folding, multiplier: Multiplier = "auto") -> Cost:
    """About what one layer takes in that folding."""
    pair = layer.inputs * layer.weights
    logic = in_logic(multiplier, layer.inputs, layer.weights)
    tree = layer.inputs + layer.weights + 2
    lut = folding.multipliers * (tree + (_LUT_PER_PAIR * pair if logic else 0)) + _LUT_PER_LAYER
    lut += folding.pe * 4 * layer.sums + folding.inputs * layer.inputs / 4
    width, deep = folding.multipliers * layer.weights, folding.reuse
    blocks = -(-width // _BLOCK_WIDTH) * -(-deep // _BLOCK_WORDS)
    if deep <= _SHALLOW:
        return Cost(lut + width * deep / 32, 0 if logic else folding.multipliers, 0)
    return Cost(lut, 0 if logic else folding.multipliers, blocks)


def reuse_for_board(
    model: QModel, board: Resources, *, multiplier: Multiplier = "auto", share: float = SHARE
) -> dict[str, int]:
    """The reuse factors of the fewest clocks for which the layers take at most `share` of the board.

    Raises `ResourceError` where one multiplier for each layer is too many, or its memories are too large.
    """
    layers = layers_of(model)
    steps = sorted({r for x in layers for r in legal_reuse(x.matrix.inputs, x.matrix.outputs)})
    for clocks in steps:
        reuse = reuse_for_clocks([x.matrix for x in layers], clocks)
        whole = _whole(layers, reuse, multiplier)
        if not _over(whole, board, share):
            return reuse
    raise ResourceError(
        "folded to one multiplier for each layer the network still needs more than "
        f"{share:.0%} of the board, by an estimate: {', '.join(_over(whole, board, share))}",
        hint="use fewer or narrower weights, or a larger board",
    )


def _whole(layers: Sequence[Layer], reuse: dict[str, int], multiplier: Multiplier) -> Cost:
    total = Cost(0, 0, 0)
    for layer in layers:
        folding = best_folding(layer.matrix, reuse[layer.matrix.name])
        assert folding is not None
        total += cost(layer, folding, multiplier)
    return total


def _over(whole: Cost, board: Resources, share: float) -> list[str]:
    pairs = (
        ("LUT", whole.lut, board.lut),
        ("DSP", whole.dsp, board.dsp),
        ("BRAM36", whole.bram36, board.bram36),
    )
    return [f"{used:,.0f} {name} of {have:,}" for name, used, have in pairs if used > share * have]
