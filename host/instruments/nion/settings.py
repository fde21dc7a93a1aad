"""What the simulated microscope is given at its start. Lengths, currents and angles carry their units in
their names.

The defaults make images like those that the `vacancy` detector is trained on: 0.4 Å pixels, 30,000 electrons
per Å² with `dwell_us_for_dose`, the same detector gain.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

_ELECTRONS_PER_PA_US = 6.241509074
_SAME_NAME = ("mo_fraction", "tail_share", "tail_ratio", "convergence_mrad", "jitter_correlation")
_TRAINING_KEYS = {*_SAME_NAME, "probe_fwhm_A", "dose_e_per_A2", "pixel_A", "detector_white"}


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SpecimenSettings(_Section):
    """The MoS2 sheet."""

    size_nm: float = Field(default=40.0, gt=2, le=200)
    lattice_a_A: float = Field(default=3.160, gt=2, lt=5)
    sulphur_height_A: float = Field(default=1.585, gt=0, lt=3)
    vacancy_fraction: float = Field(default=0.06, ge=0, le=1, description="of the S2 columns")
    double_vacancy_share: float = Field(
        default=0.05, ge=0, le=1, description="of the vacancies, both S missing"
    )
    tilt_mrad: float = Field(default=40.0, ge=0, le=200)
    rotation_deg: float = 17.0


class ImagingSettings(_Section):
    """Probe, detector and the imperfections of a scan."""

    probe_current_pA: float = Field(default=100.0, gt=0, le=1000)
    probe_fwhm_A: float = Field(default=1.15, gt=0.3, lt=5)
    nominal_fwhm_A: float = Field(
        default=1.15, gt=0.3, lt=5, description="the probe for which mo_fraction holds"
    )
    tail_share: float = Field(default=0.20, ge=0, lt=1)
    tail_ratio: float = Field(default=2.2, gt=1)
    convergence_mrad: float = Field(default=30.0, gt=0)
    defocus_blur: float = Field(default=0.67, ge=0, description="FWHM added, over defocus x convergence")
    z_exponent: float = Field(default=1.55, gt=1, lt=2.1)
    mo_fraction: float = Field(default=0.0126, gt=0, lt=1, description="of the beam detected, probe on Mo")
    full_scale_electrons: float = Field(
        default=157.248, gt=0, description="detected electrons that fill the ADC"
    )
    dark_counts_per_s: float = Field(default=2500.0, ge=0)
    contamination: float = Field(default=0.3, ge=0, description="peak of the background, in Mo peaks")
    contamination_length_A: float = Field(default=12.0, gt=0)
    jitter_sigma_A: float = Field(default=0.08, ge=0)
    jitter_correlation: float = Field(default=0.5, ge=0, lt=1)


class LossSettings(_Section):
    """The spectrometer and the edges."""

    beam_kV: float = Field(default=60.0, gt=10, le=300)
    collection_mrad: float = Field(default=30.0, gt=0)
    first_eV: float = -20.0
    step_eV: float = Field(default=0.5, gt=0)
    channels: int = Field(default=1024, ge=64, le=4096)
    zero_loss_fwhm_eV: float = Field(default=0.7, gt=0)
    plasmon_eV: float = Field(default=23.0, gt=0)
    plasmon_share: float = Field(default=0.03, ge=0, lt=1)
    background_per_eV: float = Field(default=3e-6, ge=0, description="per electron and eV at 165 eV")
    background_exponent: float = Field(default=3.2, gt=0)
    sulphur_oscillators: float = Field(default=1.2, ge=0, description="oscillator strength, first 50 eV")
    molybdenum_oscillators: float = Field(default=2.0, ge=0)
    dark_per_channel_per_s: float = Field(default=5.0, ge=0)


class MicroscopeSettings(_Section):
    """The whole simulated microscope. The same seed gives the same vacancies and the same noise."""

    seed: int = Field(default=1, ge=0, lt=2**31)
    specimen: SpecimenSettings = SpecimenSettings()
    imaging: ImagingSettings = ImagingSettings()
    losses: LossSettings = LossSettings()

    def like_training(self, model: Mapping[str, Any]) -> MicroscopeSettings:
        """These settings with what they leave open taken from a detector's own `imaging` parameters.

        `model` is a project's [model] as plain data; without an `imaging` table nothing changes. The
        gain is the one at which `detector_white` nominal Mo peaks at the nominal dose fill the ADC.
        """
        given = model.get("imaging")
        if not isinstance(given, Mapping) or not given.keys() >= _TRAINING_KEYS:
            return self
        middle = sum(given["probe_fwhm_A"]) / 2
        electrons = given["dose_e_per_A2"] * given["pixel_A"] ** 2
        wanted = {name: given[name] for name in _SAME_NAME} | {
            "probe_fwhm_A": middle,
            "nominal_fwhm_A": middle,
            "full_scale_electrons": given["detector_white"] * given["mo_fraction"] * electrons,
        }
        own = self.imaging.model_dump(exclude_unset=True)
        return self.model_copy(update={"imaging": ImagingSettings.model_validate(wanted | own)})

    def dwell_us_for_dose(self, dose_e_per_A2: float, pixel_A: float) -> float:
        """Dwell per pixel in µs that gives a dose (electrons per Å²) with pixels of `pixel_A`."""
        return dwell_us_for_dose(self.imaging.probe_current_pA, dose_e_per_A2, pixel_A)


def dwell_us_for_dose(probe_current_pA: float, dose_e_per_A2: float, pixel_A: float) -> float:
    """Dwell per pixel in µs at which a probe current gives a dose (electrons per Å²) with pixels of
    `pixel_A`.
    """
    return dose_e_per_A2 * pixel_A**2 / (probe_current_pA * _ELECTRONS_PER_PA_US)
