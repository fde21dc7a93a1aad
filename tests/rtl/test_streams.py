"""What a streaming design does with frames: any size, broken off, too long; pauses, latency, interval."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from rtl_streams import Beat, decisions, expect_frames, frame_beats, run_beats

from dwell.hls.design import Design
from dwell.hls.qmodel import FixedPoint, QModel
from dwell.hls.qmodel.build import Builder
from dwell.hls.qmodel.random_models import RandomFamily, random_conv_model
from dwell.hls.rtl import RtlOptions, write_design

pytestmark = pytest.mark.rtl

Codes = npt.NDArray[np.int64]
WIDEST = 20


@pytest.fixture(scope="module")
def design(tmp_path_factory: pytest.TempPathFactory) -> Design:
    """Two layers, a window of 4 by 4, lines of up to 20 pixels."""
    model = random_conv_model(2, RandomFamily(kernels=(3, 2), channels=(3, 1), input_width=6))
    return write_design(
        model, RtlOptions(max_width=WIDEST, latency_cutoff=2.0), tmp_path_factory.mktemp("d") / "d"
    )


@pytest.fixture(scope="module")
def model(design: Design) -> QModel:
    return design.qmodel()


def frames(seed: int, *sizes: tuple[int, int]) -> list[Codes]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 64, (*size, 1)) for size in sizes]


def beats_of(parts: list[Codes]) -> list[Beat]:
    return [beat for part in parts for beat in frame_beats(part, 6)]


def check(
    design: Design, model: QModel, folder: Path, beats: list[Beat], whole: list[Codes], **pauses: int
) -> None:
    """The decisions of `whole`, and nothing else, come out of `beats`."""
    run = run_beats(design, folder, beats, **pauses)
    codes, marks = decisions(design, run)
    wanted, wanted_marks = expect_frames(design, model, whole)
    assert not run.faults
    np.testing.assert_array_equal(codes, wanted)
    np.testing.assert_array_equal(marks, wanted_marks)
    assert len(run.in_clocks) == len(beats)


SIZES = ((4, 4), (5, 20), (9, 7), (4, 11), (6, 5))


@pytest.mark.parametrize(("gap", "stall"), [(0, 0), (40, 0), (0, 60), (50, 50), (0, 95), (95, 0)])
def test_frames_of_different_sizes(
    design: Design, model: QModel, tmp_path: Path, gap: int, stall: int
) -> None:
    parts = frames(gap + stall, *SIZES)
    check(
        design,
        model,
        tmp_path,
        beats_of(parts),
        parts,
        gap_percent=gap,
        stall_percent=stall,
        seed=gap + stall + 1,
    )


def test_latency_and_interval_are_those_of_the_design(design: Design, model: QModel, tmp_path: Path) -> None:
    rows, columns = 8, 15
    run = run_beats(design, tmp_path, beats_of(frames(1, (rows, columns))))
    assert (np.diff(run.in_clocks) == 1).all()
    last_pixels = np.arange(rows * columns).reshape(rows, columns)[3:, 3:].ravel()
    assert set(run.out_clocks - run.in_clocks[last_pixels]) == {design.latency_cycles}


@pytest.mark.parametrize("cut", [1, 3, 19, 20, 41, 55])
def test_a_frame_that_breaks_off(design: Design, model: QModel, tmp_path: Path, cut: int) -> None:
    """Decisions up to the break come out; the next frame starts cleanly wherever the break was."""
    first, second = frames(cut, (6, 10), (7, 13))
    beats = frame_beats(first, 6)[:cut] + frame_beats(second, 6)
    run = run_beats(design, tmp_path, beats)
    codes, marks = decisions(design, run)
    early, early_marks = expect_frames(design, model, [first])
    pixels = np.arange(60).reshape(6, 10)[3:, 3:].ravel()
    kept = pixels < cut
    wanted, wanted_marks = expect_frames(design, model, [second])
    np.testing.assert_array_equal(codes, np.concatenate([early[kept], wanted]))
    np.testing.assert_array_equal(marks, np.concatenate([early_marks[kept], wanted_marks]))
    assert not run.faults


def test_lines_that_are_too_long_are_cut(design: Design, model: QModel, tmp_path: Path) -> None:
    """A line longer than the memory gives the decisions of its first part, and the next frame is whole."""
    long, after = frames(3, (6, WIDEST + 9), (5, 9))
    beats = frame_beats(long, 6) + frame_beats(after, 6)
    check(design, model, tmp_path, beats, [long[:, :WIDEST], after], gap_percent=20, stall_percent=20)


def test_a_line_one_too_long(design: Design, model: QModel, tmp_path: Path) -> None:
    long, after = frames(4, (5, WIDEST + 1), (5, WIDEST))
    check(design, model, tmp_path, beats_of([long, after]), [long[:, :WIDEST], after])


def test_a_frame_that_starts_inside_a_line_that_is_too_long(
    design: Design, model: QModel, tmp_path: Path
) -> None:
    endless, after = frames(5, (1, WIDEST + 5), (6, 8))
    beats = [(user, False, data) for user, _, data in frame_beats(endless, 6)] + frame_beats(after, 6)
    check(design, model, tmp_path, beats, [after])


def test_pixels_before_the_first_frame_are_dropped(design: Design, model: QModel, tmp_path: Path) -> None:
    stray, frame = frames(6, (8, 9), (6, 9))
    beats = [(False, last, data) for _, last, data in frame_beats(stray, 6)] + frame_beats(frame, 6)
    check(design, model, tmp_path, beats, [frame])


def test_frames_below_the_window_give_nothing_and_harm_nothing(
    design: Design, model: QModel, tmp_path: Path
) -> None:
    low, narrow, frame = frames(7, (3, 12), (12, 3), (6, 9))
    check(design, model, tmp_path, beats_of([low, narrow, frame]), [frame], stall_percent=30)


def test_a_line_of_one_pixel(tmp_path: Path) -> None:
    """A kernel one column wide reads a memory word at the clock at which it is written."""
    build = Builder()
    at = build.input("x", (5, 1, 1), FixedPoint(False, 6, 6))
    weight = np.array([-3, 5, 2]).reshape(3, 1, 1, 1)
    model = build.finish("tall", build.conv2d("column", at, weight, 0, np.array([5]), 0))
    design = write_design(model, RtlOptions(max_width=4), tmp_path / "d")
    parts = frames(8, (7, 1), (5, 2), (6, 1), (4, 4))
    check(design, model, tmp_path, beats_of(parts), parts)
    check(design, model, tmp_path, beats_of(parts), parts, gap_percent=30, stall_percent=50)
