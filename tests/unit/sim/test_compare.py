"""Telling where two streams part, and what the clocks say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dwell.errors import ToolFailedError, VerificationError
from dwell.hls.qmodel import FixedPoint, run_codes
from dwell.sim.beats import Beats
from dwell.sim.bench.plan import Plan, bench_frames, make_plans
from dwell.sim.bench.run import Outcome
from dwell.sim.bench_rung import _check
from dwell.sim.compare import compare, measure, mismatch_error, require_timing
from dwell.sim.dut import Dut, Port
from dwell.sim.verilated import CoreRun
from dwell.sim.workload import Frame, Workload

pytestmark = pytest.mark.fast


@pytest.fixture
def work(box3: Dut) -> Workload:
    rng = np.random.default_rng(3)
    sizes = [(3, 3), (5, 9), (4, 6)]
    return Workload(box3, [Frame(rng.integers(0, 256, (*s, 1)), f"frame of {s}") for s in sizes])


@pytest.fixture
def expected(work: Workload) -> Beats:
    return work.expected_beats(work.golden())


def _copy(beats: Beats) -> Beats:
    return Beats(beats.data.copy(), beats.flags.copy())


def _run(beats: Beats, in_clocks: np.ndarray, out_clocks: np.ndarray) -> CoreRun:
    return CoreRun(beats, in_clocks.astype(np.uint32), out_clocks.astype(np.uint32), 999, 1.0, "", 0)


def test_golden_results_come_in_the_order_of_the_frames(work: Workload) -> None:
    for frame, golden in zip(work.frames, work.golden(), strict=True):
        assert (golden == run_codes(work.dut.model, frame.codes[None])[0]).all()
    assert work.decisions == 1 + 3 * 7 + 2 * 4


def test_equal_is_equal(work: Workload, expected: Beats) -> None:
    found = compare(work, expected, _copy(expected))
    assert (found.compared, found.mismatches, found.first) == (30, 0, None)


def test_the_first_difference_is_placed(work: Workload, expected: Beats) -> None:
    got = _copy(expected)
    index = 1 + 7 * 2 + 3
    got.data[[index, 25]] ^= 1
    found = compare(work, expected, got)
    assert found.mismatches == 2
    assert found.first is not None
    assert (found.first["frame"], found.first["row"], found.first["column"]) == (1, 2, 3)
    golden = int(work.golden()[1][2, 3, 0])
    low = golden ^ 1
    assert found.first["expected"] == golden
    assert found.first["got"] in (low, low ^ 256, low ^ -256)
    assert found.first["window"] == work.frames[1].codes[2:5, 3:6, 0].tolist()
    error = mismatch_error(work.dut, found, by="a test")
    assert error.exit_code == 4
    assert "2 of 30 decisions differ" in error.message
    assert "frame 1, row 2, column 3" in error.message


def test_a_flag_or_padding_alone_is_a_difference(work: Workload, expected: Beats) -> None:
    got = _copy(expected)
    got.flags[0] ^= 2
    first = compare(work, expected, got).first
    assert first is not None
    assert (first["expected"], first["got"]) == ("tuser=1 tlast=1", "tuser=1 tlast=0")
    got = _copy(expected)
    got.data[4, 1] ^= 0x80
    first = compare(work, expected, got).first
    assert first is not None
    assert first["what"] == "padding of m_axis_tdata"


def test_missing_decisions_are_differences(work: Workload, expected: Beats) -> None:
    found = compare(work, expected, Beats(expected.data[:28], expected.flags[:28]))
    assert found.mismatches == 2
    assert found.first is not None
    assert found.first["got"] == "no decision"
    error = mismatch_error(work.dut, found, by="a test", fault="deadlock (clock 7)")
    assert "deadlock (clock 7)" in error.message


def test_latency_counts_from_the_last_pixel_of_the_window(work: Workload, expected: Beats) -> None:
    beats_in = np.arange(len(work.beats)) + 10
    last = np.concatenate(
        [
            [8],
            [9 + r * 9 + c for r in range(2, 5) for c in range(2, 9)],
            [54 + r * 6 + c for r in (2, 3) for c in range(2, 6)],
        ]
    )
    assert (work.last_pixels() == last).all()
    timing = measure(work, _run(expected, beats_in, last + 10 + 7))
    assert (timing.latency_cycles, timing.latency_least, timing.ii_cycles) == (7, 7, 1)
    slow = beats_in.copy()
    slow[5:] += 1
    late = last + 10 + 7
    late[-1] += 5
    timing = measure(work, _run(expected, slow, late))
    assert (timing.latency_cycles, timing.ii_cycles) == (11, 2)


def test_a_promise_that_is_not_kept_is_told(work: Workload, expected: Beats) -> None:
    beats_in = np.arange(len(work.beats))
    timing = measure(work, _run(expected, beats_in, work.last_pixels() + 4))
    with pytest.raises(
        VerificationError, match=r"latency_cycles is 3 by design\.json and 4 measured"
    ) as caught:
        require_timing(work.dut, timing, by="a test")
    assert caught.value.first_mismatch == {"what": "latency_cycles", "expected": 3, "got": 4}


@pytest.fixture
def plans(box3: Dut) -> tuple[Plan, ...]:
    return make_plans(box3, bench_frames(box3, 2, 1), stalls=True)


# ---- frames of one size


@pytest.fixture
def samples(sums4: Dut) -> Workload:
    codes = np.random.default_rng(3).integers(0, 32, (10, 2, 2, 3))
    return Workload(sums4, [Frame(one, f"sample {i}") for i, one in enumerate(codes)])


def test_a_vector_of_several_beats_is_one_decision(samples: Workload) -> None:
    expected = samples.expected_beats(samples.golden())
    assert (len(samples.beats), len(expected), samples.decisions) == (40, 30, 10)
    assert expected.flags[:6].tolist() == [1, 0, 2, 1, 0, 2]
    assert samples.beats.flags[:4].tolist() == [1, 2, 0, 2]
    got = _copy(expected)
    got.data[[13, 14, 20], 0] ^= 1
    found = compare(samples, expected, got)
    assert (found.compared, found.mismatches) == (10, 2)
    assert found.first is not None
    assert (found.first["frame"], found.first["beat"], found.first["place"]) == (4, 13, [])
    assert found.first["expected"] == int(samples.golden()[4][1])
    assert found.first["window"] == samples.frames[4].codes.tolist()
    assert "the first at frame 4: expected" in mismatch_error(samples.dut, found, by="a test").message
    missing = compare(samples, expected, Beats(expected.data[:26], expected.flags[:26]))
    assert missing.mismatches == 2


def test_lanes_are_decisions_of_their_own(sums4: Dut) -> None:
    out = Port(FixedPoint(True, 10, 2), (2, 4, 3), 6, 8, 2, True)
    work = Workload(replace(sums4, output=out), [Frame(np.zeros((2, 2, 3), dtype=np.int64), "zeros")] * 3)
    golden = [np.arange(24).reshape(2, 4, 3) + 100 * i for i in range(3)]
    expected = work.expected_beats(golden)
    assert (len(expected), work.decisions) == (12, 24)
    got = _copy(expected)
    got.data[5] = work.expected_beats([golden[0] + np.arange(24).reshape(2, 4, 3)]).data[1]
    found = compare(work, expected, got)
    assert found.mismatches == 2
    assert found.first is not None
    assert (found.first["frame"], found.first["row"], found.first["column"]) == (1, 0, 2)
    assert found.first["expected"] == [106, 107, 108]
    got = _copy(expected)
    got.data[7] = expected.data[6]
    assert compare(work, expected, got).mismatches == 2
    got = _copy(expected)
    got.data[11, 0] ^= 0
    got.flags[11] ^= 1
    assert compare(work, expected, got).mismatches == 1


def _sample_run(samples: Workload, frame_clocks: int, latency: int) -> CoreRun:
    starts = np.arange(10)[:, None] * frame_clocks
    expected = samples.expected_beats(samples.golden())
    outs = starts + 3 + latency + np.arange(-2, 1)
    return _run(expected, (starts + np.arange(4)).reshape(-1), outs.reshape(-1))


def test_latency_and_interval_of_frames_of_one_size(samples: Workload) -> None:
    timing = measure(samples, _sample_run(samples, 4, 3))
    assert (timing.latency_cycles, timing.frame_cycles, timing.ii_cycles) == (3, 4, 1)
    timing = measure(samples, _sample_run(samples, 9, 5))
    assert (timing.latency_cycles, timing.frame_cycles, timing.ii_cycles) == (5, 9, 3)


def test_a_bound_may_be_above_but_not_far(samples: Workload) -> None:
    timing = measure(samples, _sample_run(samples, 40, 33))
    with pytest.raises(VerificationError, match="latency_cycles is 3 by"):
        require_timing(samples.dut, timing, by="a test")
    bound = replace(samples.dut, latency_exact=False, latency_cycles=60, frame_cycles=40, ii_cycles=10)
    require_timing(bound, timing, by="a test")
    require_timing(replace(bound, latency_cycles=999), timing, by="ten frames, which say little")
    timing = replace(timing, frames=16)
    for change, text in (
        ({"latency_cycles": 32}, "at most 32 by design.json and 33 measured"),
        ({"latency_cycles": 67}, "a bound of 67 by design.json and 33 measured"),
        ({"frame_cycles": 39}, "frame_cycles is at most 39"),
    ):
        with pytest.raises(VerificationError, match=text):
            require_timing(replace(bound, **change), timing, by="a test")


def test_a_frame_that_breaks_off_is_completed_with_zeros(sums4: Dut) -> None:
    plan = make_plans(sums4, bench_frames(sums4, 1, 1), stalls=False)[-1]
    assert plan.phase.name == "frame_cut_short"
    users = np.flatnonzero(plan.phase.sent.flags & 1)
    assert (users[0], users[1] - users[0], users[2] - users[1]) == (5, 1, 2)
    first, second = plan.segments[0][0].frames
    assert not first.codes.reshape(-1)[3:].any()
    assert not second.codes.reshape(-1)[6:].any()
    assert len(plan.phase.expected) == 3 * (2 + len(plan.segments[1][0].frames))


def _outcome(plans: tuple[Plan, ...], spoil: str = "", passed: bool = True) -> Outcome:
    records = {}
    for plan in plans:
        beats = _copy(plan.phase.expected)
        if plan.phase.name == spoil:
            beats.data[-1, 0] ^= 1
        records[plan.phase.name] = _run(beats, np.arange(3), np.arange(3))
    names = frozenset(plan.phase.name for plan in plans) if passed else frozenset[str]()
    return Outcome(records, {}, names, Path("junit.xml"))


def test_the_plans_cover_pauses_resets_and_cuts(plans: tuple[Plan, ...]) -> None:
    names = [plan.phase.name for plan in plans]
    paused = ["gaps", "back_pressure", "gaps_and_back_pressure", "long_stalls"]
    assert names == ["full_speed", *paused, "reset_in_mid_frame", "frame_cut_short"]
    cut = plans[-1].phase
    assert len(cut.sent) > len(plans[1].phase.sent)
    assert len(cut.expected) > len(plans[1].phase.expected)
    assert 0 < plans[-2].phase.cut < len(plans[-2].phase.sent)


@pytest.mark.parametrize("spoil", ["full_speed", "frame_cut_short"])
def test_the_records_are_compared_a_second_time(box3: Dut, plans: tuple[Plan, ...], spoil: str) -> None:
    assert sum(_check(box3, plans, _outcome(plans), "a test").values()) > 1000
    with pytest.raises(VerificationError, match=f"phase {spoil}: 1 of"):
        _check(box3, plans, _outcome(plans, spoil), "a test")


def test_a_bench_that_did_not_pass_is_not_taken_for_one_that_did(box3: Dut, plans: tuple[Plan, ...]) -> None:
    with pytest.raises(ToolFailedError):
        _check(box3, plans, _outcome(plans, passed=False), "a test")
    outcome = _outcome(plans)
    records = {name: record for name, record in outcome.records.items() if name != "gaps"}
    with pytest.raises(ToolFailedError) as caught:
        _check(box3, plans, Outcome(records, {}, outcome.passed, outcome.junit), "a test")
    assert "gaps" in caught.value.tail
    failed = Outcome(outcome.records, {"gaps": "clock 9: m_axis_tvalid fell"}, outcome.passed, outcome.junit)
    with pytest.raises(VerificationError, match="clock 9"):
        _check(box3, plans, failed, "a test")
