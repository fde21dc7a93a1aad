"""Weights written while frames run: every frame with one bank or the other, refusals, register map, planted fault."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from reload_bench import ReloadRun, run_reload
from reload_cases import (
    beats_of,
    chain_model,
    frame_model,
    frames_of,
    other_weights,
    results_of,
    sequence_model,
    swaps,
    which,
)
from rtl_lint import lint

from dwell.hls.design import Design
from dwell.hls.qmodel import QModel, run_codes
from dwell.hls.reload import control_address, plan_writes
from dwell.hls.rtl import RtlOptions, write_design
from dwell.hls.rtl.folded.reload_map import REGISTERS

pytestmark = pytest.mark.rtl


def chain(folder: Path) -> tuple[Design, QModel]:
    model = chain_model()
    options = RtlOptions(style="stream", reuse={"conv1": 9, "conv2": 6}, reload=True, max_width=16)
    return write_design(model, options, folder), model


def sequence(folder: Path) -> tuple[Design, QModel]:
    model = sequence_model()
    options = RtlOptions(style="folded", reuse={"first": 12, "second": 8}, reload=True)
    return write_design(model, options, folder), model


def fixed_frames(folder: Path) -> tuple[Design, QModel]:
    model = frame_model()
    options = RtlOptions(style="stream", reuse={"first": 18, "second": 18}, reload=True)
    return write_design(model, options, folder), model


MAKERS = {"chain": chain, "sequence": sequence, "frames": fixed_frames}


def played(
    design: Design, models: list[QModel], folder: Path, count: int, every: int, **more: object
) -> tuple[ReloadRun, list[int]]:
    """Frames back to back while the weights change; which model each frame came from."""
    frames = frames_of(design, count, 4)
    pauses = {key: value for key, value in more.items() if isinstance(value, int) and key != "pause"}
    pause = more.get("pause", 0)
    assert isinstance(pause, int)
    sources = more.get("sources")
    run = run_reload(
        design, folder, beats_of(design, frames), swaps(design, models, every, pause),
        sources=sources if isinstance(sources, list) else None, **pauses,
    )  # fmt: skip
    results = results_of(design, run)
    assert len(results) == len(frames)
    return run, [which(got, frame, models) for got, frame in zip(results, frames, strict=True)]


@pytest.mark.parametrize(("gap", "stall"), [(0, 0), (30, 50)])
@pytest.mark.parametrize("kind", ["chain", "sequence", pytest.param("frames", marks=pytest.mark.slow)])
def test_every_frame_is_of_one_bank(kind: str, gap: int, stall: int, tmp_path: Path) -> None:
    design, first = MAKERS[kind](tmp_path / "d")
    models = [first, other_weights(first, 1), other_weights(first, 2)]
    length = len(plan_writes(design, models[1], 1)) * 3  # clocks that a reload takes
    clocks = (7 * 9 * 9) if design.max_width else max(design.frame_cycles, 36)
    every = length // clocks + 6
    run, used = played(design, models, tmp_path, 3 * every + 8, every, gap_percent=gap, stall_percent=stall)
    assert -1 not in used
    assert used == sorted(used) and set(used) == {0, 1, 2}
    assert all(answer == 0 for _, _, answer in run.wrote)
    for number in (1, 2):  # the swap takes hold with the frames that come after it
        last = [clock for step, clock, _ in run.wrote][len(run.wrote) * number // 2 - 1]
        begun = sum(clock < last for clock in run.begins)
        assert begun - 2 <= used.index(number) <= begun + 1


@pytest.mark.parametrize("kind", ["chain", "sequence"])
def test_a_bank_bit_switched_inside_a_frame_is_found(kind: str, tmp_path: Path) -> None:
    design, first = MAKERS[kind](tmp_path / "d")
    models = [first, other_weights(first, 1)]
    broken = []
    for source in design.sources:
        text = source.read_text()
        if source.stem == "dwell_bank_frames":
            assert text.count("assign bank   = first ? select : current;") == 1
            text = text.replace("assign bank   = first ? select : current;", "assign bank   = select;")
        copy = tmp_path / source.name
        copy.write_text(text)
        broken.append(copy)
    mixed = 0
    for pause in (260, 130, 7):
        _, used = played(
            design, models, tmp_path, 10 if design.max_width else 40, 3, sources=broken, pause=pause
        )
        mixed += used.count(-1)
        if mixed:
            break
    assert mixed


def test_refusals_and_registers(tmp_path: Path) -> None:
    design, first = sequence(tmp_path / "d")
    body = design.weights
    assert body is not None and body["registers"] == dict(REGISTERS)
    registers = body["registers"]
    new = plan_writes(design, other_weights(first, 1), 0)
    free = plan_writes(design, other_weights(first, 1), 1)
    script = [
        ("write", *new[0]),  # bank 0 is selected: refused
        ("write", *free[0]),
        ("write", registers["ID"], 1),  # not for writing
        *(("read", registers[name], 0) for name in REGISTERS),
        ("read", free[0][0], 0),
        ("write", control_address(design), 1),
        ("frames", 3),
        ("idle", 400),
        ("write", *free[1]),  # bank 1 is in use now
        ("write", *new[1]),
        ("read", registers["STATUS"], 0),
        ("read", registers["REFUSED"], 0),
    ]
    run = run_reload(design, tmp_path, beats_of(design, frames_of(design, 6, 1)), script)
    assert [answer for _, _, answer in run.wrote] == [2, 0, 2, 0, 2, 0]
    values = [word for _, word, _ in run.reads]
    answers = [answer for _, _, answer in run.reads]
    assert values[:2] == [body["id"], body["version"]] and values[2] == body["structure"]
    assert values[3:7] == [len(body["memories"]), body["bus_words"], 0, 0b0100]
    assert values[9:11] == [1, 1]  # written, refused
    assert answers == [0] * 11 + [2, 0, 0]
    assert values[-2:] == [0b1011, 2]


@pytest.mark.parametrize("kind", MAKERS)
def test_designs_lint(kind: str, tmp_path: Path) -> None:
    design, _ = MAKERS[kind](tmp_path / "d")
    lint(design.sources, design.top)


def test_both_banks_hold_the_weights_from_the_start(tmp_path: Path) -> None:
    design, first = sequence(tmp_path / "d")
    frames = frames_of(design, 5, 2)
    run = run_reload(design, tmp_path, beats_of(design, frames), [("write", control_address(design), 1)])
    for got, frame in zip(results_of(design, run), frames, strict=True):
        np.testing.assert_array_equal(got, run_codes(first, frame[None])[0].ravel())
