"""Folded layers against the golden model, from what their memories hold; faults in them are found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from folded_nets import dense_net

from dwell.errors import ConfigError, InternalError, UnsupportedLayerError
from dwell.hls.qmodel import FixedPoint, Overflow, Rounding
from dwell.hls.qmodel.build import Builder
from dwell.hls.rtl import RtlOptions
from dwell.hls.rtl.folded.check import check_layer
from dwell.hls.rtl.folded.memory import Memory, print_memory
from dwell.hls.rtl.folded.plan import LayerIsland, make_plan

pytestmark = pytest.mark.fast


@pytest.mark.parametrize("reload", [False, True])
@pytest.mark.parametrize("kind", ["plain", "per_channel", "table"])
@pytest.mark.parametrize("reuse", [2, 6, 12])
def test_folds_give_the_golden_codes(reload: bool, kind: str, reuse: int) -> None:
    model = dense_net((12, 6, 4), seed=reuse, per_channel=kind == "per_channel", table=kind == "table")
    plan = make_plan(model, RtlOptions(style="folded", reuse=reuse, reload=reload))
    for island in plan.islands:
        assert isinstance(island, LayerIsland)
        layer = island.layer
        spans = layer.in_spans * (layer.unit.folding.inputs // layer.in_lanes)
        assert check_layer(layer.unit, layer.lanes, island.nodes, model.tensors, spans) > 2000
        searched = kind == "table" or (kind == "per_channel" and not reload)
        assert (layer.lanes.steps is not None) == (searched and len(island.nodes) > 1)


def test_a_wrong_weight_is_found() -> None:
    model = dense_net((12, 6, 4))
    island = make_plan(model, RtlOptions(style="folded", reuse=4)).islands[0]
    assert isinstance(island, LayerIsland)
    layer = island.layer
    weights = layer.unit.weights.copy()
    weights[3, 2] += 1 if weights[3, 2] < 0 else -1
    wrong = replace(layer.unit, weights=weights)
    with pytest.raises(InternalError, match="dense0"):
        check_layer(wrong, layer.lanes, island.nodes, model.tensors, layer.in_spans * (12 // layer.in_lanes))


def test_reuse_is_required_with_a_proposal() -> None:
    with pytest.raises(ConfigError, match="needs reuse factors") as caught:
        make_plan(dense_net((40, 40, 4)), RtlOptions(style="folded"))
    assert "dense0=" in caught.value.hint and "dense1=" in caught.value.hint


def test_what_is_not_carried_is_named() -> None:
    build = Builder()
    at = build.input("x", (4, 4, 1), FixedPoint(False, 4, 4))
    at = build.conv2d("conv", at, np.ones((2, 2, 1, 1), dtype=np.int64), 0, np.zeros(1, dtype=np.int64), 0)
    with pytest.raises(UnsupportedLayerError, match="conv"):
        make_plan(build.finish("net", at), RtlOptions(style="folded", reuse=2))


def test_contents_are_constants_in_the_verilog() -> None:
    memory = Memory("layer", "weights", 40, (5, (1 << 39) + 7, 9), 2)
    text = print_memory(memory, "net_layer_weights", "// x\n", None, 0)
    assert "$readmem" not in text
    assert "memory[1] = 40'h8000000007;" in text
    text = print_memory(memory, "net_layer_weights", "// x\n", 64, 10)
    assert "memory_1[1] = 8'h80;" in text and "memory_1[5] = 8'h80;" in text  # both banks


def test_beats_hold_as_much_as_the_first_vector_allows() -> None:
    """A frame of single pixels that is quantized, then flattened, comes in beats of up to 64 bits."""
    build = Builder()
    at = build.input("x", (4, 5, 1), FixedPoint(False, 8, 8))
    at = build.cast("enter", at, [FixedPoint(False, 3, 3)], Rounding.TRN, Overflow.SAT)
    at = build.reshape("flat", at, (20,))
    at = build.dense("dense", at, np.ones((20, 4), dtype=np.int64), 0, np.zeros(4, dtype=np.int64), 0)
    plan = make_plan(build.finish("net", at), RtlOptions(style="folded", reuse=20))
    assert plan.elements == 5
