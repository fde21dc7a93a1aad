# SPDX-License-Identifier: GPL-3.0-only
"""A scan device for Nion's instrument that renders every line when it is scanned, not the frame when it
starts.

So a blanked beam, a moved stage or a changed focus shows from the next line on. The device is driven by
Nion's own acquisition thread through `read_partial`; it hands each line to a sink as soon as its time has
come.
"""

from __future__ import annotations

import contextlib
import copy
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from nion.device_kit import ScanDevice
from nion.instrumentation import scan_base
from nion.usim_device import ScanDevice as UsimScan
from nion.utils import Geometry
from numpy.typing import NDArray

from .optics import Beam, Haadf, ImagingSettings, draw_jitter_A

# Nion's acquisition task sleeps until 50 ms have passed since its last reading: staying in here that long
# means that it never does.
_PARTIAL_S = 0.055
_WAKE_S = 0.02


@dataclass(frozen=True)
class Line:
    """One scanned line: ADC codes, and when it was finished on this machine's monotonic clock."""

    frame: int
    line: int
    codes: NDArray[np.uint8]
    finished_s: float


@dataclass
class _Frame:
    number: int  # Nion's, counted from 1 over the life of the device
    index: int  # within this scan, counted from 0
    shape: tuple[int, int]
    x_nm: NDArray[np.float64]
    y_nm: NDArray[np.float64]
    jitter_A: NDArray[np.float64]
    pixel_us: float
    due_s: float
    next_line: int = 0
    data: NDArray[np.float32] = field(init=False)

    def __post_init__(self) -> None:
        self.data = np.zeros(self.shape, np.float32)


class LineScanDevice(ScanDevice.Device):
    """Scans line by line. `frames_wanted` bounds a scan; past it the device idles until it is aborted."""

    def __init__(
        self,
        instrument: Any,
        simulator: Any,
        haadf: Haadf,
        imaging: ImagingSettings,
        seed: int,
        beam: Callable[[], Beam],
    ) -> None:
        super().__init__("usim_scan_device", "uSim Scan", instrument, simulator)
        self._haadf, self._imaging, self._seed, self._beam = haadf, imaging, seed, beam
        self._sink: Callable[[Line], None] = lambda line: None
        self._parameters = ScanDevice.ScanFrameParameters()
        self._frame: _Frame | None = None
        self._running = False
        self._numbers = 0
        self._indices = 0
        self._wanted = 0
        self._turn = threading.Condition()
        self._holders = 0
        self._in_line = False
        self._held_at: Any = None
        self._electrons = 0.0

    # ---- what the service uses

    def prepare(self, frames_wanted: int, sink: Callable[[Line], None]) -> None:
        """Count frames from 0 again and send lines to `sink`. Call while no scan runs."""
        self._wanted, self._indices, self._sink, self._frame = frames_wanted, 0, sink, None

    @property
    def electrons(self) -> float:
        """Electrons sent on to the sample by all scans so far."""
        return self._electrons

    @contextlib.contextmanager
    def held_at(self, position: Any) -> Iterator[None]:
        """Hold the scan at the end of the line in progress, the probe at `position` (fractions of the
        field).
        """
        with self._turn:
            self._holders += 1
            self._turn.wait_for(lambda: not self._in_line, timeout=30.0)
            self._held_at = position
        try:
            yield
        finally:
            with self._turn:
                self._holders -= 1
                if self._holders == 0:
                    self._held_at = None
                self._turn.notify_all()

    # ---- what Nion's instrument uses

    @property
    def current_probe_position(self) -> Any:
        held, frame = self._held_at, self._frame
        if held is not None:
            return held
        if frame is None:
            return Geometry.FloatPoint(0.5, 0.5)
        return Geometry.FloatPoint(y=min(frame.next_line + 0.5, frame.shape[0]) / frame.shape[0], x=0.5)

    def set_frame_parameters(self, frame_parameters: scan_base.ScanFrameParameters) -> None:
        super().set_frame_parameters(frame_parameters)
        self._parameters = ScanDevice.ScanFrameParameters(frame_parameters.as_dict())

    def start_frame(self, is_continuous: bool) -> int:
        self._running = True
        if self._frame is None:
            self._frame = self._new_frame()
        return self._frame.number

    @property
    def is_scanning(self) -> bool:
        return self._running

    def cancel(self) -> None:
        with self._turn:
            self._running = False
            self._turn.notify_all()

    def read_partial(self, frame_number: int | None, pixels_to_skip: int) -> tuple[Any, ...]:
        frame = self._frame
        if frame is None:
            frame = self._frame = self._new_frame()
        first = frame.next_line
        until = time.monotonic() + _PARTIAL_S
        while self._running and frame.next_line < frame.shape[0] and time.monotonic() < until:
            self._one_line(frame, until)
        complete = frame.next_line >= frame.shape[0] or not self._running
        if complete:
            self._frame = None
            first, last = 0, frame.shape[0]
        else:
            last = frame.next_line
        properties = self._properties()
        area = ((first, 0), (last - first, frame.shape[1]))
        skip = 0 if complete else frame.next_line * frame.shape[1]
        return [{"data": frame.data, "properties": properties}], complete, False, area, frame.number, skip

    # ---- inside

    def _properties(self) -> dict[str, Any]:
        properties = dict(self._parameters.as_dict())
        center = self._parameters.center_nm
        properties.update(
            center_x_nm=center[1], center_y_nm=center[0], rotation_deg=0.0, channel_id=0, flyback_pixels=0
        )
        return properties

    def _new_frame(self) -> _Frame:
        parameters = copy.deepcopy(self._parameters)
        rows, columns = (int(n) for n in parameters.pixel_size)
        pitch = parameters.fov_nm / columns
        self._numbers += 1
        frame = _Frame(
            number=self._numbers,
            index=self._indices,
            shape=(rows, columns),
            x_nm=(np.arange(columns) + 0.5 - columns / 2) * pitch,
            y_nm=(np.arange(rows) + 0.5 - rows / 2) * pitch,
            jitter_A=draw_jitter_A(self._imaging, rows, self._seed, self._indices),
            pixel_us=float(parameters.pixel_time_us),
            due_s=time.monotonic(),
        )
        frame.due_s += frame.pixel_us * 1e-6 * columns
        self._indices += 1
        return frame

    def _one_line(self, frame: _Frame, until: float) -> None:
        """Wait for the next line's time, and scan it; returns early to let Nion's thread look for an
        abort.
        """
        if frame.index >= self._wanted:
            time.sleep(max(0.0, min(_WAKE_S, until - time.monotonic())))
            return
        if not self._enter_line(frame):
            return
        try:
            wait = frame.due_s - time.monotonic()
            if wait > 0.0:
                time.sleep(wait)
            self._scan_line(frame)
        finally:
            with self._turn:
                self._in_line = False
                self._turn.notify_all()

    def _enter_line(self, frame: _Frame) -> bool:
        with self._turn:
            if self._holders:
                self._turn.wait_for(lambda: self._holders == 0 or not self._running, timeout=_WAKE_S)
                if self._holders or not self._running:
                    return False
                frame.due_s = time.monotonic() + frame.pixel_us * 1e-6 * frame.shape[1]
            self._in_line = True
            return True

    def _scan_line(self, frame: _Frame) -> None:
        k = frame.next_line
        beam = self._beam()
        codes = self._haadf.line(
            beam, frame.x_nm, float(frame.y_nm[k]), frame.pixel_us, frame.index, k, float(frame.jitter_A[k])
        )
        if not beam.blanked:
            self._electrons += beam.current_pA * 6.241509074 * frame.pixel_us * len(codes)
        frame.data[k] = codes
        frame.next_line = k + 1
        now = time.monotonic()
        duration = frame.pixel_us * 1e-6 * frame.shape[1]
        # a late line may be caught up by one line's time: a slow machine scans slowly, not in bursts
        frame.due_s = max(frame.due_s + duration, now - duration)
        self._sink(Line(frame.index, k, codes, now))


class LineScanModule(UsimScan.ScanModule):
    """Nion's scan module with the line-by-line device in it."""

    def __init__(self, instrument: Any, make: Callable[[Any], LineScanDevice]) -> None:
        super().__init__(instrument)
        self.device = make(UsimScan.ScanBoxSimulator(instrument.scan_data_generator))
        self.device.priority = 20
