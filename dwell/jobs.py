"""A job: what one process shall do, as a JSON file, and the events by which it tells how it goes."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from dwell.processes import ProcessIdentity


@dataclass(frozen=True)
class Job:
    """A stage or a command to run. `events` is the file that its process appends events to, `log` its log.

    A stage has `inputs` (stage name to artifact directory), `out` (the artifact) and `manifest` (what is
    known of its manifest beforehand); what it leaves when it fails is kept at `failed`. A command has `args`.
    """

    kind: Literal["stage", "command"]
    name: str
    run: str
    owner: dict[str, Any]
    events: str
    log: str
    args: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)
    manifest: dict[str, Any] = field(default_factory=dict)
    out: str = ""
    failed: str = ""

    def write(self, path: Path) -> Path:
        """Write the job file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=1))
        return path

    @classmethod
    def read(cls, path: Path) -> Job:
        """Read a job file that `write` made."""
        return cls(**json.loads(path.read_text()))

    @property
    def owned_by(self) -> ProcessIdentity:
        """The process whose end ends the job."""
        return ProcessIdentity.from_json(self.owner)


class EventWriter:
    """Appends events to a job's event file, a JSON object a line, each in one write."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._last_progress = 0.0

    def write(self, event: str, **values: Any) -> None:
        """Append one event."""
        line = json.dumps({"event": event, **values}) + "\n"
        with self._path.open("a") as stream:
            stream.write(line)

    def progress(self, fraction: float, text: str) -> None:
        """Append a progress event, ten a second at most: a tight loop may call this freely."""
        now = time.monotonic()
        if fraction >= 1.0 or now - self._last_progress > 0.1:
            self._last_progress = now
            self.write("progress", fraction=fraction, text=text)


class EventReader:
    """Reads the events that a job has appended since the last look."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def read(self) -> list[Mapping[str, Any]]:
        """The new events; a line that is not whole yet waits for the next look."""
        if not self._path.exists():
            return []
        with self._path.open("rb") as stream:
            stream.seek(self._offset)
            data = stream.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        return [json.loads(line) for line in whole.splitlines()]
