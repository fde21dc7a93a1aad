"""Choosing a folding for a board."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from folded_nets import dense_net

from dwell.errors import ResourceError
from dwell.hls.rtl.folded.choose import cost, layers_of, reuse_for_board
from dwell.hls.rtl.folded.folding import best_folding, legal_reuse

pytestmark = pytest.mark.fast

BOARD = SimpleNamespace(lut=53_200, dsp=220, bram36=140)


def test_a_smaller_board_takes_more_clocks() -> None:
    model = dense_net((64, 32, 10))
    clocks = []
    for part in (1, 4, 16):
        board = SimpleNamespace(lut=53_200 // part, dsp=220 // part, bram36=140 // part)
        reuse = reuse_for_board(model, board)
        clocks.append(max(reuse.values()))
        for layer in layers_of(model):
            assert reuse[layer.matrix.name] in legal_reuse(layer.matrix.inputs, layer.matrix.outputs)
    assert clocks == sorted(clocks) and clocks[0] < clocks[-1]


def test_slices_limit_where_products_are_made_in_them() -> None:
    model = dense_net((64, 32, 10))
    reuse = reuse_for_board(model, BOARD, multiplier="dsp")
    total = 0
    for layer in layers_of(model):
        fold = best_folding(layer.matrix, reuse[layer.matrix.name])
        assert fold is not None
        total += cost(layer, fold, "dsp").dsp
    assert 0 < total <= 0.6 * BOARD.dsp


def test_a_board_that_is_too_small_is_told_by_how_much() -> None:
    with pytest.raises(ResourceError, match="LUT of 300"):
        reuse_for_board(dense_net((64, 32, 10)), SimpleNamespace(lut=300, dsp=9, bram36=9))
