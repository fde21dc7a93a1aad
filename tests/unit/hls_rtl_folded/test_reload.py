"""Writes that bring new weights into a design, and what may not differ."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from folded_nets import dense_net
from reload_cases import other_weights, rebuilt, sequence_model

from dwell.errors import ConfigError
from dwell.hls.design import Design
from dwell.hls.qmodel import Dense, FixedPoint, QModel
from dwell.hls.reload import plan_writes
from dwell.hls.rtl import RtlOptions, write_design

pytestmark = pytest.mark.fast


@pytest.fixture(scope="module")
def design(tmp_path_factory: pytest.TempPathFactory) -> Design:
    options = RtlOptions(style="folded", reuse={"first": 12, "second": 8}, reload=True)
    return write_design(sequence_model(), options, tmp_path_factory.mktemp("d") / "d")


def test_every_word_of_a_bank_is_written_once_where_the_map_says(design: Design) -> None:
    body = design.weights
    assert body is not None
    writes = plan_writes(design, other_weights(sequence_model(), 1), 1)
    addresses = [address for address, _ in writes]
    assert len(set(addresses)) == len(addresses) == body["bus_words"]
    base = body["memory_offset"] + body["bank_offset"]
    assert min(addresses) >= base and max(addresses) < 1 << body["address_bits"]
    places = {
        base + m["offset"] + 4 * (a << m["chunk_bits"] | c)
        for m in body["memories"]
        for a in range(m["depth"])
        for c in range(m["chunks"])
    }
    assert set(addresses) == places
    other = plan_writes(design, other_weights(sequence_model(), 1), 0)
    assert [a + body["bank_offset"] for a, _ in other] == addresses


def test_the_own_weights_are_the_contents_of_the_verilog(design: Design) -> None:
    text = next((design.path / "rtl").glob("*_first_weights.v")).read_text()
    body = design.weights
    assert body is not None
    entry = next(m for m in body["memories"] if m["name"] == "first.weights")
    start = body["memory_offset"] + entry["offset"]
    for address, word in plan_writes(design, sequence_model(), 0):
        if start <= address < start + 4 * entry["depth"] * entry["chunks"]:
            place = (address - start) // 4
            assert f"memory_0[{place}] = {entry['width']}'h{word:0{-(-entry['width'] // 4)}x};" in text


def dense_changed(**fields: object) -> QModel:
    return rebuilt(
        sequence_model(),
        lambda node: replace(node, **fields) if isinstance(node, Dense) and node.name == "first" else node,  # type: ignore[arg-type]
    )


def test_another_structure_is_refused_by_node(design: Design) -> None:
    with pytest.raises(ConfigError, match="'first': its weight_type"):
        plan_writes(design, dense_changed(weight_type=FixedPoint(True, 5, 2)), 1)
    with pytest.raises(ConfigError, match="nodes"):
        plan_writes(design, dense_net((8, 4)), 1)
    with pytest.raises(ConfigError, match="bank 2"):
        plan_writes(design, sequence_model(), 2)


def test_a_layer_that_is_not_folded_keeps_its_weights(tmp_path: Path) -> None:
    model = dense_net((8, 6, 4))
    mixed = write_design(model, RtlOptions(style="folded", reuse={"dense0": 12}, reload=True), tmp_path / "d")
    with pytest.raises(ConfigError, match="'dense1': its weight are in the circuit"):
        plan_writes(mixed, other_weights(model, 1), 1)


def test_fixed_weights_cannot_be_written(tmp_path: Path) -> None:
    model = dense_net((8, 6, 4))
    fixed = write_design(model, RtlOptions(style="folded", reuse=12), tmp_path / "d")
    with pytest.raises(ConfigError, match="fixed"):
        plan_writes(fixed, model, 1)


def test_results_beyond_the_output_are_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    model = dense_net((8, 4))
    design = write_design(model, RtlOptions(style="folded", reuse=8, reload=True), tmp_path / "d")
    large = rebuilt(model, lambda node: replace(node, bias=rng.integers(5000, 6000, 4)))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="do not fit the design's output"):
        plan_writes(design, large, 1)
