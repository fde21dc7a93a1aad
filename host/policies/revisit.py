"""The policy `revisit`: a spectrum at each event, once, and as many at perfect columns to compare with.

Neighbouring decisions above the threshold are one vacancy: the strongest of them is visited, as soon as no
stronger one can come. Perfect columns are found without any knowledge of the sample: the image gives the
lattice, the events (which lie on sulphur columns) say which of its sites are sulphur, and those far from
every event count as perfect.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from dwell.host.bridge.board import Event
from dwell.host.bridge.commands import Command, PolicyContext, TakeSpectrum
from dwell.host.policies.lattice import lattice_of

_ROWS_BETWEEN_REFERENCES = 4


class RevisitParams(BaseModel):
    """Settings of `revisit`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dwell_ms: float = Field(default=8.0, gt=0, le=2000, description="of each spectrum")
    merge_radius_nm: float = Field(default=0.20, gt=0, description="events nearer than this are one vacancy")
    settle_rows: int = Field(
        default=2, ge=0, description="rows to wait for a stronger event of the same vacancy"
    )
    references: float = Field(
        default=1.0, ge=0, description="spectra of perfect columns for each one at an event"
    )
    clearance_nm: float = Field(default=0.30, gt=0, description="of a perfect column from every event")
    margin_nm: float = Field(default=0.50, ge=0, description="of a perfect column from the frame's border")
    row_spacing_nm: float = Field(default=0.2737, gt=0, description="between lattice rows: a * sqrt(3) / 2")


@dataclass
class _Cluster:
    first: Event
    best: Event


class Revisit:
    """See the module. Implements `Policy`."""

    name = "revisit"
    params = RevisitParams

    def __init__(self, params: RevisitParams) -> None:
        self._p = params

    def start(self, context: PolicyContext) -> None:
        """See `Policy`."""
        self._c = context
        self._open: list[_Cluster] = []
        self._visited: list[tuple[float, float]] = []  # pixels (line, pixel)
        self._seen: set[tuple[int, int]] = set()
        self._waiting: list[Command] = []
        self._references_taken: list[tuple[float, float]] = []
        self._reach_px = self._p.merge_radius_nm / context.pitch_nm
        self._rng = np.random.default_rng([context.seed, 17])

    def on_events(self, events: Sequence[Event]) -> None:
        """See `Policy`."""
        for event in events:
            self._seen.add((event.line, event.pixel))
            home = next((c for c in self._open if self._near(c.best, event)), None)
            if home is None:
                self._open.append(_Cluster(event, event))
            elif event.score > home.best.score:
                home.best = event

    def _near(self, a: Event, b: Event) -> bool:
        return a.frame == b.frame and np.hypot(a.line - b.line, a.pixel - b.pixel) <= self._reach_px

    def on_row(self, frame: int, line: int) -> Sequence[Command]:
        """See `Policy`."""
        decided = line - self._c.reach[0]
        ripe = [c for c in self._open if c.best.frame < frame or c.best.line + self._p.settle_rows <= decided]
        commands = self._visit(ripe)
        if not commands and self._waiting and line % _ROWS_BETWEEN_REFERENCES == 0:
            # one at a time, between the rows of the next frame: a long pause would let rows and events queue
            commands.append(self._waiting.pop())
        return commands

    def on_frame(self, frame: int, image: NDArray[np.uint8]) -> Sequence[Command]:
        """See `Policy`."""
        commands = self._visit(list(self._open))
        self._waiting.extend(self._references(image))
        if frame == self._c.frames - 1:
            commands += self._waiting
            self._waiting = []
        return commands

    def _visit(self, ripe: list[_Cluster]) -> list[Command]:
        commands: list[Command] = []
        for cluster in ripe:
            self._open.remove(cluster)
            at = (cluster.best.line, cluster.best.pixel)
            if self._known(at, self._visited) or not self._affordable(len(commands)):
                continue
            self._visited.append(at)
            commands.append(self._spectrum(at, cluster))
        return commands

    def _known(self, at: tuple[float, float], places: list[tuple[float, float]]) -> bool:
        return any(np.hypot(at[0] - y, at[1] - x) <= self._reach_px for y, x in places)

    def _affordable(self, already: int) -> bool:
        return self._c.budget.affords(self._p.dwell_ms, already * self._p.dwell_ms)

    def _references(self, image: NDArray[np.uint8]) -> list[Command]:
        wanted = int(len(self._visited) * self._p.references) - len(self._references_taken)
        lattice = (
            lattice_of(
                image,
                np.array(self._visited, dtype=np.float64).reshape(-1, 2),
                self._p.row_spacing_nm / self._c.pitch_nm,
            )
            if wanted > 0
            else None
        )
        if lattice is None:
            return []
        pitch = self._c.pitch_nm
        sites = lattice.sites(
            self._c.lines, self._c.pixels, max(self._p.margin_nm / pitch, max(self._c.reach))
        )
        marked = np.array(sorted(self._seen), dtype=np.float64)
        clear = [s for s in sites if np.hypot(*(marked - s).T).min() * pitch >= self._p.clearance_nm]
        commands: list[Command] = []
        for index in self._rng.permutation(len(clear)):
            at = (float(clear[index][0]), float(clear[index][1]))
            if len(commands) == wanted or not self._affordable(len(commands) + len(self._waiting)):
                break
            if not self._known(at, self._references_taken):
                self._references_taken.append(at)
                commands.append(self._spectrum(at, None))
        return commands

    def _spectrum(self, at: tuple[float, float], cluster: _Cluster | None) -> TakeSpectrum:
        pitch = self._c.pitch_nm
        x, y = (at[1] + 0.5) * pitch, (at[0] + 0.5) * pitch
        if cluster is None:
            return TakeSpectrum(x, y, self._p.dwell_ms, "reference")
        return TakeSpectrum(x, y, self._p.dwell_ms, "event", cluster.best, cluster.first)
