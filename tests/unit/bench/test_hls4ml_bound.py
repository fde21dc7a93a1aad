"""Bounds for hls4ml's design from the loops that it writes."""

from __future__ import annotations

import pytest
from hls4ml_bound import Layer, bound, layers_of

from dwell.hls.qmodel import Conv2D
from dwell.hls.qmodel.random_models import DETECTOR, random_conv_model

DENSE = Layer("dense", 16, 8, 1, 1, 4)
CONVOLUTION = Layer("conv", 9, 4, 100, 64, 4)


@pytest.fixture(autouse=True)
def factors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hls4ml_bound.legal", lambda inputs, outputs: [1, 2, 4, 8, 16, 32, 64, 128])


@pytest.mark.fast
def test_a_dense_layer_takes_its_reuse_factor_in_clocks() -> None:
    found = bound([DENSE], 20)
    assert (found.reuse["dense"], found.frame_cycles, found.lone_cycles, found.dsp) == (16, 16, 16, 8)
    assert found.bram36 == 0.5  # 16 words of 8 weights of 4 bits


@pytest.mark.fast
def test_a_convolution_takes_its_loop_for_each_result_and_a_clock_for_each_other_pixel() -> None:
    assert CONVOLUTION.clocks(8) == 64 * 8 + 36
    found = bound([CONVOLUTION, DENSE], 600)
    assert found.reuse == {"conv": 8, "dense": 128}
    assert (found.frame_cycles, found.lone_cycles) == (548, 548 + 128)


@pytest.mark.fast
def test_where_nothing_keeps_up_the_fastest_is_taken() -> None:
    found = bound([CONVOLUTION], 10)
    assert (found.reuse["conv"], found.frame_cycles, found.bram36) == (1, 100, 0.0)


@pytest.mark.fast
def test_wide_memories_take_several_blocks() -> None:
    layer = Layer("d", 784, 64, 1, 1, 2)
    assert layer.block_rams(784) == 4.0  # 784 words of 128 bits
    assert layer.block_rams(392) == 4.0  # 392 words of 256 bits, 72 a block


def test_layers_of_a_network() -> None:
    model = random_conv_model(0, DETECTOR)
    layers = layers_of(model)
    nodes = [node for node in model.order() if isinstance(node, Conv2D)]
    assert [layer.name for layer in layers] == [node.name for node in nodes]
    assert layers[0].inputs == 25 and layers[0].outputs == 6
    assert all(layer.results < layer.pixels for layer in layers)
