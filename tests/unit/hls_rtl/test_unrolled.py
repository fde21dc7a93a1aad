"""Style "unrolled": every node as part of any graph, its circuit against the golden model at every tensor."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from rtl_graphs import GRAPHS, KIND, graph

from dwell.errors import ConfigError, InternalError, ResourceError, UnsupportedLayerError
from dwell.hls.design import Design
from dwell.hls.qmodel import QModel
from dwell.hls.qmodel.build import Builder
from dwell.hls.qmodel.random_models import models, random_model
from dwell.hls.rtl import RtlOptions, write_design
from dwell.hls.rtl.circuit.builder import ShiftAdd
from dwell.hls.rtl.unrolled.build import simplified
from dwell.hls.rtl.unrolled.check import VECTORS, check_network
from dwell.hls.rtl.unrolled.lower import lower_network

OPTIONS = RtlOptions(style="unrolled")


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", GRAPHS)
def test_any_graph_is_exact(name: str, seed: int) -> None:
    model = graph(name, seed)
    assert check_network(model, model, lower_network(model), seed) >= VECTORS


@pytest.mark.parametrize("seed", [20, 23, 24, 33, 37, 416, 599, *range(100, 110)])
def test_random_networks_simplified_and_lowered(seed: int) -> None:
    """Seeds that have found something, and some more: constants with spare bits, SAT_SYM inputs, even exponentials."""
    model = random_model(seed)
    small = simplified(model)
    assert check_network(model, small, lower_network(small), seed) >= VECTORS


@pytest.mark.slow
@given(models())
@settings(max_examples=150, deadline=None)
def test_any_random_network(model: QModel) -> None:
    small = simplified(model)
    assert check_network(model, small, lower_network(small)) >= VECTORS


def test_a_graph_of_wires() -> None:
    build = Builder()
    at = build.transpose("turned", build.input("x", (2, 3, 1), KIND), (1, 0, 2))
    model = build.finish("wires", at)
    lowered = lower_network(model)
    assert check_network(model, model, lowered) >= VECTORS and lowered.circuit.adders == 0


def test_a_result_that_is_constant(tmp_path: Path) -> None:
    build = Builder()
    at = build.clip("one", build.input("x", (2,), KIND), 40, 50)
    design = write_design(build.finish("one", at), OPTIONS, tmp_path / "d")
    assert design.latency_cycles == 3


def test_the_check_notices_one_wrong_shift() -> None:
    model = graph("residual")
    lowered = lower_network(model)
    circuit = lowered.circuit
    at = next(i for i, n in enumerate(circuit.nodes) if isinstance(n, ShiftAdd) and n.b_up > 0)
    node = circuit.nodes[at]
    assert isinstance(node, ShiftAdd)
    nodes = (*circuit.nodes[:at], replace(node, b_up=node.b_up - 1), *circuit.nodes[at + 1 :])
    with pytest.raises(InternalError, match=r"tensor '|interval|loses bits"):
        check_network(model, model, replace(lowered, circuit=replace(circuit, nodes=nodes)))


def test_what_a_design_says_of_its_layers(tmp_path: Path) -> None:
    model = graph("residual")
    design = write_design(model, OPTIONS, tmp_path / "design")
    assert isinstance(design, Design)
    assert [layer["name"] for layer in design.layers] == ["left"]
    assert design.layers[0]["nodes"][0] == "Conv2D left"
    assert design.layers[0]["kernel"]["adders"] > 0
    assert design.latency_exact and (design.ii_cycles, design.frame_cycles) == (1, 1)
    assert (design.input.elements, design.input.line_beats) == (24, 1)
    assert design.output.elements == 4 * 3 * 6


def test_models_that_explode() -> None:
    build = Builder()
    at = build.input("x", (100, 100, 1), KIND)
    at = build.conv2d("big", at, np.ones((5, 5, 1, 1), dtype=int), 0, np.zeros(1, dtype=int), 0)
    with pytest.raises(ResourceError, match="products"):
        write_design(build.finish("net", at), OPTIONS, Path("never"))
    build = Builder()
    at = build.upsample("huge", build.input("x", (8, 8, 1), KIND), (100, 100))
    with pytest.raises(ResourceError, match="640000 signals"):
        write_design(build.finish("net", at), OPTIONS, Path("never"))


def test_what_is_refused_by_name() -> None:
    build = Builder()
    at = build.input("x", (2,), KIND)
    with pytest.raises(ConfigError, match="computes nothing"):
        write_design(build.finish("net", at), OPTIONS, Path("never"))
    at = build.affine("wide", at, [1 << 24], 0, [0], 0)
    with pytest.raises(UnsupportedLayerError, match="25 bits") as caught:
        write_design(build.finish("net", at), OPTIONS, Path("never"))
    assert caught.value.layer == "wide"
