"""Streams of fixed frames: every kind of layer at every number of pixels a clock, code for code."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from rtl_frames import check_frames, check_timing, run_frames, run_tensor_beats, tensor_beats
from rtl_lint import lint
from stream_models import LAYERS, Net, residual

from dwell.hls.design import Design
from dwell.hls.qmodel import QModel
from dwell.hls.qmodel.random_models import GraphPlan, RandomFamily, random_conv_model, random_model
from dwell.hls.rtl import RtlOptions, write_design
from dwell.hls.rtl.options import LANES
from dwell.sim.core_rung import climb_core
from dwell.sim.dut import load_dut
from dwell.sim.workload import Frame

pytestmark = pytest.mark.rtl

#: Without a pause, so that the clocks can be held against design.json; with some; a slow sink; a slow source.
PAUSES = ((0, 0), (30, 40), (0, 70), (60, 0))


def line(model: QModel) -> int:
    """Pixels of a row of the input."""
    return (1, 1, *model.tensors[model.input].shape)[-2]


def frames_of(model: QModel, count: int, seed: int = 0) -> np.ndarray:
    """Noise, and both extremes."""
    kind, shape = model.tensors[model.input].type, model.tensors[model.input].shape
    frames = np.random.default_rng(seed).integers(kind.lo, kind.hi + 1, (count, *shape))
    frames[0], frames[1] = kind.lo, kind.hi
    return frames


def climb(
    model: QModel, folder: Path, lanes: int, pauses: tuple[tuple[int, int], ...] = PAUSES, **more: float
) -> Design:
    """The design of a model, every code of whose frames is held against the interpreter."""
    design = write_design(model, RtlOptions(pixels_per_clock=lanes, **more), folder / "design")  # type: ignore[arg-type]
    frames = frames_of(model, 8)
    for gap, stall in pauses:
        run = run_frames(design, folder, frames, gap_percent=gap, stall_percent=stall, seed=gap + stall + 1)
        check_frames(design, model, run, frames)
        if (gap, stall) == (0, 0):
            check_timing(design, run)
    return design


@pytest.mark.parametrize("layer", sorted(LAYERS))
def test_layer(layer: str, tmp_path: Path) -> None:
    """At the most pixels a clock that the line allows, up to four."""
    model = LAYERS[layer]()
    lanes = max(n for n in (1, 2, 4) if line(model) % n == 0)
    design = climb(model, tmp_path, lanes, PAUSES[:3])
    lint(design.sources, design.top)


@pytest.mark.slow
@pytest.mark.parametrize("layer", sorted(LAYERS))
def test_layer_at_every_number_of_pixels(layer: str, tmp_path: Path) -> None:
    """At least 1,000 results each, in Verilator; frames widened so that 32 pixels fit where the layer allows."""
    model = LAYERS[layer]()
    for lanes in (n for n in LANES if line(model) % n == 0):
        design = write_design(model, RtlOptions(pixels_per_clock=lanes), tmp_path / f"d{lanes}")
        results = int(np.prod(model.tensors[model.output].shape))
        frames = frames_of(model, max(8, -(-1000 // results)), lanes)
        found = climb_core(
            load_dut(design.path), [Frame(f, "noise") for f in frames], seed=lanes, stalls=True
        )
        assert found.mismatches == 0 and len(frames) * results >= 1000


@pytest.mark.parametrize(
    "lanes", [pytest.param(n, marks=pytest.mark.slow) if n in (2, 8, 16) else n for n in LANES]
)
def test_wide_frames(lanes: int, tmp_path: Path) -> None:
    """Strides, dilation and padding at 1 to 32 pixels a clock."""
    family = RandomFamily(
        kernels=(3, 3), channels=(2, 2), padding=True, strides=(1, 2), dilations=(1, 2), frame=(7, 64)
    )
    climb(random_conv_model(lanes, family), tmp_path, lanes, PAUSES[:2])


@pytest.mark.parametrize(("columns", "lanes"), [(16, 4), (32, 8), (64, 32)])
def test_rows_that_no_beat_divides(columns: int, lanes: int, tmp_path: Path) -> None:
    net = Net((6, columns, 1))
    model = net.finish(net.cast("q", net.conv("c", net.at, 2, (2, 2), (0, 0, 0, 0))))
    climb(model, tmp_path, lanes, PAUSES[:3])


@pytest.mark.parametrize("seed", range(6))
def test_random_networks(seed: int, tmp_path: Path) -> None:
    model = random_model(seed + 100, GraphPlan(style="stream", layers=(2, 5), frame=6))
    lanes = [n for n in LANES if line(model) % n == 0]
    climb(model, tmp_path, lanes[seed % len(lanes)], (PAUSES[0], PAUSES[1 + seed % 3]))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(40))
def test_more_random_networks(seed: int, tmp_path: Path) -> None:
    """Of all nodes, those that rearrange a tensor among them."""
    style = "unrolled" if seed % 2 else "stream"
    model = random_model(seed + 200, GraphPlan(style=style, layers=(2, 7), frame=7))
    lanes = [n for n in LANES if line(model) % n == 0]
    climb(
        model,
        tmp_path,
        lanes[seed % len(lanes)],
        (PAUSES[0], PAUSES[1 + seed % 3]),
        latency_cutoff=1.0 + seed % 4,
    )


@pytest.mark.parametrize("lanes", [1, 4])
def test_frames_that_break_off(lanes: int, tmp_path: Path) -> None:
    """Stray beats are dropped; a frame that breaks off is completed with zeros and its results come out."""
    model = LAYERS["plain"]()
    design = write_design(model, RtlOptions(pixels_per_clock=lanes), tmp_path / "design")
    frames = frames_of(model, 4, 5)
    whole = [tensor_beats(design, frame) for frame in frames]
    stray = [(False, last, data) for _, last, data in whole[1][3:7]]
    cut = len(whole[2]) // 2 + 1
    beats = stray + whole[0] + stray + whole[1][:cut] + whole[2][:1] + whole[3] + stray + whole[0]
    broken, single = frames[1].copy(), np.zeros_like(frames[2])
    broken.reshape(-1, 2)[cut * lanes :] = 0
    single.reshape(-1, 2)[:lanes] = frames[2].reshape(-1, 2)[:lanes]
    wanted = np.stack([frames[0], broken, single, frames[3], frames[0]])
    for gap, stall in PAUSES:
        run = run_tensor_beats(design, tmp_path, beats, gap_percent=gap, stall_percent=stall)
        check_frames(design, model, run, wanted)
        assert len(run.in_clocks) == len(beats)


def test_a_fifo_below_its_bound_stops_everything(tmp_path: Path) -> None:
    """The depth matters: three places below the bound (two beats wait beside a FIFO) nothing comes out any more."""
    model = residual()
    design = write_design(model, RtlOptions(), tmp_path / "design")
    top = design.path / "rtl" / "net.v"
    text = top.read_text()
    depths = [int(d) for d in re.findall(r"dwell_fifo #\(.*?\.DEPTH\((\d+)\)", text)]
    assert max(depths) > 16
    frames = frames_of(model, 3)
    top.write_text(re.sub(r"(dwell_fifo #\(.*?\.DEPTH\()\d+", r"\g<1>2", text))
    shallow = Design.load(design.path, allow_edited=True)
    run = run_frames(shallow, tmp_path, frames)
    assert not run.data and any("not every beat was taken" in fault for fault in run.faults)


def test_one_place_less_than_a_fifo_needs_costs_time(tmp_path: Path) -> None:
    """The depth that frames back to back need is not a place too much."""
    model = residual()
    design = write_design(model, RtlOptions(), tmp_path / "design")
    top = design.path / "rtl" / "net.v"
    text = top.read_text()
    frames = frames_of(model, 8)
    clocks = run_frames(design, tmp_path, frames).in_clocks
    depths = [int(d) for d in re.findall(r"dwell_fifo #\(.*?\.DEPTH\((\d+)\)", text)]
    deepest = max(depths)
    assert depths.count(deepest) == 1
    top.write_text(re.sub(rf"(dwell_fifo #\(.*?\.DEPTH\(){deepest}\b", rf"\g<1>{deepest - 1}", text))
    run = run_frames(Design.load(design.path, allow_edited=True), tmp_path, frames)
    check_frames(design, model, run, frames)
    assert run.in_clocks[-1] > clocks[-1]
