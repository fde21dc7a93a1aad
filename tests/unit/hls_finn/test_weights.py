"""Weights of FINN's layers in two banks: what lies where in a memory, and swaps while frames run."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import finn_dense
import numpy as np
import pytest
from finn_room import PART, needs_finn

from dwell.errors import ConfigError, VerificationError
from dwell.hls.design import Design
from dwell.hls.finn.convert import FinnOptions, convert
from dwell.hls.finn.golden import same_steps
from dwell.hls.finn.thresholds import moved_thresholds
from dwell.hls.finn.weights import Matrix, for_any_weights, match
from dwell.hls.frontends.network import network_from_file
from dwell.hls.qmodel import Dense, FixedPoint, Overflow, QModel, Rounding, Table
from dwell.hls.qmodel.build import Builder
from dwell.hls.reload import plan_writes
from dwell.sim.bench.plan import bench_frames
from dwell.sim.bench_rung import climb_bench
from dwell.sim.dut import load_dut

#: Four inputs two at a time, four outputs two at a time, weights of three bits.
SMALL = Matrix("MVAU_rtl_0", "dense", 4, 4, 2, 2, 3, -3, 1)
CODES = np.array([[1, 2, 3, -1], [-2, -3, 0, 1], [3, 3, 1, 0], [0, 1, -1, 2]])


def dense_model(codes: np.ndarray = CODES) -> QModel:
    build = Builder()
    build.input("x", (4,), FixedPoint(True, 4, 0), Rounding.RND_CONV, Overflow.SAT)
    node = Dense("dense", ("x",), "y", codes, FixedPoint(True, 3, 0), np.zeros(4, np.int64), 0)
    build.append(node)
    return build.finish("net", "y")


@pytest.mark.fast
def test_a_word_holds_some_inputs_of_some_outputs() -> None:
    words = SMALL.memory(dense_model()).words
    assert len(words) == 4
    mask = 7
    for place, word in enumerate(words):
        outputs, inputs = divmod(place, 2)
        lanes = [word >> (3 * lane) & mask for lane in range(4)]
        wanted = [CODES[2 * inputs + i, 2 * outputs + o] & mask for o in range(2) for i in range(2)]
        assert lanes == wanted


@pytest.mark.fast
def test_weights_that_the_multipliers_do_not_take() -> None:
    codes = CODES.copy()
    codes[1, 1] = -4
    with pytest.raises(ConfigError, match="'dense': weights from -4 to 3, and its multipliers take -3 to 3"):
        SMALL.memory(dense_model(codes))


@pytest.mark.fast
def test_weights_are_held_against_what_finn_made(tmp_path: Path) -> None:
    entry = SMALL.to_json()
    words = SMALL.memory(dense_model()).words
    file = tmp_path / "MVAU_rtl_0_memblock.dat"
    file.write_text("".join(f"{word:03x}\n" for word in words))
    assert match(dense_model(), [entry], tmp_path) == (SMALL,)
    file.write_text("".join(f"{word ^ (place == 2):03x}\n" for place, word in enumerate(words)))
    with pytest.raises(VerificationError, match="MVAU_rtl_0: FINN's weights are not those of a layer"):
        match(dense_model(), [entry], tmp_path)


@pytest.mark.fast
def test_an_output_of_the_other_sign_is_found(tmp_path: Path) -> None:
    """FINN has quantizers that rise only: before one that falls it computes the negative sum."""
    signs = np.array([1, -1, 1, 1])
    words = SMALL.words(CODES * signs)
    assert (SMALL.codes(words) == CODES * signs).all()
    (tmp_path / "MVAU_rtl_0_memblock.dat").write_text("".join(f"{word:03x}\n" for word in words))
    (found,) = match(dense_model(), [SMALL.to_json()], tmp_path)
    assert found.flipped == (1,)
    assert found.memory(dense_model()).words == words
    assert Matrix.from_json(found.to_json(), "dense") == found


@pytest.mark.fast
def test_a_quantizer_for_any_weights_falls_where_finn_flipped_its_sum() -> None:
    build = Builder()
    build.input("x", (4,), FixedPoint(True, 4, 0), Rounding.RND_CONV, Overflow.SAT)
    bias = np.array([0, 1, 0, 2])
    build.append(Dense("dense", ("x",), "y", CODES, FixedPoint(True, 3, 0), bias, 0))
    thresholds = np.array([[-3, 4], [-2, 5], [0, 1], [-9, 9]])
    sums = np.arange(-99, 100)
    own = [np.where(k == 1, -1, 1) * (sums - bias[k]) for k in range(4)]
    wanted = [-1 + (thresholds[k][:, None] <= own[k]).sum(axis=0) for k in range(4)]
    breaks = np.array([[-3, 4], [-3, 4], [0, 1], [-7, 11]])
    levels = np.array([[-1, 0, 1], [1, 0, -1], [-1, 0, 1], [-1, 0, 1]])
    build.append(Table("t", ("y",), "z", breaks, levels), FixedPoint(True, 2, 0))
    model = build.finish("net", "z", [("q", "z")])
    unit = replace(SMALL, flipped=(1,))
    whole = for_any_weights(model, [unit], {"MVAU_rtl_0": -1}, {"MVAU_rtl_0": thresholds}, 2)
    table = next(node for node in whole.nodes if isinstance(node, Table))
    for k in range(4):
        got = table.levels[k][np.searchsorted(table.breaks[k], sums, side="right")]
        assert (got == wanted[k]).all()
    assert moved_thresholds(model, [unit], {"MVAU_rtl_0": -1}, {"MVAU_rtl_0": thresholds}) == {}
    moved = {"MVAU_rtl_0": thresholds + 1}
    back = moved_thresholds(model, [unit], {"MVAU_rtl_0": -1}, moved)["MVAU_rtl_0"]
    assert (back == thresholds).all()
    with pytest.raises(VerificationError, match="'t': FINN's thresholds are not the network's"):
        for_any_weights(model, [unit], {"MVAU_rtl_0": -1}, moved, 2)


@pytest.mark.fast
def test_tables_are_compared_over_what_can_occur() -> None:
    whole = Table("t", ("x",), "y", np.array([[-9, 2, 30]]), np.array([[0, 1, 2, 3]]))
    inner = Table("t", ("x",), "y", np.array([[2]]), np.array([[1, 2]]))
    assert same_steps(whole, inner, np.array([-9]), np.array([29]))
    assert not same_steps(whole, inner, np.array([-10]), np.array([29]))
    assert not same_steps(whole, inner, np.array([-9]), np.array([30]))
    moved = replace(inner, breaks=np.array([[2], [3]]), levels=np.array([[1, 2], [1, 2]]))
    assert not same_steps(whole, moved, np.array([-9, -9]), np.array([29, 29]))


@dataclass(frozen=True)
class Made:
    """A design of two layers with writable weights, and files of its network with other weights."""

    design: Design
    retrained: Path
    other_ranges: Path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("reload")
    network = finn_dense.dense((16, 16, 8))
    first = finn_dense.export(network, folder / "net.onnx")
    retrained = finn_dense.export(finn_dense.shuffled(network, 8), folder / "retrained.onnx", frames=0)
    other = finn_dense.export(finn_dense.dense((16, 16, 8), seed=6), folder / "other.onnx")
    work = folder / "work"
    work.mkdir()
    options = FinnOptions(PART, "pynq-z2", target_fps=400_000, reload=True)
    return Made(convert(first, read(first), options, folder / "design", work), retrained, other)


def read(path: Path) -> QModel:
    return network_from_file(path, None).reading("net").model


@needs_finn
@pytest.mark.rtl
@pytest.mark.slow
def test_a_retrained_network_becomes_words(made: Made) -> None:
    writes = plan_writes(made.design, read(made.retrained), bank=1)
    body = made.design.weights
    assert body is not None
    assert len(writes) == body["bus_words"]
    assert len({address for address, _ in writes}) == len(writes)
    own = plan_writes(made.design, made.design.qmodel(), bank=1)
    assert [a for a, _ in own] == [a for a, _ in writes]
    assert own != writes


@needs_finn
@pytest.mark.rtl
@pytest.mark.slow
def test_other_thresholds_are_refused(made: Made) -> None:
    with pytest.raises(ConfigError, match="'act1'"):
        plan_writes(made.design, read(made.other_ranges), bank=1)


@needs_finn
@pytest.mark.rtl
@pytest.mark.slow
def test_weights_are_swapped_under_load(made: Made, tmp_path: Path) -> None:
    dut = load_dut(made.design.path)
    frames = bench_frames(dut, 1, 1)
    result = climb_bench(dut, frames, seed=1, stalls=True, simulators=["verilator"], out=tmp_path)
    assert result.detail["phases"]["verilator"]["reload_under_load"] > 40  # type: ignore[index]


@needs_finn
@pytest.mark.rtl
@pytest.mark.slow
def test_a_bank_that_changes_inside_a_frame_shows(made: Made, tmp_path: Path) -> None:
    folder = tmp_path / "design"
    shutil.copytree(made.design.path, folder)
    stream = folder / "rtl" / "dwell_weight_stream.v"
    text = stream.read_text()
    assert text.count("address = {due_bank, place}") == 1
    stream.write_text(text.replace("address = {due_bank, place}", "address = {bank, place}"))
    dut = load_dut(folder, allow_edited=True)
    with pytest.raises(VerificationError, match="reload_under_load"):
        climb_bench(
            dut, bench_frames(dut, 1, 1), seed=1, stalls=False, simulators=["verilator"], out=tmp_path
        )
