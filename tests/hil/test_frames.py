"""A board with an overlay of kind "frames" against the golden model, whatever kind of board it is."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from board_overlays import decisions_that_trigger

from dwell.errors import DeviceError
from dwell.firmware.client import BoardClient
from dwell.hls.design import Design
from dwell.hls.qmodel import QModel, run_codes

pytestmark = pytest.mark.rtl

Codes = npt.NDArray[np.int64]
NEVER, ALWAYS = 2**31 - 1, -(2**31)


@pytest.fixture(scope="module")
def model(frame_design: Design) -> QModel:
    return frame_design.qmodel()


def random_frames(design: Design, count: int, seed: int) -> Codes:
    kind = design.input.type
    shape = (count, *design.input.shape)
    return np.random.default_rng(seed).integers(kind.lo, kind.hi, shape, endpoint=True)


def events_of(events: npt.NDArray[np.void]) -> list[tuple[int, int, int, int]]:
    return [(int(e["frame"]), int(e["line"]), int(e["pixel"]), int(e["score"])) for e in events]


def told(
    golden: Codes, threshold: int, dead_time: int, select: int = 0, class_trigger: bool = False
) -> list[tuple[int, int, int, int]]:
    """The events of frames of decisions (N, *places, codes)."""
    return [
        (number, *event)
        for number, frame in enumerate(golden)
        for event in decisions_that_trigger(frame, threshold, dead_time, select, class_trigger)
    ]


def at_share(scores: Codes, share: float) -> int:
    return int(np.quantile(scores, 1 - share, method="higher"))


def test_self_test(frame_board: BoardClient) -> None:
    found = frame_board.self_test()
    assert found["ok"], found
    assert found["compared"] > 0
    assert set(found["checks"]) == {"registers", "scores", "mask", "counters", "events"}


def test_every_code_can_be_the_score(frame_board: BoardClient, frame_design: Design, model: QModel) -> None:
    codes = random_frames(frame_design, 6, 1)
    golden = run_codes(model, codes)
    for select in range(golden.shape[-1]):
        scores = golden[..., select]
        largest = golden.argmax(axis=-1) == select
        for threshold in (at_share(scores, 0.3), int(scores.min())):
            for class_trigger in (False, True):
                frame_board.configure(threshold, select=select, class_trigger=class_trigger)
                frame_board.clear()
                found = frame_board.process_frames(codes)
                assert np.array_equal(found.scores, golden)
                assert np.array_equal(found.mask, (scores >= threshold) & (largest | (not class_trigger)))
                assert events_of(found.events) == told(golden, threshold, 0, select, class_trigger)


def test_the_first_of_equals_is_the_largest(
    frame_board: BoardClient, frame_design: Design, model: QModel
) -> None:
    """Frames of one code all over, with which many results are equal."""
    kind = frame_design.input.type
    values = np.unique([kind.lo, 0, kind.hi // 2, kind.hi])
    codes = np.stack([np.full(frame_design.input.shape, value) for value in values])
    golden = run_codes(model, codes)
    if frame_design.output.shape == (4, 5, 3):
        assert ((golden == golden.max(axis=-1, keepdims=True)).sum(axis=-1) > 1).any()
    for select in range(golden.shape[-1]):
        frame_board.configure(ALWAYS, select=select, class_trigger=True)
        assert np.array_equal(frame_board.process_frames(codes).mask, golden.argmax(axis=-1) == select)


@pytest.mark.parametrize("dead_time", [0, 1, 7, 2**32 - 1])
def test_dead_time(frame_board: BoardClient, frame_design: Design, model: QModel, dead_time: int) -> None:
    codes = random_frames(frame_design, 3, 2)
    golden = run_codes(model, codes)
    threshold = at_share(golden[..., 0], 0.4)
    frame_board.configure(threshold, dead_time)
    found = frame_board.process_frames(codes)  # a frame starts without the dead time of the one before
    assert events_of(found.events) == told(golden, threshold, dead_time)


def test_one_frame_and_many(frame_board: BoardClient, frame_design: Design, model: QModel) -> None:
    codes = random_frames(frame_design, 5, 3)
    golden = run_codes(model, codes)
    frame_board.configure(NEVER)
    many = frame_board.process_frames(codes)
    for at, frame in enumerate(codes):
        one = frame_board.process_frame(frame)
        assert one.scores.shape == frame_design.output.shape
        assert one.mask.shape == frame_design.output.shape[:-1]
        assert np.array_equal(one.scores, golden[at])
        assert np.array_equal(one.scores, many.scores[at])
        assert not one.mask.any()
        assert len(one.events) == 0


def test_hundred_frames_add_up(frame_board: BoardClient, frame_design: Design, model: QModel) -> None:
    codes = random_frames(frame_design, 100, 4)
    golden = run_codes(model, codes)
    threshold = at_share(golden[..., -1], 0.1)
    frame_board.configure(threshold, dead_time=2, select=golden.shape[-1] - 1)
    found = frame_board.process_frames(codes)
    expected = told(golden, threshold, 2, golden.shape[-1] - 1)
    assert events_of(found.events) == expected
    assert (np.diff(found.events["stamp"].astype(np.int64)) > 0).all()
    counters = frame_board.counters()
    beats = codes.size // frame_design.input.elements
    assert counters["frames"] == 100
    assert counters["pixels"] == counters["pixels_decided"] == beats
    assert counters["decisions"] == golden[..., 0].size
    assert counters["triggers"] == counters["events"] == len(expected)
    for name in ("pixels_dropped", "decisions_dropped", "events_dropped", "frames_dropped", "frames_cut"):
        assert counters[name] == 0, name


def test_every_decision_an_event(frame_board: BoardClient, frame_design: Design, model: QModel) -> None:
    codes = random_frames(frame_design, 60, 5)
    frame_board.configure(ALWAYS)
    found = frame_board.process_frames(codes)
    counters = frame_board.counters()
    assert found.mask.all()
    assert counters["triggers"] == found.mask.size
    assert counters["events"] == len(found.events)
    assert counters["triggers"] == counters["events"] + counters["events_dropped"]
    assert set(events_of(found.events)) <= set(told(run_codes(model, codes), ALWAYS, 0))


def test_a_wrong_request_leaves_the_board_usable(
    frame_board: BoardClient, frame_design: Design, model: QModel
) -> None:
    codes = random_frames(frame_design, 2, 6)
    top = frame_design.input.type.hi
    frame_board.configure(0)
    for wrong, message in (
        (codes[..., :-1], "must be whole numbers of shape"),
        (codes.reshape(2, -1)[..., None], "must be whole numbers of shape"),
        (codes.astype(np.float32), "must be whole numbers of shape"),
        (codes[:0], "must be whole numbers of shape"),
        (np.full_like(codes, top + 1), f"codes must lie between -?[0-9]+ and {top}"),
    ):
        with pytest.raises(DeviceError, match=message):
            frame_board.process_frames(wrong)
    with pytest.raises(DeviceError, match="must be whole numbers of shape"):
        frame_board.process_frame(codes)
    classes = frame_design.output.shape[-1]
    with pytest.raises(DeviceError, match=f"no code {classes} in a decision of {classes}"):
        frame_board.configure(0, select=classes)
    with pytest.raises(DeviceError, match="their size is not set"):
        frame_board.configure(0, lines=9, pixels=9)
    with pytest.raises(DeviceError, match="out of the registers' range"):
        frame_board.configure(2**31)
    with pytest.raises(DeviceError, match="of kind frames cannot 'send_rows'"):
        frame_board.send_rows(np.zeros((2, 9), np.uint8))
    assert np.array_equal(frame_board.process_frames(codes).scores, run_codes(model, codes))
