# SPDX-License-Identifier: GPL-3.0-only
"""What clients may ask of the microscope. Plain numbers, strings, dictionaries and bytes cross the socket.

Positions are nm from the upper left corner of the field of view, x to the right, y down. A wrong argument
raises `ValueError`, a wrong moment `RuntimeError`; both reach the client as such.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
import Pyro5.api

from .column import Column
from .optics import ADC_CODES
from .scan import Line

PROTOCOL = 1
MAX_LINES_KEPT = 4096
MAX_LINES_A_REPLY = 64
LIMITS = {"pixels": 4096, "frames": 100_000, "dwell_ms": 2000.0, "wait_s": 2.0}


class _Scan:
    """The lines of one scan that the client has not fetched yet: bounded, the oldest lost first and missed
    by number.
    """

    def __init__(self, number: int, lines: int) -> None:
        self.number = number
        self.remaining = lines
        self.stopped = False
        self._lines: deque[Line] = deque(maxlen=MAX_LINES_KEPT)
        self._changed = threading.Condition()

    def put(self, line: Line) -> None:
        with self._changed:
            self._lines.append(line)
            self.remaining -= 1
            self._changed.notify_all()

    def stop(self) -> None:
        with self._changed:
            self.stopped = True
            self._changed.notify_all()

    def take(self, wait_s: float) -> tuple[list[Line], bool]:
        """Lines that have come, after waiting for the first at most `wait_s`; and whether no more will
        come.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._lines or self.over, timeout=wait_s)
            taken = [self._lines.popleft() for _ in range(min(len(self._lines), MAX_LINES_A_REPLY))]
            return taken, self.over and not self._lines

    @property
    def over(self) -> bool:
        return self.stopped or self.remaining <= 0


@Pyro5.api.expose
@Pyro5.api.behavior(instance_mode="single")
class Microscope:
    """The exposed object. Every call may come from a thread of its own."""

    def __init__(self, column: Column, versions: dict[str, str], shut_down: Callable[[], None]) -> None:
        self._column, self._versions, self._shut_down = column, versions, shut_down
        self._scan: _Scan | None = None
        self._scans = 0
        self._lock = threading.RLock()
        self._width_nm = 10.0

    def describe(self) -> dict[str, Any]:
        """What this microscope is."""
        energy = self._column.losses.energy_eV
        return {
            "protocol": PROTOCOL,
            "name": "Nion Swift simulator, MoS2",
            "versions": self._versions,
            "energy_first_eV": float(energy[0]),
            "energy_step_eV": float(energy[1] - energy[0]),
            "energy_channels": int(energy.size),
        }

    def state(self) -> dict[str, Any]:
        """What it does now."""
        beam = self._column.beam()
        probe = self._column.probe_nm()
        scan = self._scan
        return {
            "blanked": beam.blanked,
            "probe_current_pA": beam.current_pA,
            "defocus_nm": beam.defocus_nm,
            "stage_x_nm": beam.stage_nm[0],
            "stage_y_nm": beam.stage_nm[1],
            "field_of_view_nm": self._width_nm,
            "probe_x_nm": probe[0],
            "probe_y_nm": probe[1],
            "scanning": scan is not None and not scan.over,
            "electrons": self._column.electrons,
        }

    def set_blanked(self, blanked: bool) -> float:
        """Blank or unblank; the time it was done (monotonic s)."""
        self._column.set_blanked(bool(blanked))
        return time.monotonic()

    def set_defocus(self, defocus_nm: float) -> float:
        """Set the defocus; the time it was done."""
        self._column.set_defocus_nm(_finite("defocus_nm", defocus_nm, -5000.0, 5000.0))
        return time.monotonic()

    def set_stage(self, x_nm: float, y_nm: float) -> float:
        """Move the stage; the time it was done."""
        self._column.set_stage_nm(_finite("x_nm", x_nm, -1e4, 1e4), _finite("y_nm", y_nm, -1e4, 1e4))
        return time.monotonic()

    def set_field_of_view(self, width_nm: float) -> float:
        """Width of the field in nm, from the next scan on."""
        width = _finite("width_nm", width_nm, 0.1, 1000.0)
        with self._lock:
            self._refuse_while_scanning("change the field of view")
            self._width_nm = width
            self._column.field_nm = (width, width)
        return time.monotonic()

    def set_probe(self, x_nm: float, y_nm: float) -> float:
        """Park the probe; the time it was done."""
        self._column.set_probe(*self._fraction(x_nm, y_nm))
        return time.monotonic()

    def start_scan(self, rows: int, columns: int, pixel_us: float, frames: int) -> int:
        """Start a scan of `frames` frames; the number to fetch its lines by."""
        for name, value in (("rows", rows), ("columns", columns)):
            _finite(name, value, 2, LIMITS["pixels"])
        _finite("frames", frames, 1, LIMITS["frames"])
        _finite("pixel_us", pixel_us, 0.05, 1e5)
        with self._lock:
            self._refuse_while_scanning("start another scan")
            self._column.stop_scan()  # the last one has given all its lines, but Nion's task may still idle
            self._scans += 1
            self._scan = _Scan(self._scans, int(rows) * int(frames))
            self._column.start_scan(
                int(rows), int(columns), self._width_nm, float(pixel_us), int(frames), self._scan.put
            )
            return self._scans

    def fetch_lines(self, scan: int, wait_s: float) -> dict[str, Any]:
        """Lines finished since the last call, waiting for one at most `wait_s`; `over` when no more will
        come.
        """
        current = self._scan
        if current is None or current.number != scan:
            raise RuntimeError(f"scan {scan} is not the one in progress")
        lines, over = current.take(_finite("wait_s", wait_s, 0.0, LIMITS["wait_s"]))
        return {
            "frames": [x.frame for x in lines],
            "lines": [x.line for x in lines],
            "finished_s": [x.finished_s for x in lines],
            "over": over,
            "codes_full_scale": ADC_CODES,
            **_array(np.stack([x.codes for x in lines]) if lines else np.zeros((0, 0), np.uint8)),
        }

    def stop_scan(self) -> float:
        """Stop the scan; returns when it has stopped."""
        with self._lock:
            if self._scan is not None:
                self._scan.stop()
            self._column.stop_scan()
        return time.monotonic()

    def spectrum(self, x_nm: float, y_nm: float, dwell_ms: float) -> dict[str, Any]:
        """A spectrum at a point. `received_s` and `finished_s` are monotonic."""
        received = time.monotonic()
        at = self._fraction(x_nm, y_nm)
        counts, finished = self._column.spectrum(*at, _finite("dwell_ms", dwell_ms, 0.1, LIMITS["dwell_ms"]))
        return {"received_s": received, "finished_s": finished, **_array(counts)}

    def ground_truth(self) -> list[tuple[float, float]]:
        """(x, y) in nm of the vacancies in the field: for tests and reports, never for a policy."""
        return self._column.vacancies_nm()

    def shut_down(self) -> None:
        """Blank the beam and end this process."""
        self._column.set_blanked(True)
        self._shut_down()

    def _fraction(self, x_nm: float, y_nm: float) -> tuple[float, float]:
        width, height = self._column.field_nm
        x, y = _finite("x_nm", x_nm, -1e6, 1e6), _finite("y_nm", y_nm, -1e6, 1e6)
        if not (0.0 <= x <= width and 0.0 <= y <= height):
            raise ValueError(
                f"probe position ({x:g}, {y:g}) nm is outside the field of view, "
                f"which is {width:g} nm wide and {height:g} nm high"
            )
        return x / width, y / height

    def _refuse_while_scanning(self, what: str) -> None:
        if self._scan is not None and not self._scan.over:
            raise RuntimeError(f"cannot {what} while a scan is in progress")


def _finite(name: str, value: Any, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{name} is {value!r}, not a finite number")
    if not low <= value <= high:
        raise ValueError(f"{name} is {value:g}; it must be from {low:g} to {high:g}")
    return float(value)


def _array(array: Any) -> dict[str, Any]:
    return {
        "bytes": np.ascontiguousarray(array).tobytes(),
        "shape": list(array.shape),
        "dtype": array.dtype.str,
    }
