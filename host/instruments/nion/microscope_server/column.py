# SPDX-License-Identifier: GPL-3.0-only
"""Nion Swift's simulated instrument with the atomic sample plugged in: scan device, HAADF, EELS camera,
controls.
"""

from __future__ import annotations

import pathlib
import shutil
import tempfile
import threading
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from nion.data import Calibration, DataAndMetadata
from nion.device_kit import CameraDevice
from nion.instrumentation import DriftTracker, HardwareSource, camera_base, scan_base
from nion.usim_device import CameraSimulator, InstrumentDevice
from nion.utils import Geometry, Registry
from numpy.typing import NDArray

from .losses import Losses, LossSettings
from .optics import ELECTRONS_PER_PA_US, Beam, Haadf, ImagingSettings
from .scan import LineScanDevice, LineScanModule
from .specimen import Sheet, SpecimenSettings, make_sheet

_CAMERA_ROWS = 4  # of the spectrometer's camera; rows are summed, so few are as good as many and cheaper
_ID = "usim_stem_controller"


@dataclass(frozen=True)
class Settings:
    """Everything that decides what the microscope shows."""

    seed: int
    specimen: SpecimenSettings
    imaging: ImagingSettings
    losses: LossSettings


class _Instrument(InstrumentDevice.Instrument):
    """Nion's instrument with a spectrometer camera of our size."""

    channels = 1024

    def camera_sensor_dimensions(self, camera_type: str) -> tuple[int, int]:
        return (
            (_CAMERA_ROWS, self.channels)
            if camera_type == "eels"
            else super().camera_sensor_dimensions(camera_type)
        )

    def camera_readout_area(self, camera_type: str) -> tuple[int, int, int, int]:
        if camera_type == "eels":
            return (0, 0, _CAMERA_ROWS, self.channels)
        return tuple(super().camera_readout_area(camera_type))


class _EelsCamera(CameraSimulator.CameraSimulator):
    """What falls on the spectrometer's camera: counted electrons, the probe where Nion's instrument says it
    is.
    """

    depends_on = ("probe_position", "is_blanked")

    def __init__(self, column: Column) -> None:
        super().__init__(
            column.instrument, "eels", Geometry.IntSize(_CAMERA_ROWS, column.losses.energy_eV.size), 1
        )
        self._column = column

    def get_dimensional_calibrations(self, readout_area: Any, binning_shape: Any) -> list[Any]:
        energy = self._column.losses.energy_eV
        scale = float(energy[1] - energy[0])
        return [
            Calibration.Calibration(),
            Calibration.Calibration(offset=float(energy[0]), scale=scale, units="eV"),
        ]

    def get_frame_data(
        self,
        readout_area: Any,
        binning_shape: Any,
        exposure_s: float,
        scan_context: Any,
        parked_probe_position: Any,
    ) -> Any:
        settings = self._get_frame_settings(
            readout_area, binning_shape, exposure_s, scan_context, parked_probe_position
        )
        mean = self._column.expected_spectrum(settings.current_probe_position, exposure_s) / _CAMERA_ROWS
        counts = self._column.camera_noise.poisson(np.broadcast_to(mean, (_CAMERA_ROWS, mean.size)))
        return DataAndMetadata.new_data_and_metadata(
            counts.astype(np.float32),
            intensity_calibration=Calibration.Calibration(units="counts"),
            dimensional_calibrations=self.get_dimensional_calibrations(readout_area, binning_shape),
        )


class _Generator(InstrumentDevice.ScanDataGenerator):
    """Stands where Nion keeps its samples; lines come from the scan device, so it is never asked for data."""


class Column:
    """The microscope. Built in the main thread; its methods may be called from any thread. `close` ends its
    threads.
    """

    def __init__(self, settings: Settings) -> None:
        self.sheet: Sheet = make_sheet(settings.specimen, settings.seed)
        self.haadf = Haadf(self.sheet, settings.imaging, settings.seed)
        self.losses = Losses(self.sheet, settings.losses)
        self.camera_noise = np.random.default_rng([settings.seed, 5])
        self.field_nm = (10.0, 10.0)  # (width, height) of the field of view
        self._dark_per_s = settings.losses.dark_per_channel_per_s
        self._spectrum_turn = threading.Lock()
        self._spectrum_electrons = 0.0
        self._folder = pathlib.Path(tempfile.mkdtemp(prefix="dwell-scope-"))
        self._start_nion(settings)

    def _start_nion(self, settings: Settings) -> None:
        HardwareSource.run()
        DriftTracker.run()
        camera_base.run(self._folder)
        scan_base.run(self._folder)
        values = InstrumentDevice.ValueManager()
        self.instrument = _Instrument(_ID, values, InstrumentDevice.AxisManager(), _Generator())
        self.instrument.channels = settings.losses.channels
        self.set_blanked(True)  # the beam waits for somebody to want it
        self.instrument.SetVal("C10", 0.0)
        self.instrument.SetVal("EHT", settings.losses.beam_kV * 1e3)
        self.instrument.SetVal("ConvergenceAngle", settings.imaging.convergence_mrad * 1e-3)
        self.instrument.SetVal("BeamCurrent", settings.imaging.probe_current_pA * 1e-12)
        self._module = LineScanModule(
            self.instrument,
            lambda simulator: LineScanDevice(
                self.instrument, simulator, self.haadf, settings.imaging, settings.seed, self.beam
            ),
        )
        self.device: LineScanDevice = self._module.device
        camera = CameraDevice.Camera("usim_eels_camera", "eels", "EELS", _EelsCamera(self), self.instrument)
        camera.camera_panel_type = "eels"
        values.eels_camera = self._camera = camera
        Registry.register_component(self.instrument, {"instrument_controller", "stem_controller"})
        Registry.register_component(
            CameraDevice.CameraModule(_ID, camera, CameraDevice.CameraSettings("usim_eels_camera")),
            {"camera_module"},
        )
        Registry.register_component(self._module, {"scan_module"})
        manager = HardwareSource.HardwareSourceManager()
        self.scan = manager.get_hardware_source_for_hardware_source_id("usim_scan_device")

    def close(self) -> None:
        """Blank the beam, stop what runs and end Nion's threads."""
        self.set_blanked(True)
        self.stop_scan()
        for component in list(Registry.get_components_by_type("camera_module")):
            Registry.unregister_component(component, {"camera_module"})
        Registry.unregister_component(self._module, {"scan_module"})
        Registry.unregister_component(self.instrument, {"instrument_controller", "stem_controller"})
        for part in (scan_base, camera_base, DriftTracker, HardwareSource):
            part.stop()
        HardwareSource.HardwareSourceManager().close()
        shutil.rmtree(self._folder, ignore_errors=True)

    # ---- beam and stage

    def beam(self) -> Beam:
        """What the column does now."""
        values = self.instrument.value_manager
        offset = values.actual_offset_m
        return Beam(
            blanked=bool(values.is_blanked),
            current_pA=self.instrument.GetVal("BeamCurrent") * 1e12,
            defocus_nm=self.instrument.GetVal("C10Control") * 1e9,
            stage_nm=(offset.x * 1e9, offset.y * 1e9),
        )

    def set_blanked(self, blanked: bool) -> None:
        """Blank the beam, or let it through."""
        self.instrument.SetVal("C_Blank", 1.0 if blanked else 0.0)

    def set_defocus_nm(self, defocus_nm: float) -> None:
        """Defocus, nm."""
        self.instrument.SetVal("C10", defocus_nm * 1e-9)

    def set_stage_nm(self, x_nm: float, y_nm: float) -> None:
        """Stage position, nm."""
        self.instrument.stage_position_m = Geometry.FloatPoint(y=y_nm * 1e-9, x=x_nm * 1e-9)

    def set_probe(self, x: float, y: float) -> None:
        """Park the probe at (x, y), fractions of the field of view."""
        self.instrument.set_probe_position(Geometry.FloatPoint(y=y, x=x))

    def probe_nm(self) -> tuple[float, float]:
        """Where the probe is parked, nm from the upper left corner of the field."""
        at = self.instrument.probe_position or Geometry.FloatPoint(0.5, 0.5)
        return at.x * self.field_nm[0], at.y * self.field_nm[1]

    @property
    def electrons(self) -> float:
        """Electrons sent on to the sample by scans and spectra so far."""
        return self.device.electrons + self._spectrum_electrons

    # ---- scan

    def start_scan(
        self, rows: int, columns: int, width_nm: float, pixel_us: float, frames: int, sink: Any
    ) -> None:
        """Scan `frames` frames; every line goes to `sink` from Nion's acquisition thread."""
        self.field_nm = (width_nm, width_nm * rows / columns)
        self.device.prepare(frames, sink)
        parameters = self.scan.get_current_frame_parameters()
        parameters.pixel_size = (rows, columns)
        parameters.fov_nm = width_nm
        parameters.pixel_time_us = pixel_us
        parameters.center_nm = (0.0, 0.0)
        self.scan.set_current_frame_parameters(parameters)
        self.instrument.scan_context.update(
            Geometry.IntSize(rows, columns), Geometry.FloatPoint(), width_nm, 0.0
        )
        self.scan.start_playing()

    def stop_scan(self) -> None:
        """Stop the scan in progress, if any; returns when it has stopped."""
        if self.scan.is_playing:
            self.device.cancel()
            self.scan.abort_playing(sync_timeout=5.0)

    # ---- spectra

    def expected_spectrum(self, position: Any, exposure_s: float) -> NDArray[np.float64]:
        """Mean counts of every channel, the probe at `position` (fractions of the field)."""
        beam = self.beam()
        mean = np.full(self.losses.energy_eV.size, self._dark_per_s * exposure_s)
        if beam.blanked or position is None:
            return mean
        x_nm = (position.x - 0.5) * self.field_nm[0] - beam.stage_nm[0]
        y_nm = (position.y - 0.5) * self.field_nm[1] - beam.stage_nm[1]
        electrons = beam.current_pA * ELECTRONS_PER_PA_US * exposure_s * 1e6
        self._spectrum_electrons += electrons
        sigma = self.haadf.probe_sigma_A(beam.defocus_nm)
        return mean + electrons * self.losses.expected(x_nm * 10.0, y_nm * 10.0, sigma)

    def spectrum(self, x: float, y: float, dwell_ms: float) -> tuple[NDArray[np.float32], float]:
        """Counts of every channel at (x, y), fractions of the field, and when the exposure ended (monotonic
        s).

        A scan in progress is held at the end of its line meanwhile.
        """
        position = Geometry.FloatPoint(y=y, x=x)
        parameters = camera_base.CameraFrameParameters(
            {"exposure_ms": dwell_ms, "binning": 1, "processing": "sum_project"}
        )
        with self._spectrum_turn, self.device.held_at(position):
            self.set_probe(x, y)
            self._camera.acquire_sequence_begin(parameters, 1)
            try:
                part = self._camera.acquire_sequence_continue(update_period=1.0)
            finally:
                self._camera.acquire_sequence_end()
            finished = time.monotonic()
        return np.asarray(part.xdata.data, np.float32).reshape(-1), finished

    def vacancies_nm(self) -> list[tuple[float, float]]:
        """Where sulphur is missing in the field as it is now, nm from its upper left corner."""
        stage = self.beam().stage_nm
        at = self.sheet.vacancies_A / 10.0 + np.array(stage) + np.array(self.field_nm) / 2.0
        inside = ((at >= 0.0) & (at < np.array(self.field_nm))).all(axis=1)
        return [(float(x), float(y)) for x, y in at[inside]]
