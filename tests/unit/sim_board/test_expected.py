"""What rung 6 expects of the firmware, against a telling decision by decision."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dwell.hls.qmodel import FixedPoint
from dwell.hls.qmodel.build import Builder
from dwell.sim.board.expected import Trigger, place_of, threshold_for
from dwell.sim.board.rounds import MOST_CLOCKS, MOST_FRAMES, FrameKind, board_windows, kind_of
from dwell.sim.dut import Dut, Port
from dwell.sim.workload import Frame

pytestmark = pytest.mark.fast

SHAPES = st.sampled_from([(1,), (5,), (1, 1, 3), (4, 6, 1), (3, 5, 4), (7, 2)])


def told(codes: np.ndarray, trigger: Trigger, frame: int) -> tuple[list[bool], list[tuple[int, ...]]]:
    """Mask and events (frame, line, pixel, score) of one frame."""
    width = codes.shape[-2] if codes.ndim > 1 else 1
    mask, events, quiet = [], [], 0
    for at, decision in enumerate(codes.reshape(-1, codes.shape[-1]).tolist()):
        score = decision[trigger.select]
        fires = score >= trigger.threshold
        if trigger.class_trigger:
            fires = fires and decision.index(max(decision)) == trigger.select
        mask.append(fires)
        if quiet:
            quiet -= 1
        elif fires:
            events.append((frame, at // width, at % width, score))
            quiet = trigger.dead_time
    return mask, events


@given(SHAPES, st.integers(-4, 4), st.integers(0, 9), st.integers(0, 9), st.booleans(), st.integers(0, 2**32))
def test_mask_and_events(
    shape: tuple[int, ...], threshold: int, dead_time: int, select: int, class_trigger: bool, seed: int
) -> None:
    codes = np.random.default_rng(seed).integers(-4, 4, shape)  # small: many equals
    trigger = Trigger(threshold, dead_time, select % shape[-1], class_trigger)
    mask, events = told(codes, trigger, 7)
    assert trigger.mask(codes).shape == shape[:-1]
    assert trigger.mask(codes).reshape(-1).tolist() == mask
    assert trigger.events(codes, 7).tolist() == [list(event) for event in events]
    shifted = trigger.events(codes, 7, (2, 3))
    assert (shifted - trigger.events(codes, 7) == [0, 2, 3, 0]).all()


def test_places() -> None:
    assert place_of((), (5,)) == (0, 0)
    assert place_of((2, 1), (4, 6, 3)) == (2, 1)
    assert place_of((3,), (4, 2)) == (0, 3)


@given(st.lists(st.integers(-50, 50), min_size=1, max_size=60), st.sampled_from([0.02, 0.25, 0.5]))
def test_a_threshold_is_a_score_that_occurs(scores: list[int], share: float) -> None:
    threshold = threshold_for(np.array(scores), share)
    assert threshold in scores
    assert sum(score > threshold for score in scores) <= max(1, share * len(scores))


def frames_dut(classes: int, frame_cycles: int = 4) -> Dut:
    """Four codes to so many, as far as rounds look at a design."""
    kind = FixedPoint(True, 6, 0)
    builder = Builder()
    model = builder.finish("net", builder.input("x", (4,), kind))
    port = Port(kind, (4,), 4, 3, 1, False)
    out = Port(kind, (classes,), classes, -(-classes * 6 // 8), 1, True)
    sizes = {"window": (1, 1), "max_width": 0, "latency_cycles": 3, "ii_cycles": 1}
    return Dut("net", "net", (), "unrolled", port, out, model=model, frame_cycles=frame_cycles, **sizes)


@pytest.mark.parametrize(("classes", "count"), [(1, 40), (3, 100), (10, 900), (40, 900), (5, 3)])
def test_rounds_hold_every_frame_once_and_select_every_code(classes: int, count: int) -> None:
    kind = kind_of(frames_dut(classes))
    assert isinstance(kind, FrameKind)
    random = np.random.default_rng(count)
    golden = tuple(random.integers(-32, 32, (count, classes)))
    frames = tuple(Frame(random.integers(-32, 32, 4), str(at)) for at in range(count))
    rounds = kind.rounds(frames, golden)
    assert [frame.origin for r in rounds for frame in r.frames] == [frame.origin for frame in frames]
    assert [r.first for r in rounds] == np.cumsum([0, *(len(r.frames) for r in rounds)])[:-1].tolist()
    if count > 2 * classes:
        used = {(r.trigger.select, r.trigger.class_trigger) for r in rounds}
        codes = range(classes) if classes <= 10 else (0, 4, 9, 13, 17, 22, 26, 30, 35, 39)
        assert used == {(s, c) for s in codes for c in ((False, True) if classes > 1 else (False,))}
        # Something fires and something does not, also for the largest codes alone.
        for flag in {c for _, c in used}:
            masks = np.concatenate([r.mask() for r in rounds if r.trigger.class_trigger == flag])
            assert masks.any()
            assert not masks.all()
        ignored = [r for r in rounds if r.trigger.class_trigger]
        assert not ignored or any(
            (r.mask() != (np.stack(r.golden)[:, r.trigger.select] >= r.trigger.threshold)).any()
            for r in ignored
        )


def test_long_frames_go_in_small_rounds() -> None:
    kind = kind_of(frames_dut(3, frame_cycles=1 << 17))
    frames = tuple(Frame(np.zeros(4, np.int64), "") for _ in range(40))
    assert {len(r.frames) for r in kind.rounds(frames, tuple(np.zeros((40, 3), np.int64)))} == {2}


def test_how_much_is_made_up_for_a_board() -> None:
    assert board_windows(frames_dut(3), 100) == 100
    assert board_windows(frames_dut(3), 10_000) == MOST_FRAMES
    assert board_windows(frames_dut(3, frame_cycles=MOST_CLOCKS // 50), 10_000) == 50
    assert board_windows(frames_dut(3, frame_cycles=4 * MOST_CLOCKS), 10_000) == 1
