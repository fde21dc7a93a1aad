"""Recurrences in hardware: one body for all steps, code for code, in the clocks foretold, whatever frame was before."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from recurrent_nets import frames_of, lstm, rnn
from rtl_frames import check_frames, check_timing, run_frames, run_tensor_beats, tensor_beats
from rtl_lint import lint

from dwell.errors import ConfigError, UnsupportedLayerError
from dwell.hls.design import Design
from dwell.hls.qmodel import QModel, Recurrent
from dwell.hls.qmodel.simplify import simplify
from dwell.hls.rtl import RtlOptions, write_design
from dwell.sim.bench.plan import bench_frames
from dwell.sim.bench_rung import climb_bench
from dwell.sim.core_rung import climb_core
from dwell.sim.dut import load_dut
from dwell.sim.vectors import default_frames

pytestmark = pytest.mark.rtl

PAUSES = ((0, 0), (30, 40), (0, 70), (60, 0))
FOLDED = RtlOptions(style="folded", reuse={"cell": 4, "dense": 2})
CASES: dict[str, tuple[Callable[[], QModel], RtlOptions]] = {
    "lstm_folded": (lambda: lstm(name="steps"), FOLDED),
    "lstm_sequence_folded": (lambda: lstm(sequence=True, name="steps"), FOLDED),
    "lstm_stream": (lambda: lstm(name="steps"), RtlOptions()),
    "lstm_simplified": (lambda: simplify(lstm(name="steps"))[0], FOLDED),
    "lstm_unrolled": (lambda: lstm(steps=2, features=2, units=2, name="steps"), RtlOptions(style="unrolled")),
    "rnn_one_matrix_folded": (
        lambda: rnn(sequence=True, name="steps"), RtlOptions(style="folded", reuse={"cell/past": 8})
    ),
    "rnn_one_step": (lambda: rnn(steps=1, name="steps"), RtlOptions()),
}  # fmt: skip


#: The rest is slow.
QUICK = ("lstm_folded", "rnn_one_matrix_folded", "rnn_one_step")


@pytest.mark.parametrize(
    "case", [case if case in QUICK else pytest.param(case, marks=pytest.mark.slow) for case in CASES]
)
def test_exact_in_the_clocks_foretold(case: str, tmp_path: Path) -> None:
    make, options = CASES[case]
    model = make()
    design = write_design(model, options, tmp_path / "design")
    frames = frames_of(model, 10)
    for gap, stall in PAUSES:
        run = run_frames(design, tmp_path, list(frames), gap_percent=gap, stall_percent=stall, seed=gap + 1)
        check_frames(design, model, run, frames)
        if (gap, stall) == (0, 0):
            check_timing(design, run)
    lint(design.sources, design.top)


@pytest.mark.parametrize("sequence", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_thousand_frames_climb_rung_4(sequence: bool, tmp_path: Path) -> None:
    """In Verilator, at full speed and with gaps and stalls."""
    model = lstm(sequence=sequence, name="bulk")
    dut = load_dut(write_design(model, FOLDED, tmp_path / "design").path)
    result = climb_core(dut, default_frames(dut, 5_000, 1)[0], seed=1, stalls=True)
    assert result.mismatches == 0 and result.windows >= 1_000
    assert (result.latency_cycles, result.frame_cycles) == (dut.latency_cycles, dut.frame_cycles)


@pytest.mark.slow
def test_it_climbs_rung_5(tmp_path: Path) -> None:
    """In cocotb: gaps, stalls, resets, frames cut short."""
    dut = load_dut(write_design(lstm(name="bench"), FOLDED, tmp_path / "design").path)
    frames = bench_frames(dut, 1, 1)
    result = climb_bench(dut, frames, seed=1, stalls=True, simulators=["verilator"], out=tmp_path / "out")
    assert (result.mismatches, result.latency_cycles) == (0, dut.latency_cycles)


@pytest.mark.parametrize("sequence", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_frame_that_breaks_off_leaves_nothing_behind(sequence: bool, tmp_path: Path) -> None:
    """It is completed with zeros; the one after it begins with the first state."""
    model = rnn(sequence=sequence, name="steps")
    design = write_design(model, RtlOptions(style="folded", reuse={"cell": 2}), tmp_path / "design")
    frames = frames_of(model, 5, 3)
    whole = [tensor_beats(design, frame) for frame in frames]
    stray = [(False, last, data) for _, last, data in whole[1][1:3]]
    beats = stray + whole[0] + stray + whole[1][:2] + whole[2][:1] + whole[3] + whole[4]
    broken, single = frames[1].copy(), frames[2].copy()
    broken[2:], single[1:] = 0, 0
    wanted = np.stack([frames[0], broken, single, frames[3], frames[4]])
    for gap, stall in PAUSES:
        run = run_tensor_beats(design, tmp_path, beats, gap_percent=gap, stall_percent=stall)
        check_frames(design, model, run, wanted)


# ---- planted faults


def _edited(design: Design, file: str, pattern: str, new: str) -> Path:
    path = design.path / "rtl" / file
    text, count = re.subn(pattern, new, path.read_text(), count=1)
    assert count == 1
    path.write_text(text)
    return design.path


def _is_exact(path: Path, model: QModel) -> bool:
    """Whether the codes of some frames are the golden model's; the design may have been edited."""
    design, frames = Design.load(path, allow_edited=True), frames_of(model, 12)
    run = run_frames(design, path.parent, list(frames))
    try:
        check_frames(design, model, run, frames)
    except AssertionError:
        assert len(run.data) == len(frames)
        return False
    return True


def test_a_state_that_is_not_reset_between_frames_is_found(tmp_path: Path) -> None:
    model = rnn(name="fault")
    design = write_design(model, RtlOptions(), tmp_path / "design")
    assert _is_exact(design.path, model)
    path = _edited(design, "dwell_recurrent.v", r"in_first \? INITIAL : state", "state")
    assert not _is_exact(path, model)


def test_a_state_that_starts_elsewhere_is_found(tmp_path: Path) -> None:
    """One bit of the initial state."""
    model = rnn(steps=1, name="fault")
    design = write_design(model, RtlOptions(), tmp_path / "design")
    text = (design.path / "rtl" / "fault.v").read_text()
    word = re.search(r"\.INITIAL\(\d+'h([0-9a-f]+)\)", text)
    assert word is not None
    other = f"{int(word[1], 16) ^ (1 << 9):x}"
    path = _edited(design, "fault.v", r"(\.INITIAL\(\d+'h)[0-9a-f]+", rf"\g<1>{other}")
    assert not _is_exact(path, model)


def test_one_gate_with_another_table_is_found(tmp_path: Path) -> None:
    model = lstm(name="fault")
    design = write_design(model, FOLDED, tmp_path / "design")
    node = next(n for n in model.nodes if isinstance(n, Recurrent))
    forget = next(n for n in node.body.nodes if n.name == "f")
    levels = np.array(forget.levels)  # type: ignore[union-attr]
    levels[0] = np.minimum(levels[0] + 2, levels[0].max())
    body = replace(
        node.body,
        nodes=tuple(replace(n, levels=levels) if n is forget else n for n in node.body.nodes),  # type: ignore[call-arg]
    )
    other = replace(
        model, nodes=tuple(replace(n, body=body) if isinstance(n, Recurrent) else n for n in model.nodes)
    )
    changed = write_design(other, FOLDED, tmp_path / "other")
    for source in (changed.path / "rtl").glob("*.v"):
        (design.path / "rtl" / source.name).write_text(source.read_text())
    assert not _is_exact(design.path, model)


# ---- what is refused, and what names mean


def test_weights_of_a_body_are_not_reloaded(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="inside a body cannot be reloaded"):
        write_design(lstm(), replace(FOLDED, reload=True), tmp_path / "design")


def test_factors_that_do_not_exist_name_the_layer_inside(tmp_path: Path) -> None:
    options = RtlOptions(style="folded", reuse={"cell/gates": 5, "dense": 2})
    with pytest.raises(ConfigError, match=r"cell/gates: 5 is not possible; .*4 \(28\)"):
        write_design(lstm(), options, tmp_path / "design")


def test_without_factors_some_are_proposed_for_the_layers_inside(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="needs reuse factors") as caught:
        write_design(lstm(), RtlOptions(style="folded"), tmp_path / "design")
    assert "cell/gates=" in caught.value.hint and "dense=" in caught.value.hint


def test_too_many_steps_for_a_body_each(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedLayerError, match="65 steps") as caught:
        write_design(rnn(steps=65), RtlOptions(style="unrolled"), tmp_path / "design")
    assert "folded" in caught.value.hint


def test_the_design_says_what_a_step_costs(tmp_path: Path) -> None:
    design = write_design(lstm(steps=6, name="steps"), FOLDED, tmp_path / "design")
    entry = next(layer for layer in design.layers if layer["kind"] == "Recurrent")
    assert entry["kernel"]["steps"] == 6
    assert design.frame_cycles == entry["clocks_per_frame"] == 6 * entry["ii_cycles"]
    gates = next(layer for layer in design.layers if layer["name"] == "cell/gates")
    assert gates["kernel"]["reuse"] == 4
