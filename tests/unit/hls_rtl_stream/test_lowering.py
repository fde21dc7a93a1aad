"""What a stream of fixed frames carries, what it refuses, and what it says of itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from stream_models import LAYERS, PIXEL, Net

from dwell.errors import ConfigError, InternalError, ResourceError, UnsupportedLayerError
from dwell.hls.qmodel import FixedPoint, QModel
from dwell.hls.qmodel.build import Builder
from dwell.hls.rtl import RtlOptions, write_design
from dwell.hls.rtl.design.styles import any_size
from dwell.hls.rtl.options import LANES
from dwell.hls.rtl.stream.blocks import Fork, Island, Join, Narrow
from dwell.hls.rtl.stream.layout import Geometry, Layout
from dwell.hls.rtl.stream.lower import lower_stream

pytestmark = pytest.mark.fast


def test_lines_have_to_be_whole_beats() -> None:
    with pytest.raises(ConfigError, match="16 pixels a clock do not divide lines of 8 pixels") as error:
        lower_stream(LAYERS["plain"](), RtlOptions(pixels_per_clock=16))
    assert error.value.hint == "choose one of 1, 2, 4, 8"


def test_padding_beyond_the_window() -> None:
    net = Net()
    with pytest.raises(UnsupportedLayerError, match="beyond the reach"):
        lower_stream(net.finish(net.conv("c", net.at, 1, (1, 1), (1, 0, 0, 0))), RtlOptions())


def test_too_many_products() -> None:
    build = Builder()
    at = build.input("x", (4, 32, 40), PIXEL)
    weight = np.ones((3, 3, 40, 40), dtype=int)
    model = build.finish("net", build.conv2d("big", at, weight, 0, np.zeros(40, dtype=int), 0))
    with pytest.raises(ResourceError, match="'big' has 460800 products at 32 pixels a clock") as error:
        lower_stream(model, RtlOptions(pixels_per_clock=32))
    assert "big=R" in error.value.hint


def test_too_large_a_tensor_in_one_beat() -> None:
    net = Net((64, 64, 2))
    flat = net.b.flatten("flat", net.at)
    weight = np.zeros((8192, 1), dtype=int)
    model = net.finish(net.b.dense("d", flat, weight, 0, [0], 0))
    with pytest.raises(
        ResourceError, match="'flat' needs a tensor of 32768 bits in one beat; 16384 is the limit"
    ):
        lower_stream(model, RtlOptions())


def test_nothing_to_compute() -> None:
    with pytest.raises(ConfigError, match="computes nothing"):
        lower_stream(Net().finish("x"), RtlOptions())


def test_four_axes() -> None:
    net = Net()
    model = net.finish(net.cast("q", net.b.reshape("r", net.at, (2, 3, 4, 4))))
    with pytest.raises(UnsupportedLayerError, match="tensor of 4 axes"):
        lower_stream(model, RtlOptions())


@pytest.mark.parametrize("name", sorted(LAYERS))
def test_every_link_is_written_and_read_once(name: str) -> None:
    plan = lower_stream(LAYERS[name](), RtlOptions())
    written = [link for block in plan.blocks for link in block.outputs]
    read = [link for block in plan.blocks for link in block.inputs]
    assert sorted(written) == sorted(plan.links) and len(set(written)) == len(written)
    assert sorted([*read, plan.result]) == sorted(written)


def test_element_wise_nodes_join_the_kernel_before_them() -> None:
    plan = lower_stream(LAYERS["plain"](), RtlOptions())
    islands = [b for b in plan.blocks if isinstance(b, Island)]
    assert [[type(n).__name__ for n in b.nodes] for b in islands] == [
        ["Conv2D", "Relu", "Cast"],
        ["Conv2D", "Cast"],
    ]
    assert not any(isinstance(b, Fork | Join) for b in plan.blocks)


def test_a_stride_that_fits_no_lanes_is_run_at_fewer() -> None:
    frame = Layout(8, 24, 8, ())
    assert Geometry((3, 3), (1, 1), (3, 3), (0, 0, 0, 0)).lanes(frame) == 1
    assert Geometry((3, 3), (1, 1), (2, 6), (0, 0, 0, 0)).lanes(frame) == 2
    assert Geometry((3, 3), (1, 1), (1, 2), (0, 0, 0, 0)).lanes(frame) == 8
    net = Net((6, 24, 1))
    plan = lower_stream(net.finish(net.conv("c", net.at, 1, stride=(3, 3))), RtlOptions(pixels_per_clock=8))
    assert next(b.ratio for b in plan.blocks if isinstance(b, Narrow)) == 8


@pytest.mark.parametrize(
    ("columns", "lanes", "out", "clocks"), [(18, 2, 2, 54), (64, 32, 62, 12), (16, 4, 7, 24), (34, 2, 2, 102)]
)
def test_rows_that_no_beat_divides_are_regrouped(
    columns: int, lanes: int, out: int, clocks: int, tmp_path: Path
) -> None:
    """Valid padding at several pixels a clock: the output keeps up with the input."""
    net = Net((6, columns, 1))
    model = net.finish(net.cast("q", net.conv("c", net.at, 1, padding=(0, 0, 0, 0))))
    design = write_design(model, RtlOptions(pixels_per_clock=lanes), tmp_path / "d")
    assert (design.output.elements, design.frame_cycles) == (out, clocks)


@pytest.mark.parametrize(
    ("name", "lanes", "kept"),
    [("plain", 1, False), ("valid", 1, True), ("valid", 2, False), ("separable", 1, False)],
)
def test_which_designs_take_frames_of_any_size(name: str, lanes: int, kept: bool) -> None:
    assert any_size(LAYERS[name](), RtlOptions(pixels_per_clock=lanes)) == kept


def test_design_json(tmp_path: Path) -> None:
    design = write_design(LAYERS["residual"](), RtlOptions(pixels_per_clock=4), tmp_path / "d")
    assert (design.max_width, design.input.elements, design.input.line_beats) == (0, 8, 2)
    assert design.output.elements == 4 * design.output.shape[-1]
    assert design.frame_cycles == 12 and design.latency_exact
    total = next(layer for layer in design.layers if layer["name"] == "total")
    assert total["fifo_depth"] > 1 and total["lanes"] == 4
    assert {layer["kernel"]["kind"] for layer in design.layers} == {"adders"}


def wide(lanes: int) -> QModel:
    """Same padding on a long line."""
    net = Net((4, 4 * lanes, 1), FixedPoint(False, 2, 2))
    return net.finish(net.cast("q", net.conv("c", net.at, 1)))


@pytest.mark.parametrize("lanes", LANES)
def test_same_padding_takes_a_beat_every_clock(lanes: int, tmp_path: Path) -> None:
    design = write_design(wide(lanes), RtlOptions(pixels_per_clock=lanes), tmp_path / "d")
    assert (design.frame_cycles, design.ii_cycles, design.latency_exact) == (16, 1, True)


def test_a_kernel_that_computes_something_else_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The self-check bites: a bias off by one in the circuit alone."""
    from dwell.hls.rtl.circuit import sums

    right = sums.summed
    monkeypatch.setattr(sums, "summed", lambda signal, constant, frac: right(signal, constant + 1, frac))
    with pytest.raises(InternalError, match="the circuit gives"):
        write_design(LAYERS["plain"](), RtlOptions(), tmp_path / "d")
