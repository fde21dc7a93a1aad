# SPDX-License-Identifier: GPL-3.0-only
"""The HAADF image, line by line: incoherent imaging of the atoms by a probe that defocus broadens.

The signal at a point is the sum over atoms of a cross-section that goes as a power of Z, times the probe's
intensity there, plus a smooth background of contamination; electrons are counted (Poisson) and digitised by
the detector's ADC. Sources: Kirkland, Advanced Computing in Electron Microscopy, ch. 3 (incoherent imaging);
Krivanek et al., Nature 464 (2010) 571 (Z contrast).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .specimen import MO, FloatArray, Sheet

ELECTRONS_PER_PA_US = 6.241509074  # electrons in one picoampere during one microsecond
FWHM_PER_SIGMA = 2.0 * math.sqrt(2.0 * math.log(2.0))
ADC_CODES = 256


@dataclass(frozen=True)
class ImagingSettings:
    """Probe, detector and the imperfections of a real scan."""

    probe_current_pA: float
    probe_fwhm_A: float  # in focus, source size included
    nominal_fwhm_A: float  # the probe for which `mo_fraction` holds
    tail_share: float
    tail_ratio: float
    convergence_mrad: float
    defocus_blur: float  # FWHM added in quadrature, over defocus x convergence angle
    z_exponent: float
    mo_fraction: float  # of the beam on the detector, probe in focus on an Mo atom
    full_scale_electrons: float  # detected electrons that fill the ADC
    dark_counts_per_s: float
    contamination: float  # peak of the background, in units of an Mo peak
    contamination_length_A: float
    jitter_sigma_A: float  # horizontal displacement of each line, r.m.s.
    jitter_correlation: float


@dataclass(frozen=True)
class Beam:
    """What the column does during one line."""

    blanked: bool
    current_pA: float
    defocus_nm: float
    stage_nm: tuple[float, float]  # (x, y); +x moves the sample to the right in the image


class Haadf:
    """Renders lines of one sheet. Not thread-safe: one scan engine owns it."""

    def __init__(self, sheet: Sheet, settings: ImagingSettings, seed: int) -> None:
        self._atoms = sheet.atoms
        self._settings = settings
        self._seed = seed
        nominal = settings.nominal_fwhm_A / FWHM_PER_SIGMA
        peak = _peak(nominal, settings.tail_share, settings.tail_ratio)
        self._weight = settings.mo_fraction / peak * (sheet.atoms.number / MO) ** settings.z_exponent
        rng = np.random.default_rng([seed, 2])
        self._waves = rng.standard_normal((32, 2)) / settings.contamination_length_A
        self._phases = rng.uniform(0.0, 2.0 * math.pi, 32)

    def line(
        self,
        beam: Beam,
        x_nm: FloatArray,
        y_nm: float,
        pixel_us: float,
        frame: int,
        line: int,
        jitter_A: float,
    ) -> NDArray[np.uint8]:
        """ADC codes of one line whose pixels stand at `x_nm` (evenly spaced) and `y_nm`, nm from the field's
        middle.

        The noise depends on seed, frame and line alone, so the same experiment gives the same data.
        """
        rng = np.random.default_rng([self._seed, 3, frame, line])
        dark = self._settings.dark_counts_per_s * pixel_us * 1e-6
        mean = np.full(len(x_nm), dark)
        if not beam.blanked:
            x = (x_nm - beam.stage_nm[0]) * 10.0 + jitter_A
            y = (y_nm - beam.stage_nm[1]) * 10.0
            electrons = beam.current_pA * ELECTRONS_PER_PA_US * pixel_us
            mean += electrons * (self._columns(x, y, beam.defocus_nm) + self._background(x, y))
        codes = np.floor(rng.poisson(mean) * (ADC_CODES / self._settings.full_scale_electrons))
        counts: NDArray[np.uint8] = np.minimum(codes, ADC_CODES - 1).astype(np.uint8)
        return counts

    def probe_sigma_A(self, defocus_nm: float) -> float:
        """Standard deviation of the probe's core at a defocus."""
        s = self._settings
        blur = s.defocus_blur * abs(defocus_nm) * 10.0 * s.convergence_mrad * 1e-3
        return math.hypot(s.probe_fwhm_A, blur) / FWHM_PER_SIGMA

    def _columns(self, x: FloatArray, y: float, defocus_nm: float) -> FloatArray:
        s = self._settings
        core = self.probe_sigma_A(defocus_nm)
        tail = core * s.tail_ratio
        reach = 3.0 * tail
        near = self._atoms.near(y, reach)
        ax, weight = self._atoms.x_A[near], self._weight[near]
        dy2 = (self._atoms.y_A[near] - y) ** 2
        keep = (ax > x[0] - reach) & (ax < x[-1] + reach)
        ax, weight, dy2 = ax[keep], weight[keep], dy2[keep]
        if len(ax) == 0:
            return np.zeros(len(x))
        step = (x[-1] - x[0]) / (len(x) - 1)
        half = math.ceil(reach / step)
        index = np.rint((ax - x[0]) / step).astype(np.int64)[:, None] + np.arange(-half, half + 1)
        dx2 = (x[0] + index * step - ax[:, None]) ** 2
        value = np.zeros_like(dx2)
        for share, sigma in ((1.0 - s.tail_share, core), (s.tail_share, tail)):
            high = weight * share / (2.0 * math.pi * sigma**2) * np.exp(dy2 / (-2.0 * sigma**2))
            value += high[:, None] * np.exp(dx2 / (-2.0 * sigma**2))
        spot = np.where((index >= 0) & (index < len(x)), index, len(x))
        total = np.bincount(spot.ravel(), value.ravel(), minlength=len(x) + 1)
        return total[: len(x)].astype(np.float64, copy=False)

    def _background(self, x: FloatArray, y: float) -> FloatArray:
        """Hydrocarbon on the sheet: a smooth random field in [0, peak], fixed to the sample."""
        phase = np.outer(x, self._waves[:, 0]) + (y * self._waves[:, 1] + self._phases)
        field = np.cos(phase).sum(axis=1) * math.sqrt(2.0 / len(self._phases))
        level = self._settings.contamination * self._settings.mo_fraction
        return np.asarray(level * np.clip(0.5 + 0.25 * field, 0.0, 1.0), np.float64)


def draw_jitter_A(settings: ImagingSettings, lines: int, seed: int, frame: int) -> FloatArray:
    """Horizontal displacement of every line of a frame: an AR(1) walk (Jones, Nellist, Microsc. Microanal.
    19, 1050).
    """
    rng = np.random.default_rng([seed, 4, frame])
    step = rng.standard_normal(lines)
    rho = settings.jitter_correlation
    out = np.empty(lines)
    out[0] = step[0]
    for k in range(1, lines):
        out[k] = rho * out[k - 1] + math.sqrt(1.0 - rho**2) * step[k]
    return settings.jitter_sigma_A * out


def _peak(sigma: float, tail_share: float, tail_ratio: float) -> float:
    tail = sigma * tail_ratio
    return (1.0 - tail_share) / (2.0 * math.pi * sigma**2) + tail_share / (2.0 * math.pi * tail**2)
