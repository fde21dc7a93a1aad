"""What a rung leaves: the JSON of the command line and the artifact's `rungs/N.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dwell.artifact import write_rung


@dataclass(frozen=True)
class RungResult:
    """One climbed rung. `windows` are the decisions compared; latency and intervals, measured, are in clocks."""

    rung: int
    name: str
    level: str
    windows: int
    mismatches: int
    latency_cycles: int
    ii_cycles: int
    clocks: int
    seconds: float
    simulator: str
    detail: Mapping[str, object] = field(default_factory=dict)
    frame_cycles: int = 0

    @property
    def cycles_per_second(self) -> float:
        """Simulated clocks a second."""
        return round(self.clocks / self.seconds, 1) if self.seconds > 0 else 0.0

    def to_json(self) -> dict[str, object]:
        """The keys that `dwell simulate --json` promises, and a few more."""
        return {
            "level": self.level,
            "vectors": self.windows,
            "windows": self.windows,
            "mismatches": self.mismatches,
            "latency_cycles": self.latency_cycles,
            "ii_cycles": self.ii_cycles,
            "frame_cycles": self.frame_cycles,
            "cycles": self.clocks,
            "seconds": round(self.seconds, 3),
            "cycles_per_second": self.cycles_per_second,
            "simulator": self.simulator,
            "rung": self.rung,
            "detail": dict(self.detail),
        }

    def write(self, directory: Path) -> None:
        """Write `simulation.json` and `rungs/N.json` into an artifact."""
        rung = {
            "rung": self.rung,
            "name": self.name,
            "ok": self.mismatches == 0,
            "compared": self.windows,
            "mismatches": self.mismatches,
            "tool": self.simulator,
            "detail": {**self.detail, "latency_cycles": self.latency_cycles, "ii_cycles": self.ii_cycles},
        }
        write_json(directory / "simulation.json", self.to_json())
        write_rung(directory, rung)


def write_json(path: Path, value: object) -> None:
    """Canonical JSON: sorted keys, no NaN."""
    path.write_text(json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n")
