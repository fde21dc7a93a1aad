"""The loop: rows from the instrument to the board, events to the policy, commands to the instrument.

It runs in one thread, so what happened in which order is never in doubt: a row is recorded, sent to the
board, its events are recorded and given to the policy, and what the policy wants is done, before the next
row is taken. The scan does not wait for that: rows queue at the instrument, and a line lost there is
counted.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from dwell.errors import DeviceError, VerificationError
from dwell.host.bridge.board import Board, Event
from dwell.host.bridge.commands import (
    BlankBeam,
    Budget,
    Command,
    MoveStage,
    Policy,
    PolicyContext,
    SetDefocus,
    TakeSpectrum,
)
from dwell.host.bridge.record import Recorder
from dwell.host.instruments.protocol import Instrument, Row, ScanRequest

CODES = 256
COUNTERS = (
    "rows",
    "rows_lost",
    "pixels_in",
    "frames",
    "pixels_decided",
    "pixels_dropped",
    "decisions",
    "triggers",
    "board_events",
    "events_dropped",
    "events_recorded",
    "events_invalid",
    "spectra",
    "commands",
    "refused_by_budget",
    "electrons_on_spectra",
)


@dataclass(frozen=True)
class RunPlan:
    """One run. `stop` is asked before every row and every command."""

    scan: ScanRequest
    field_of_view_nm: float
    threshold: int
    dead_time: int
    seed: int
    stop: Callable[[], bool] = field(default=lambda: False)

    @property
    def pitch_nm(self) -> float:
        """Size of a pixel."""
        return self.field_of_view_nm / self.scan.pixels


@dataclass
class RunResult:
    """What came of a run. `stopped` is empty for one that ran to its end."""

    counters: dict[str, int]
    stopped: str = ""


class Bridge:
    """One run of instrument, board and policy into one record."""

    def __init__(
        self,
        instrument: Instrument,
        board: Board,
        policy: Policy,
        recorder: Recorder,
        budget: Budget,
        plan: RunPlan,
    ) -> None:
        self._instrument, self._board, self._policy = instrument, board, policy
        self._recorder, self._budget, self._plan = recorder, budget, plan
        self._counts = dict.fromkeys(COUNTERS, 0)
        self._image = np.zeros((plan.scan.lines, plan.scan.pixels), np.uint8)
        self._finished_s = np.full(plan.scan.lines, np.nan)
        self._filled: set[tuple[int, int]] = set()
        self._event_rows: dict[Event, int] = {}
        self._result = RunResult(self._counts)
        self._over = False

    def run(self) -> RunResult:
        """Run until the scan ends, the policy blanks the beam, or `stop` says so. The beam is blanked at the
        end.

        Raises what went wrong (`DeviceError`, `ResourceError`, …) after the beam was blanked and the record
        closed.
        """
        error: BaseException | None = None
        try:
            self._run()
        except BaseException as raised:
            error = raised
            self._result.stopped = f"stopped: {raised}"
        dark = self._darken()
        self._final_counts()
        self._recorder.close(self._result.stopped or "complete", self._counts)
        if error is not None:
            raise error
        if dark is not None:
            raise dark
        if not self._result.stopped:
            check_counts(self._counts)
        return self._result

    def _run(self) -> None:
        plan, scan = self._plan, self._plan.scan
        self._instrument.set_field_of_view(plan.field_of_view_nm)
        self._board.start(scan.lines, scan.pixels, plan.threshold, plan.dead_time)
        window = self._board.info.window
        self._reach = ((window[0] - 1) // 2, (window[1] - 1) // 2)
        self._policy.start(
            PolicyContext(
                scan.lines, scan.pixels, scan.frames, plan.pitch_nm, self._reach, self._budget, plan.seed
            )
        )
        if self._stop():
            return
        self._instrument.unblank()
        rows = self._instrument.scan(scan)
        with contextlib.closing(rows):  # type: ignore[type-var]
            for row in self._whole(rows):
                self._one(row)
                if self._over or self._stop():
                    return
        if self._result.stopped == "":
            self._take_events(self._board.finish(), scan.frames - 1)

    def _stop(self) -> bool:
        if self._plan.stop() and not self._result.stopped:
            self._result.stopped = "stopped: asked to"
        return bool(self._result.stopped)

    def _whole(self, rows: Iterator[Row]) -> Iterator[Row]:
        """The rows in raster order without gaps: what was lost on the way is filled, so that the board keeps
        step.
        """
        scan, due = self._plan.scan, 0
        for row in rows:
            number = row.frame * scan.lines + row.line
            if number < due or len(row.pixels) != scan.pixels:
                raise DeviceError(f"the instrument gave row {row.line} of frame {row.frame} out of turn")
            while due < number:
                yield self._fill(*divmod(due, scan.lines))
                due += 1
            yield row
            due += 1
        while not self._stop() and due < scan.frames * scan.lines:
            yield self._fill(*divmod(due, scan.lines))
            due += 1

    def _fill(self, frame: int, line: int) -> Row:
        self._filled.add((frame, line))
        return Row(frame, line, np.zeros(self._plan.scan.pixels, np.float32), float("nan"))

    def _one(self, row: Row) -> None:
        filled = (row.frame, row.line) in self._filled
        codes = np.minimum(row.pixels * CODES, CODES - 1).astype(np.uint8)
        self._image[row.line] = codes
        self._finished_s[row.line] = row.finished_s
        self._counts["rows_lost" if filled else "rows"] += 1
        self._counts["pixels_in"] += codes.size
        self._recorder.row(row, codes, filled=filled)
        self._board.send(codes[None])
        self._take_events(self._board.events(), row.frame)
        self._do(self._policy.on_row(row.frame, row.line))
        if row.line == self._plan.scan.lines - 1:
            self._counts["frames"] = row.frame + 1
            self._do(self._policy.on_frame(row.frame, self._image))
            self._event_rows.clear()
            self._filled = {x for x in self._filled if x[0] >= row.frame}
        self._recorder.tick(self._counts)

    def _take_events(self, events: Sequence[Event], frame: int) -> None:
        good: list[Event] = []
        for event in events:
            near = range(event.line - self._reach[0], event.line + self._reach[0] + 1)
            valid = not (self._filled and any((event.frame, k) in self._filled for k in near))
            last = event.line + self._reach[0]
            finished = (
                float(self._finished_s[last])
                if event.frame == frame and last < len(self._finished_s)
                else np.nan
            )
            self._event_rows[event] = self._recorder.event(event, valid=valid, row_finished_s=finished)
            self._counts["events_recorded"] += 1
            self._counts["events_invalid"] += not valid
            if valid:
                good.append(event)
        if good:
            self._policy.on_events(good)

    def _do(self, commands: Sequence[Command]) -> None:
        for command in commands:
            if self._over or self._stop():
                return
            sent = time.monotonic()
            if isinstance(command, TakeSpectrum):
                self._spectrum(command, sent)
                continue
            if isinstance(command, MoveStage):
                self._instrument.set_stage(command.x_nm, command.y_nm)
                self._recorder.command("stage", command.x_nm, command.y_nm, sent)
            elif isinstance(command, SetDefocus):
                self._instrument.set_defocus(command.defocus_nm)
                self._recorder.command("defocus", command.defocus_nm, float("nan"), sent)
            elif isinstance(command, BlankBeam):
                self._instrument.blank()
                self._recorder.command("blank", float("nan"), float("nan"), sent)
                self._over, self._result.stopped = True, "stopped: the policy blanked the beam"
            self._counts["commands"] += 1

    def _spectrum(self, command: TakeSpectrum, sent: float) -> None:
        if not self._budget.affords(command.dwell_ms):
            self._counts["refused_by_budget"] += 1
            return
        self._budget.spend(command.dwell_ms)  # before: a spectrum that fails has cost its dose all the same
        spectrum = self._instrument.spectrum(command.x_nm, command.y_nm, command.dwell_ms)
        event = self._event_rows.get(command.event, -1) if command.event is not None else -1
        self._recorder.spectrum(command, event, sent, spectrum)
        self._counts["commands"] += 1
        self._counts["spectra"] += 1
        self._counts["electrons_on_spectra"] = round(self._budget.spent_e)

    def _darken(self) -> DeviceError | None:
        """Blank the beam, whatever happened before; the error if that failed."""
        try:
            self._instrument.blank()
        except DeviceError as error:
            return DeviceError(
                f"the beam could not be blanked: {error.message}", hint=error.hint, place=error.place
            )
        return None

    def _final_counts(self) -> None:
        """Fetch the board's last events and its counters; a board that is gone leaves the last ones known."""
        with contextlib.suppress(DeviceError):
            if self._result.stopped and self._counts["rows"]:
                self._take_late(self._board.finish())
            got = self._board.counters()
            for name in ("pixels_decided", "pixels_dropped", "decisions", "triggers", "events_dropped"):
                self._counts[name] = getattr(got, name)
            self._counts["board_events"] = got.events

    def _take_late(self, events: Sequence[Event]) -> None:
        with contextlib.suppress(
            Exception
        ):  # the record may be what failed; the count then says what it lacks
            for event in events:
                self._recorder.event(event, valid=False, row_finished_s=float("nan"))
                self._counts["events_recorded"] += 1
                self._counts["events_invalid"] += 1


def check_counts(counts: dict[str, int]) -> None:
    """Raise `VerificationError` unless pixels and events add up."""
    for left, right in (
        (("pixels_in",), ("pixels_decided", "pixels_dropped")),
        (("triggers",), ("events_recorded", "events_dropped")),
        (("board_events",), ("events_recorded",)),
    ):
        a, b = sum(counts[n] for n in left), sum(counts[n] for n in right)
        if a != b:
            raise VerificationError(
                f"counters do not add up: {' + '.join(left)} = {a}, {' + '.join(right)} = {b}",
                first_mismatch={"counters": list(left + right), "values": [counts[n] for n in left + right]},
            )
