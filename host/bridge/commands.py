"""What a policy may ask of the instrument, what it is told, and the budget that binds it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from dwell.errors import ConfigError
from dwell.host.bridge.board import Event

ELECTRONS_PER_PA_MS = 6241.509074
Reason = Literal["event", "reference"]


@dataclass(frozen=True)
class TakeSpectrum:
    """A spectrum at (x_nm, y_nm) of the field. `event` is the event answered, `first_event` the first of its
    kin.
    """

    x_nm: float
    y_nm: float
    dwell_ms: float
    reason: Reason
    event: Event | None = None
    first_event: Event | None = None


@dataclass(frozen=True)
class MoveStage:
    """Move the stage to (x_nm, y_nm)."""

    x_nm: float
    y_nm: float


@dataclass(frozen=True)
class SetDefocus:
    """Set the defocus."""

    defocus_nm: float


@dataclass(frozen=True)
class BlankBeam:
    """Take the beam off the sample for the rest of the run."""


Command: TypeAlias = TakeSpectrum | MoveStage | SetDefocus | BlankBeam


class Budget:
    """Electrons and seconds that a run may spend on spectra. The bridge holds every policy to it."""

    def __init__(self, dose_e: float, time_s: float, probe_current_pA: float) -> None:
        if min(dose_e, time_s) < 0:
            raise ConfigError(f"a budget of {dose_e:g} electrons and {time_s:g} s is negative")
        self.dose_e, self.time_s = dose_e, time_s
        self._current_pA = probe_current_pA
        self.spent_e = 0.0
        self.spent_s = 0.0

    def cost_e(self, dwell_ms: float) -> float:
        """Electrons of one spectrum."""
        return self._current_pA * ELECTRONS_PER_PA_MS * dwell_ms

    def affords(self, dwell_ms: float, more_ms: float = 0.0) -> bool:
        """Whether a spectrum fits in what is left, `more_ms` of others before it included."""
        total_ms = dwell_ms + more_ms
        return (
            self.spent_e + self.cost_e(total_ms) <= self.dose_e
            and self.spent_s + total_ms * 1e-3 <= self.time_s
        )

    def spend(self, dwell_ms: float) -> None:
        """Book one spectrum."""
        self.spent_e += self.cost_e(dwell_ms)
        self.spent_s += dwell_ms * 1e-3


@dataclass(frozen=True)
class PolicyContext:
    """What a policy knows of the scan. Pixel (line l, pixel p) lies at ((p + 0.5) * pitch_nm, (l + 0.5) *
    pitch_nm).

    `reach` (lines, pixels) is the window's half size: the decision for line l comes with row l + reach[0].
    """

    lines: int
    pixels: int
    frames: int
    pitch_nm: float
    reach: tuple[int, int]
    budget: Budget
    seed: int


@runtime_checkable
class Policy(Protocol):
    """Decides what the instrument does about events. Called by the bridge's one thread; must not block."""

    def start(self, context: PolicyContext) -> None:
        """A run begins."""
        ...

    def on_events(self, events: Sequence[Event]) -> None:
        """Events came. Those whose window holds a lost line never get here."""
        ...

    def on_row(self, frame: int, line: int) -> Sequence[Command]:
        """A row was scanned, sent to the board, and its events handed over; what to do now."""
        ...

    def on_frame(self, frame: int, image: NDArray[np.uint8]) -> Sequence[Command]:
        """A frame (lines, pixels) is complete; what to do before the next."""
        ...
