"""A board against the golden model, whatever kind of board it is."""

from __future__ import annotations

import time

import numpy as np
import numpy.typing as npt
import pytest
from board_overlays import scores_of, triggers_of

from dwell.errors import DeviceError
from dwell.firmware.client import BoardClient
from dwell.hls.design import Design
from dwell.hls.qmodel import QModel

pytestmark = pytest.mark.rtl

Pixels = npt.NDArray[np.uint8]
NEVER, ALWAYS = 2**31 - 1, -(2**31)


@pytest.fixture(scope="session")
def model(design: Design) -> QModel:
    return design.qmodel()


def random_frame(lines: int, pixels: int, seed: int) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (lines, pixels), dtype=np.uint8)


def places(events: npt.NDArray[np.void], design: Design) -> list[tuple[int, int, int]]:
    """Events as (line, pixel, score) of the decision."""
    top, left = ((n - 1) // 2 for n in design.window)
    return [(int(e["line"]) - top, int(e["pixel"]) - left, int(e["score"])) for e in events]


def at_share(scores: npt.NDArray[np.int64], share: float) -> int:
    return int(np.quantile(scores, 1 - share, method="higher"))


def test_self_test(board: BoardClient) -> None:
    found = board.self_test()
    assert found["ok"], found
    assert found["compared"] > 0
    assert all(found["checks"].values())


def test_a_whole_frame(board: BoardClient, design: Design, model: QModel) -> None:
    pixels = random_frame(256, 256, 1)
    golden = scores_of(model, pixels)
    threshold = at_share(golden, 0.005)
    board.configure(threshold, dead_time=4)
    found = board.process_frame(pixels)
    assert np.array_equal(found.scores, golden)
    assert np.array_equal(found.mask, golden >= threshold)
    assert places(found.events, design) == triggers_of(golden, threshold, 4)
    assert (np.diff(found.events["stamp"].astype(np.int64)) > 0).all()


@pytest.mark.parametrize(("lines", "pixels"), [(0, 0), (0, 9), (17, 0), (3, 40), (60, 245)])
def test_frames_of_other_sizes(
    board: BoardClient, design: Design, model: QModel, lines: int, pixels: int
) -> None:
    shape = (design.window[0] + lines, min(design.window[1] + pixels, design.max_width))
    frame = random_frame(*shape, seed=lines + pixels)
    board.configure(NEVER, lines=shape[0], pixels=shape[1])
    found = board.process_frame(frame)
    assert np.array_equal(found.scores, scores_of(model, frame))
    assert not found.mask.any()
    assert len(found.events) == 0


@pytest.mark.parametrize("dead_time", [0, 1, 7, 2**32 - 1])
def test_dead_time(board: BoardClient, design: Design, model: QModel, dead_time: int) -> None:
    pixels = random_frame(design.window[0] + 8, 48, 3)
    golden = scores_of(model, pixels)
    threshold = at_share(golden, 0.3)
    board.configure(threshold, dead_time, lines=pixels.shape[0], pixels=pixels.shape[1])
    for _ in range(2):  # a frame starts without the dead time of the one before
        found = board.process_frame(pixels)
        assert places(found.events, design) == triggers_of(golden, threshold, dead_time)


def test_threshold_is_met_by_an_equal_score(board: BoardClient, model: QModel, design: Design) -> None:
    pixels = random_frame(design.window[0], design.window[1] + 20, 4)
    golden = scores_of(model, pixels)
    for threshold in (int(golden.max()), int(golden.max()) + 1, int(golden.min()), NEVER, ALWAYS):
        board.configure(threshold, lines=pixels.shape[0], pixels=pixels.shape[1])
        assert np.array_equal(board.process_frame(pixels).mask, golden >= threshold), threshold


def test_rows_one_by_one_give_the_events_of_the_frame(
    board: BoardClient, design: Design, model: QModel
) -> None:
    pixels = random_frame(design.window[0] + 20, 100, 5)
    golden = scores_of(model, pixels)
    threshold = at_share(golden, 0.02)
    board.configure(threshold, lines=pixels.shape[0], pixels=pixels.shape[1])
    for number in range(2):
        found: list[tuple[int, int, int]] = []
        for line, row in enumerate(pixels):
            events = board.send_row(row)
            # With the row that completes it, not later.
            assert (events["line"] == line - design.window[0] // 2).all()
            assert (events["frame"] == number).all()
            found += places(events, design)
        assert found == triggers_of(golden, threshold, 0)


def test_an_event_comes_soon_after_its_row(board: BoardClient, design: Design) -> None:
    board.configure(ALWAYS, dead_time=50, pixels=design.max_width)
    rows = random_frame(60, design.max_width, 6)
    waits = []
    for row in rows:
        started = time.perf_counter()
        events = board.send_row(row)
        waits.append(time.perf_counter() - started)
    assert len(events) > 0
    # 5 ms is the aim and bench/board.py measures it; this bound holds on a busy machine too.
    assert np.median(waits) < 0.05


def test_a_frame_broken_off(board: BoardClient, design: Design, model: QModel) -> None:
    pixels = random_frame(design.window[0] + 6, 40, 7)
    golden = scores_of(model, pixels)
    threshold = at_share(golden, 0.1)
    board.configure(threshold, lines=pixels.shape[0], pixels=pixels.shape[1])
    board.send_rows(random_frame(5, 40, 8))
    with pytest.raises(DeviceError, match="begun row by row"):
        board.process_frame(pixels)
    board.start_frame()
    found = board.process_frame(pixels)
    assert np.array_equal(found.scores, golden)
    assert places(found.events, design) == triggers_of(golden, threshold, 0)
    assert (found.events["frame"] == 1).all()


def test_every_decision_an_event(board: BoardClient, model: QModel, design: Design) -> None:
    """More events than the memory holds: what is not taken in time is dropped and counted, nothing else."""
    pixels = random_frame(64, 200, 9)
    board.configure(ALWAYS, lines=64, pixels=200)
    found = board.process_frame(pixels)
    counters = board.counters()
    assert counters["triggers"] == found.scores.size
    assert counters["events"] == len(found.events)
    assert counters["triggers"] == counters["events"] + counters["events_dropped"]
    every = triggers_of(scores_of(model, pixels), ALWAYS, 0)
    assert set(places(found.events, design)) <= set(every)


def test_hundred_frames_add_up(board: BoardClient, design: Design, model: QModel) -> None:
    pixels = random_frame(design.window[0] + 3, 40, 10)
    golden = scores_of(model, pixels)
    threshold = at_share(golden, 0.05)
    board.configure(threshold, dead_time=2, lines=pixels.shape[0], pixels=pixels.shape[1])
    events = sum(len(board.process_frame(pixels).events) for _ in range(100))
    found = board.counters()
    assert found["frames"] == 100
    assert found["pixels"] == found["pixels_decided"] + found["pixels_dropped"] == 100 * pixels.size
    assert found["decisions"] == 100 * golden.size
    assert found["triggers"] == found["events"] + found["events_dropped"]
    assert found["events"] == events == 100 * len(triggers_of(golden, threshold, 2))
    board.clear()
    cleared = board.counters()
    assert [cleared[name] for name in cleared if name != "clocks"] == [0] * (len(cleared) - 1)


@pytest.mark.parametrize(
    ("lines", "pixels", "message"),
    [(40, 5000, "this network takes"), (2, 40, "this network takes"), (70000, 40, "this network takes")],
)
def test_a_frame_size_that_cannot_be(board: BoardClient, lines: int, pixels: int, message: str) -> None:
    with pytest.raises(DeviceError, match=message):
        board.configure(0, lines=lines, pixels=pixels)


def test_a_wrong_request_leaves_the_board_usable(board: BoardClient, design: Design, model: QModel) -> None:
    pixels = random_frame(design.window[0] + 2, 30, 11)
    board.configure(0, lines=pixels.shape[0], pixels=30)
    with pytest.raises(DeviceError, match="set to"):
        board.process_frame(pixels[:, :-1])
    with pytest.raises(DeviceError, match="whole numbers"):
        board.process_frame(pixels.astype(np.float32))
    with pytest.raises(DeviceError, match="between 0 and"):
        board.process_frame(pixels.astype(np.int32) + 300)
    with pytest.raises(DeviceError, match="out of the registers' range"):
        board.configure(2**31, lines=pixels.shape[0], pixels=30)
    board.configure(0, lines=pixels.shape[0], pixels=30)
    assert np.array_equal(board.process_frame(pixels).scores, scores_of(model, pixels))
