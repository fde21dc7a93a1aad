"""What `dwell` asks of a microscope: few calls, units in names, one way to fail.

Coordinates
-----------
Probe positions are nanometres in the field of view: (0, 0) is its upper left corner, x runs along a line,
y from line to line. The centre of pixel `p` of line `l` is ((p + 0.5) * pitch, (l + 0.5) * pitch), with
pitch = field width / pixels in a line; pixels are square. A positive stage move shifts the sample right
and down in the image.

Time
----
Times are seconds of `time.monotonic()`. They compare with the host's own only where instrument and host
run on one machine (Linux gives all its processes one monotonic clock); `InstrumentInfo.shares_clock` says
so.

Threads
-------
Every method may be called from any thread, and commands may be given while another thread iterates over a
scan. One scan runs at a time. The iterator that `scan` gives belongs to the thread that uses it.

Failure
-------
Everything that an instrument refuses or cannot do raises `DeviceError`: an argument out of range, a call
at the wrong moment, an instrument that has died. A call whose instrument does not answer raises it within
`InstrumentInfo.timeout_s`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class InstrumentInfo:
    """What an instrument is. `simulated` is False for a real one; `energies_eV` are its spectra's."""

    name: str
    simulated: bool
    versions: Mapping[str, str]
    energies_eV: NDArray[np.float64]
    timeout_s: float
    shares_clock: bool


@dataclass(frozen=True)
class InstrumentState:
    """What an instrument does now. `electrons` counts those sent on to the sample by scans and spectra so
    far.
    """

    blanked: bool
    scanning: bool
    probe_current_pA: float
    field_of_view_nm: float
    defocus_nm: float
    stage_nm: tuple[float, float]
    probe_nm: tuple[float, float]
    electrons: float


@dataclass(frozen=True)
class ScanRequest:
    """A scan: `frames` frames of `lines` lines of `pixels` pixels, each dwelt upon for `dwell_us`."""

    lines: int
    pixels: int
    dwell_us: float
    frames: int = 1


@dataclass(frozen=True)
class Row:
    """One line as it was scanned. `pixels` (W,) float32 in [0, 1); `finished_s`: its last pixel was read."""

    frame: int
    line: int
    pixels: NDArray[np.float32]
    finished_s: float


@dataclass(frozen=True)
class Spectrum:
    """Counts (E,) at the energies of `InstrumentInfo`, the probe at (x_nm, y_nm) for `dwell_ms`.

    `received_s` is when the instrument got the command, `finished_s` when the exposure ended.
    """

    x_nm: float
    y_nm: float
    dwell_ms: float
    counts: NDArray[np.float32] = field(repr=False)
    received_s: float
    finished_s: float


@runtime_checkable
class Instrument(Protocol):
    """A scanning transmission electron microscope with a HAADF detector and a spectrometer."""

    @property
    def info(self) -> InstrumentInfo:
        """What it is; known without asking it again."""
        ...

    def state(self) -> InstrumentState:
        """What it does now."""
        ...

    def scan(self, request: ScanRequest) -> Iterator[Row]:
        """Scan, and give each row as soon as it has been scanned.

        The scan starts at once. Closing the iterator (or leaving it by an error) stops the scan. Lines that
        come faster than they are taken are lost oldest first, once a generous buffer is full: their numbers
        are missing.
        """
        ...

    def stop_scan(self) -> None:
        """Stop a scan in progress; its iterator ends. Does nothing if none runs."""
        ...

    def spectrum(self, x_nm: float, y_nm: float, dwell_ms: float) -> Spectrum:
        """Put the probe at a point and take a spectrum.

        During a scan the beam leaves it at the end of a line and returns to the next line afterwards. The
        beam has to be unblanked; a blanked one gives dark counts.
        """
        ...

    def set_probe(self, x_nm: float, y_nm: float) -> None:
        """Park the probe at a point; it stands there when no scan runs."""
        ...

    def set_field_of_view(self, width_nm: float) -> None:
        """Width of the field that scans cover. Refused during a scan."""
        ...

    def set_stage(self, x_nm: float, y_nm: float) -> None:
        """Move the stage; a scan in progress shows it from the next line on."""
        ...

    def set_defocus(self, defocus_nm: float) -> None:
        """Set the defocus; a scan in progress shows it from the next line on."""
        ...

    def blank(self) -> None:
        """Take the beam off the sample; a scan in progress shows dark counts from the next line on."""
        ...

    def unblank(self) -> None:
        """Let the beam on to the sample."""
        ...

    def close(self) -> None:
        """Blank the beam and let go of the instrument. May be called again, and after the instrument has
        died.
        """
        ...
