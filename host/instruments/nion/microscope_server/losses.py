# SPDX-License-Identifier: GPL-3.0-only
"""The electron energy-loss spectrum of the atoms under the probe, in electrons per channel.

Zero loss, plasmon, a power-law background, and the edges S L2,3 (165 eV) and Mo M4,5 (227 eV), each as
strong as the atoms of its element under the probe allow. Edge strengths follow Bethe's formula with an
oscillator strength for the first 50 eV; the width over which an atom is excited is Egerton's d50 = 0.5
wavelength / theta_E^(3/4) (Egerton, Electron Energy-Loss Spectroscopy in the Electron Microscope, 3rd ed.,
ch. 3).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .optics import FWHM_PER_SIGMA
from .specimen import MO, FloatArray, S, Sheet

_BOHR_A = 0.529177
_RYDBERG_EV = 13.6057
_REST_EV = 510998.95
_EDGE_WINDOW_EV = 50.0


@dataclass(frozen=True)
class LossSettings:
    """The spectrometer and the edges."""

    beam_kV: float
    collection_mrad: float
    first_eV: float
    step_eV: float
    channels: int
    zero_loss_fwhm_eV: float
    plasmon_eV: float
    plasmon_share: float
    background_per_eV: float  # electrons per incident electron and eV at the S edge
    background_exponent: float
    sulphur_oscillators: float
    molybdenum_oscillators: float
    dark_per_channel_per_s: float


class Losses:
    """Expected spectra of one sheet."""

    def __init__(self, sheet: Sheet, settings: LossSettings) -> None:
        self._atoms = sheet.atoms
        self._settings = settings
        channel = np.arange(settings.channels, dtype=np.float64)
        self.energy_eV: FloatArray = settings.first_eV + settings.step_eV * channel
        self._common = self._common_part()

    def expected(self, x_A: float, y_A: float, probe_sigma_A: float) -> FloatArray:
        """Electrons in each channel per incident electron, the probe at (x, y) of the sample."""
        s = self._settings
        spectrum = self._common.copy()
        for number, onset_eV, rise_eV, oscillators in (
            (S, 165.0, 4.0, s.sulphur_oscillators),
            (MO, 227.0, 6.0, s.molybdenum_oscillators),
        ):
            strength = self._areal_density(number, onset_eV, x_A, y_A, probe_sigma_A)
            strength *= self._cross_section_A2(onset_eV, oscillators)
            spectrum += strength * self._edge(onset_eV, rise_eV)
        return spectrum

    def _areal_density(
        self, number: int, onset_eV: float, x_A: float, y_A: float, probe_sigma_A: float
    ) -> float:
        """Atoms of an element per Å², weighted by how strongly a probe at (x, y) excites each."""
        sigma = math.hypot(probe_sigma_A, self._delocalisation_A(onset_eV) / FWHM_PER_SIGMA)
        near = self._atoms.near(y_A, 4.0 * sigma)
        chosen = self._atoms.number[near] == number
        r2 = (self._atoms.x_A[near][chosen] - x_A) ** 2 + (self._atoms.y_A[near][chosen] - y_A) ** 2
        return float(np.exp(r2 / (-2.0 * sigma**2)).sum() / (2.0 * math.pi * sigma**2))

    def _kinetic_eV(self) -> float:
        """m v² / 2, relativistic."""
        gamma = 1.0 + self._settings.beam_kV * 1e3 / _REST_EV
        return 0.5 * _REST_EV * (1.0 - 1.0 / gamma**2)

    def _theta_e(self, energy_eV: float) -> float:
        gamma = 1.0 + self._settings.beam_kV * 1e3 / _REST_EV
        return energy_eV / (2.0 * gamma * self._kinetic_eV())

    def _delocalisation_A(self, energy_eV: float) -> float:
        volts = self._settings.beam_kV * 1e3
        wavelength_A = 12.2643 / math.sqrt(volts * (1.0 + volts / (2.0 * _REST_EV)))
        return 0.5 * wavelength_A / math.pow(self._theta_e(energy_eV), 0.75)

    def _cross_section_A2(self, onset_eV: float, oscillators: float) -> float:
        """Bethe's cross-section of the first 50 eV of an edge, into the collection angle."""
        mean = onset_eV + _EDGE_WINDOW_EV / 2.0
        angle = (self._settings.collection_mrad * 1e-3 / self._theta_e(mean)) ** 2
        front = 4.0 * math.pi * _BOHR_A**2 * _RYDBERG_EV**2 / (self._kinetic_eV() * mean)
        return front * oscillators * math.log1p(angle)

    def _edge(self, onset_eV: float, rise_eV: float) -> FloatArray:
        """Shape of an edge, its first 50 eV summing to 1: a delayed rise, then a power law."""
        above = np.maximum(self.energy_eV - onset_eV, 0.0)
        shape = (1.0 - np.exp(-above / rise_eV)) * (np.maximum(self.energy_eV, onset_eV) / onset_eV) ** -3.0
        window = (above > 0.0) & (above <= _EDGE_WINDOW_EV)
        out: FloatArray = shape / shape[window].sum()
        return out

    def _common_part(self) -> FloatArray:
        """Zero loss, plasmon and background: the same everywhere on the sheet."""
        s, e = self._settings, self.energy_eV
        width = s.zero_loss_fwhm_eV / FWHM_PER_SIGMA
        zero = np.exp(-(e**2) / (2.0 * width**2)) / (width * math.sqrt(2.0 * math.pi)) * s.step_eV
        hump = (
            np.exp(-((e - s.plasmon_eV) ** 2) / (2.0 * 6.0**2)) / (6.0 * math.sqrt(2.0 * math.pi)) * s.step_eV
        )
        tail = s.background_per_eV * s.step_eV * (np.maximum(e, 30.0) / 165.0) ** -s.background_exponent
        tail *= 1.0 / (1.0 + np.exp(-(e - 35.0) / 3.0))
        out: FloatArray = (1.0 - s.plasmon_share) * zero + s.plasmon_share * hump + tail
        return out
