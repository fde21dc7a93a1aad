"""Watching the stages of a build through the event files that their processes append to."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dwell.build.plan import Plan, PlannedStage
from dwell.errors import DwellError, ResourceError, error_from_json
from dwell.jobs import EventReader
from dwell.progress import Reporter


@dataclass(frozen=True)
class Outcome:
    """What became of a stage: `ran`, `cached`, `failed`, `planned` (dry run), `skipped` (after a failure)."""

    name: str
    status: str
    seconds: float
    artifact: Path | None
    log: Path | None = None
    error: DwellError | None = None

    def to_json(self) -> dict[str, Any]:
        """The stage's entry in the JSON object of a build."""
        return {
            "name": self.name,
            "status": self.status,
            "seconds": round(self.seconds, 3),
            "artifact": str(self.artifact) if self.artifact else None,
            "log": str(self.log) if self.log else None,
        }


@dataclass
class _Seen:
    """What a stage's events have told so far."""

    reader: EventReader
    begun: bool = False
    seconds: float = 0.0
    ended: bool = False
    error: DwellError | None = None


@dataclass
class Watcher:
    """Reads the events of pending stages, tells the reporter, and knows in the end what became of each."""

    plan: Plan
    report: Reporter
    _seen: dict[str, _Seen] = field(default_factory=dict)

    def events(self, planned: PlannedStage) -> Path:
        """The event file of a stage."""
        return self.plan.project.work / "jobs" / f"{planned.name}.events"

    def log(self, planned: PlannedStage) -> Path:
        """The log of a stage."""
        return self.plan.project.work / "logs" / f"{planned.name}.log"

    def look(self) -> None:
        """Read what is new."""
        for planned in self.plan.pending:
            seen = self._seen.setdefault(planned.name, _Seen(EventReader(self.events(planned))))
            for event in seen.reader.read():
                self._note(planned.name, seen, event)

    def _note(self, name: str, seen: _Seen, event: Any) -> None:
        kind = event["event"]
        if kind == "start":
            seen.begun = True
            self.report.start(name)
        elif kind == "progress":
            self.report.update(name, float(event["fraction"]), str(event["text"]))
        elif kind in ("end", "error"):
            seen.seconds = float(event["seconds"])
            seen.ended = kind == "end"
            seen.error = error_from_json(event["error"]) if kind == "error" else None
            text = f"{seen.seconds:.1f} s" if seen.ended else f"failed after {seen.seconds:.1f} s"
            self.report.end(name, text, ok=seen.ended)

    def something_failed(self) -> bool:
        """Whether a stage began and did not end well."""
        return any(seen.begun and not seen.ended for seen in self._seen.values())

    def all_ended(self) -> bool:
        """Whether every pending stage ended well."""
        return all(
            planned.name in self._seen and self._seen[planned.name].ended for planned in self.plan.pending
        )

    def outcomes(self) -> tuple[tuple[Outcome, ...], DwellError | None]:
        """What became of each stage of the plan, and the first error in the order of the stages."""
        found = tuple(self._outcome(planned) for planned in self.plan.stages)
        return found, next((o.error for o in found if o.error is not None), None)

    def _outcome(self, planned: PlannedStage) -> Outcome:
        if planned.whole:
            return Outcome(planned.name, "cached", 0.0, planned.path)
        seen = self._seen.get(planned.name)
        if seen is None or not seen.begun:
            return Outcome(planned.name, "skipped", 0.0, None)
        log = self.log(planned)
        if seen.ended:
            return Outcome(planned.name, "ran", seen.seconds, planned.path, log)
        error = seen.error or ResourceError(
            f"stage '{planned.name}' ended without a word, as if it had been killed",
            hint=f"out of memory? lower -j; its log is {log}",
            place=str(log),
        )
        return Outcome(planned.name, "failed", seen.seconds, None, log, error)
