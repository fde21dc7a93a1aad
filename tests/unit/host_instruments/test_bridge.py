"""The bridge with the real simulated microscope and the golden model as its board."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from dwell.errors import ConfigError, DeviceError, ResourceError, VerificationError
from dwell.hls.qmodel import QModel, run_codes
from dwell.hls.qmodel.random_models import DETECTOR, random_conv_model
from dwell.host.bridge.analysis import compare
from dwell.host.bridge.board import BoardCounters, Event
from dwell.host.bridge.commands import BlankBeam, Budget, Command, PolicyContext, SetDefocus, TakeSpectrum
from dwell.host.bridge.loop import COUNTERS, Bridge, RunPlan, check_counts
from dwell.host.bridge.record import Record, Recorder, RecordHeader, open_record
from dwell.host.bridge.software_board import SoftwareBoard
from dwell.host.instruments import Row, ScanRequest
from dwell.host.instruments.nion.client import NionInstrument
from dwell.host.instruments.nion.settings import MicroscopeSettings
from dwell.host.policies.revisit import Revisit, RevisitParams

SIDE, FIELD_NM = 160, 6.4
Detector = tuple[QModel, int]


def _plan(instrument: NionInstrument, threshold: int, *, frames: int = 1, side: int = SIDE) -> RunPlan:
    dwell = instrument.settings.dwell_us_for_dose(30_000, 0.4)
    return RunPlan(ScanRequest(side, side, dwell, frames), side * 0.04, threshold, 0, seed=1)


def _recorder(path: Path, plan: RunPlan, instrument: NionInstrument) -> Recorder:
    return Recorder(
        path,
        RecordHeader(
            plan.scan.lines,
            plan.scan.pixels,
            plan.pitch_nm,
            instrument.info.energies_eV,
            COUNTERS,
            {"software": {"dwell": "test"}, "design_digest": "d"},
        ),
    )


class _Idle:
    """A policy that does nothing; tests fill in what they need."""

    def start(self, context: PolicyContext) -> None:
        self.context = context

    def on_events(self, events: Sequence[Event]) -> None:
        return None

    def on_row(self, frame: int, line: int) -> Sequence[Command]:
        return ()

    def on_frame(self, frame: int, image: NDArray[np.uint8]) -> Sequence[Command]:
        return ()


# ---- the board


@pytest.mark.parametrize("seed", range(4))
def test_the_software_board_decides_as_the_golden_model(seed: int) -> None:
    """Sent in pieces of any size: the decisions of whole frames, with the firmware's dead time."""
    model = random_conv_model(
        seed, DETECTOR if seed == 0 else replace(DETECTOR, score_cast=True, per_channel=True)
    )
    rng = np.random.default_rng(3)
    frames = rng.integers(0, 256, (3, 24, 31)).astype(np.uint8)
    scores = run_codes(model, frames[..., None].astype(np.int64))[..., 0]
    threshold, dead = int(np.quantile(scores, 0.7)), 5
    expected = []
    for number, frame in enumerate(scores):
        quiet = 0
        for index, score in enumerate(frame.ravel()):
            line, pixel = divmod(index, frame.shape[1])
            if score >= threshold and quiet == 0:
                expected.append((number, line + 5, pixel + 5, int(score)))
                quiet = dead
            else:
                quiet = max(0, quiet - 1)
    board = SoftwareBoard(model)
    board.start(24, 31, threshold, dead)
    rows, got = frames.reshape(-1, 31), []
    cuts = np.sort(rng.integers(0, len(rows), 9)).tolist()
    for a, b in zip([0, *cuts], [*cuts, len(rows)], strict=True):
        board.send(rows[a:b])
        got += board.events()
    assert [(e.frame, e.line, e.pixel, e.score) for e in got] == expected
    counters = board.counters()
    assert counters.pixels == counters.pixels_decided == rows.size and counters.frames == 3
    assert counters.decisions == scores.size and counters.triggers == counters.events == len(expected)


# ---- the whole loop


@pytest.fixture(scope="module")
def experiment(
    start_microscope: Callable[..., NionInstrument],
    bright: Callable[[int], MicroscopeSettings],
    detector: Detector,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Record, NDArray[np.float64], object]]:
    """Two frames of a specimen that the detector has not seen: record, true vacancies, result."""
    path = tmp_path_factory.mktemp("run") / "run.h5"
    with start_microscope(bright(4)) as instrument:
        plan = _plan(instrument, detector[1], frames=2)
        board, policy = SoftwareBoard(detector[0]), Revisit(RevisitParams(dwell_ms=8.0))
        budget = Budget(1e12, 60.0, instrument.state().probe_current_pA)
        result = Bridge(instrument, board, policy, _recorder(path, plan, instrument), budget, plan).run()
        assert instrument.state().blanked
        truth = instrument.ground_truth_nm()
    return open_record(path), truth, result


def test_spectra_at_events_differ_from_perfect_columns(
    experiment: tuple[Record, NDArray[np.float64], object],
) -> None:
    """The sulphur edge at events is weaker by more than five standard errors; only events and image were
    known.
    """
    record, _, _ = experiment
    events, references = record.spectra_for("event"), record.spectra_for("reference")
    found = compare(record.energies_eV, events, references)
    assert found is not None and found.n_events >= 10 and found.n_references >= 10
    assert found.sigmas > 5


def test_the_places_are_what_they_are_taken_for(
    experiment: tuple[Record, NDArray[np.float64], object],
) -> None:
    """Judged by the truth, which the policy never saw: each vacancy visited once, references on perfect
    columns.
    """
    record, truth, _ = experiment
    commands = record.commands

    def places(reason: bytes) -> NDArray[np.float64]:
        chosen = commands[commands["reason"] == reason]
        return np.stack([chosen["x_nm"], chosen["y_nm"]], axis=1)

    visits, references = places(b"event"), places(b"reference")
    to_truth = np.hypot(*(visits[:, None] - truth[None]).transpose(2, 0, 1)).min(axis=1)
    assert (to_truth < 0.1).mean() > 0.8
    apart = np.hypot(*(visits[:, None] - visits[None]).transpose(2, 0, 1)) + np.eye(len(visits))
    assert apart.min() > 0.2
    away = np.hypot(*(references[:, None] - truth[None]).transpose(2, 0, 1)).min(axis=1)
    assert (away > 0.2).mean() > 0.8
    inner = truth[((truth > 0.3) & (truth < FIELD_NM - 0.3)).all(axis=1)]
    found = np.hypot(*(inner[:, None] - visits[None]).transpose(2, 0, 1)).min(axis=1) < 0.12
    assert found.mean() > 0.7


def test_everything_is_counted_and_recorded(
    experiment: tuple[Record, NDArray[np.float64], object], detector: Detector
) -> None:
    """The counters add up, and the record alone is enough to compute every decision again."""
    record, _, _ = experiment
    counters = record.counters
    assert record.status == "complete" and counters["frames"] == 2
    assert counters["pixels_in"] == 2 * SIDE * SIDE == counters["pixels_decided"] + counters["pixels_dropped"]
    assert counters["rows"] == 2 * SIDE and counters["rows_lost"] == 0 and (record.row_state == 1).all()
    assert (
        counters["triggers"] == counters["board_events"] == counters["events_recorded"] == len(record.events)
    )
    assert counters["spectra"] == len(record.spectra) == counters["commands"] == len(record.commands)
    scores = run_codes(detector[0], record.pixels[..., None].astype(np.int64))[..., 0]
    again = [(f, y + 5, x + 5, int(scores[f, y, x])) for f, y, x in np.argwhere(scores >= detector[1])]
    assert again == [tuple(int(n) for n in row.tolist()[:4]) for row in record.events]
    assert record.attributes["design_digest"] == "d" and "dwell" in record.attributes["software"]


def test_commands_follow_events_in_time(experiment: tuple[Record, NDArray[np.float64], object]) -> None:
    """Event to command, one machine: the median within 20 ms; and times are in the order of what happened."""
    record, _, _ = experiment
    visits = record.commands[record.commands["reason"] == b"event"]
    assert np.median(visits["received_s"] - visits["event_seen_s"]) < 20.0e-3
    assert (visits["event_seen_s"] <= visits["sent_s"]).all() and (
        visits["sent_s"] <= visits["received_s"]
    ).all()
    assert (visits["received_s"] < visits["finished_s"]).all() and (visits["event"] >= 0).all()
    assert (record.events["row_finished_s"] <= record.events["seen_s"]).all()


# ---- budgets and commands


def test_a_budget_binds_every_policy(microscope: NionInstrument, detector: Detector, tmp_path: Path) -> None:
    class Greedy(_Idle):
        def on_row(self, frame: int, line: int) -> Sequence[Command]:
            return [TakeSpectrum(1.0, 1.0, 2.0, "event")]

    plan = _plan(microscope, detector[1], side=40)
    budget = Budget(1e12, 0.0101, microscope.state().probe_current_pA)
    before = microscope.state().electrons
    result = Bridge(
        microscope,
        SoftwareBoard(detector[0]),
        Greedy(),
        _recorder(tmp_path / "r.h5", plan, microscope),
        budget,
        plan,
    ).run()
    assert result.counters["spectra"] == 5 and result.counters["refused_by_budget"] == 35
    scan = 40 * 40 * plan.scan.dwell_us * 100 * 6.241509
    assert microscope.state().electrons - before == pytest.approx(scan + budget.spent_e, rel=0.02)


def test_a_policy_can_end_the_run_and_change_the_focus(
    microscope: NionInstrument, detector: Detector, tmp_path: Path
) -> None:
    class Ending(_Idle):
        def on_row(self, frame: int, line: int) -> Sequence[Command]:
            return {5: [SetDefocus(4.0)], 20: [BlankBeam()]}.get(line, [])

    plan = _plan(microscope, detector[1], side=40)
    result = Bridge(
        microscope,
        SoftwareBoard(detector[0]),
        Ending(),
        _recorder(tmp_path / "r.h5", plan, microscope),
        Budget(0, 0, 100.0),
        plan,
    ).run()
    state = microscope.state()
    microscope.set_defocus(0.0)
    assert "policy blanked" in result.stopped and state.blanked and not state.scanning
    assert state.defocus_nm == pytest.approx(4.0)
    assert open_record(tmp_path / "r.h5").commands["kind"].tolist() == [b"defocus", b"blank"]


# ---- what goes wrong


class _Lossy:
    """The microscope, some of whose rows never arrive."""

    def __init__(self, instrument: NionInstrument, lost: set[int]) -> None:
        self._instrument, self._lost = instrument, lost

    def __getattr__(self, name: str) -> object:
        return getattr(self._instrument, name)

    def scan(self, request: ScanRequest) -> Iterator[Row]:
        with contextlib.closing(self._instrument.scan(request)) as rows:  # type: ignore[type-var]
            yield from (row for row in rows if row.line not in self._lost)


def test_lost_rows_are_counted_and_their_events_not_acted_upon(
    microscope: NionInstrument, detector: Detector, tmp_path: Path
) -> None:
    lost = {30, 31, 79}
    plan = _plan(microscope, detector[1], side=80)
    result = Bridge(
        _Lossy(microscope, lost),
        SoftwareBoard(detector[0]),
        Revisit(RevisitParams()),  # type: ignore[arg-type]
        _recorder(tmp_path / "r.h5", plan, microscope),
        Budget(1e12, 9.0, 100.0),
        plan,
    ).run()
    record = open_record(tmp_path / "r.h5")
    assert result.counters["rows_lost"] == 3 and result.counters["rows"] == 77
    assert set(np.flatnonzero(record.row_state[0] == 2).tolist()) == lost
    touched = np.array([any(abs(int(e["line"]) - k) <= 5 for k in lost) for e in record.events])
    assert np.array_equal(record.events["valid"], ~touched)
    acted = record.commands["event"][record.commands["reason"] == b"event"]
    assert record.events["valid"][acted].all()


class _Faulty(SoftwareBoard):
    """A board that stops answering at a row, or loses events."""

    stops_at = 10**9
    swallows = 0

    def send(self, rows: NDArray[np.uint8]) -> None:
        if self._line >= self.stops_at:
            raise DeviceError("the board does not answer", hint="look at its power")
        super().send(rows)

    def counters(self) -> BoardCounters:
        got = super().counters()
        return replace(got, triggers=got.triggers + self.swallows)


def test_a_board_that_stops_answering_ends_the_run_with_the_beam_blanked(
    microscope: NionInstrument, detector: Detector, tmp_path: Path
) -> None:
    board = _Faulty(detector[0])
    board.stops_at = 20
    plan = _plan(microscope, detector[1], side=80)
    with pytest.raises(DeviceError, match="the board does not answer"):
        Bridge(
            microscope,
            board,
            _Idle(),
            _recorder(tmp_path / "r.h5", plan, microscope),
            Budget(0, 0, 1.0),
            plan,
        ).run()
    assert microscope.state().blanked and not microscope.state().scanning
    record = open_record(tmp_path / "r.h5")
    assert "does not answer" in record.status and record.counters["rows"] == 21


def test_counters_that_do_not_add_up_are_an_error(
    microscope: NionInstrument, detector: Detector, tmp_path: Path
) -> None:
    board = _Faulty(detector[0])
    board.swallows = 1
    plan = _plan(microscope, detector[1], side=40)
    with pytest.raises(VerificationError, match=r"triggers = .*, events_recorded"):
        Bridge(
            microscope,
            board,
            _Idle(),
            _recorder(tmp_path / "r.h5", plan, microscope),
            Budget(0, 0, 1.0),
            plan,
        ).run()
    with pytest.raises(VerificationError, match="pixels_in"):
        check_counts(dict.fromkeys(COUNTERS, 0) | {"pixels_in": 1})


def test_a_microscope_that_dies_in_mid_scan_leaves_a_whole_record(
    fresh: NionInstrument, detector: Detector, tmp_path: Path
) -> None:
    import os
    import signal

    class Killer(_Idle):
        def on_row(self, frame: int, line: int) -> Sequence[Command]:
            if line == 30:
                os.kill(fresh.server_pid, signal.SIGKILL)
            return ()

    plan = _plan(fresh, detector[1], side=80)
    with pytest.raises(DeviceError, match="killed by signal SIGKILL"):
        Bridge(
            fresh,
            SoftwareBoard(detector[0]),
            Killer(),
            _recorder(tmp_path / "r.h5", plan, fresh),
            Budget(0, 0, 1.0),
            plan,
        ).run()
    record = open_record(tmp_path / "r.h5")
    assert "SIGKILL" in record.status and record.counters["rows"] >= 31
    assert (record.row_state[0, :31] == 1).all() and record.pixels[0, :31].std() > 0


def test_a_spectrum_outside_the_field_ends_the_run_in_good_order(
    microscope: NionInstrument, detector: Detector, tmp_path: Path
) -> None:
    class Wild(_Idle):
        def on_row(self, frame: int, line: int) -> Sequence[Command]:
            return [TakeSpectrum(99.0, 1.0, 1.0, "event")] if line == 3 else []

    plan = _plan(microscope, detector[1], side=40)
    with pytest.raises(DeviceError, match="outside the field of view"):
        Bridge(
            microscope,
            SoftwareBoard(detector[0]),
            Wild(),
            _recorder(tmp_path / "r.h5", plan, microscope),
            Budget(1e12, 9.0, 1.0),
            plan,
        ).run()
    assert microscope.state().blanked and "outside" in open_record(tmp_path / "r.h5").status


def test_a_record_is_never_overwritten(
    microscope: NionInstrument, detector: Detector, tmp_path: Path
) -> None:
    plan = _plan(microscope, detector[1])
    (tmp_path / "r.h5").write_text("precious")
    with pytest.raises(ConfigError, match="exists"):
        _recorder(tmp_path / "r.h5", plan, microscope)
    assert (tmp_path / "r.h5").read_text() == "precious"
    with pytest.raises(ConfigError, match="cannot be read as a record"):
        open_record(tmp_path / "r.h5")
    with pytest.raises(ResourceError, match="cannot be written"):
        _recorder(Path("/proc/none/r.h5"), plan, microscope)
