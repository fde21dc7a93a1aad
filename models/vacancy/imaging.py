"""The linear imaging model: atoms ⊗ probe, seen by a scan that drifts and jitters, counted and digitised.

The signal is the fraction of the beam that reaches the annular detector. For a monolayer it is close to a sum over
atoms of a cross-section ~ Z^p times the probe's intensity (incoherent imaging: Kirkland, *Advanced Computing in
Electron Microscopy*, ch. 3; Krivanek et al., *Nature* 464 (2010) 571).

The second half of this module (`Scan`, `contamination`, `detect`) knows nothing of the linear model: the PRISM
images go through the same code.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from dwell.models.vacancy.params import ImagingParams
from dwell.models.vacancy.specimen import MO, FloatArray, Specimen

FWHM_PER_SIGMA = 2.0 * float(np.sqrt(2.0 * np.log(2.0)))
CODES = 256  # of the detector's ADC
DEFOCUS_BLUR = 0.67
"""FWHM that defocus adds in quadrature, over defocus x convergence angle. Fitted to the PRISM images."""


@dataclass(frozen=True)
class Probe:
    """Intensity of the probe: a Gaussian core and a wider Gaussian tail. `fwhm_A` is the core's."""

    fwhm_A: float
    tail_share: float
    tail_ratio: float

    def intensity(self, distance2_A2: FloatArray) -> FloatArray:
        """Intensity per Å² at a squared distance from its centre; the integral over the plane is 1."""
        core = self.fwhm_A / FWHM_PER_SIGMA
        tail = core * self.tail_ratio
        out: FloatArray = (1 - self.tail_share) / (2 * np.pi * core**2) * np.exp(
            distance2_A2 / (-2 * core**2)
        ) + self.tail_share / (2 * np.pi * tail**2) * np.exp(distance2_A2 / (-2 * tail**2))
        return out

    @property
    def peak(self) -> float:
        """Intensity per Å² at the centre."""
        return float(self.intensity(np.zeros(1))[0])


def probe_at(params: ImagingParams, fwhm_A: float, defocus_A: float) -> Probe:
    """The probe of in-focus width `fwhm_A`, broadened by `defocus_A`."""
    blur = DEFOCUS_BLUR * abs(defocus_A) * params.convergence_mrad * 1e-3
    return Probe(float(np.hypot(fwhm_A, blur)), params.tail_share, params.tail_ratio)


def nominal_fwhm_A(params: ImagingParams) -> float:
    """Middle of the range of in-focus probe widths; the probe for which `mo_fraction` holds."""
    return sum(params.probe_fwhm_A) / 2


@dataclass(frozen=True)
class Scan:
    """Where the probe stands at each pixel: `affine` @ (row - centre, column - centre) + (0, jitter_A[row]).

    `affine` (2, 2) in Å per pixel holds the pixel size and the shear and stretch that drift makes of it; pixel
    (0, 0) is read first, and the drift runs on through each line. `jitter_A` (rows,) in Å.
    """

    shape: tuple[int, int]
    affine: FloatArray
    jitter_A: FloatArray

    def positions_A(self) -> tuple[FloatArray, FloatArray]:
        """(y, x) in Å of every pixel, each of `shape`."""
        i, j = self._centred(*np.indices(self.shape, dtype=np.float64))
        y = self.affine[0, 0] * i + self.affine[0, 1] * j
        x = self.affine[1, 0] * i + self.affine[1, 1] * j + self.jitter_A[:, None]
        return y, x

    def pixels_of(self, points_A: FloatArray) -> FloatArray:
        """(row, column) at which points (n, 2) in Å appear, jitter left out (it has no mean)."""
        centre = (np.array(self.shape) - 1) / 2
        out: FloatArray = points_A @ np.linalg.inv(self.affine).T + centre
        return out

    def _centred(self, i: FloatArray, j: FloatArray) -> tuple[FloatArray, FloatArray]:
        return i - (self.shape[0] - 1) / 2, j - (self.shape[1] - 1) / 2


def draw_scan(params: ImagingParams, side_px: int, rng: np.random.Generator) -> Scan:
    """A square scan with its own calibration error, drift and line jitter."""
    pixel = params.pixel_A * (1 + rng.uniform(-params.pixel_spread, params.pixel_spread))
    drift = rng.uniform(*params.drift_A_per_frame)
    direction = rng.uniform(0, 2 * np.pi)
    velocity = drift / side_px * np.array([np.cos(direction), np.sin(direction)])  # Å per line
    affine = np.array(
        [[pixel + velocity[0], velocity[0] / side_px], [velocity[1], pixel + velocity[1] / side_px]]
    )
    sigma, rho = rng.uniform(*params.jitter_sigma_A), params.jitter_correlation
    step = rng.standard_normal(side_px)
    jitter = np.empty(side_px)
    jitter[0] = step[0]
    for row in range(1, side_px):
        jitter[row] = rho * jitter[row - 1] + np.sqrt(1 - rho**2) * step[row]
    return Scan((side_px, side_px), affine, sigma * jitter)


def linear_signal(
    specimen: Specimen, probe: Probe, scan: Scan, params: ImagingParams, z_exponent: float
) -> FloatArray:
    """Fraction of the beam on the detector at each pixel of `scan`, by the linear model; shape `scan.shape`.

    Each atom is added on the pixels within `reach` of it, where the probe's tail has fallen below 1e-3 of its peak.
    """
    nominal = Probe(nominal_fwhm_A(params), params.tail_share, params.tail_ratio)
    weight = params.mo_fraction / nominal.peak * (specimen.number / MO) ** z_exponent
    tail_sigma = probe.fwhm_A / FWHM_PER_SIGMA * probe.tail_ratio
    reach = int(np.ceil(3.0 * tail_sigma / params.pixel_A))
    rows, columns = scan.shape
    y, x = scan.positions_A()
    centre = np.rint(scan.pixels_of(specimen.atoms[:, :2])).astype(np.int64)
    near = np.all((centre >= -reach) & (centre < np.array(scan.shape) + reach), axis=1)
    centre, atoms, weight = centre[near], specimen.atoms[near], weight[near]
    offset = np.arange(-reach, reach + 1)
    i = centre[:, 0, None, None] + offset[None, :, None]
    j = centre[:, 1, None, None] + offset[None, None, :]
    flat = np.where((i >= 0) & (i < rows) & (j >= 0) & (j < columns), i * columns + j, rows * columns)
    spare_y, spare_x = np.append(y.ravel(), 0.0), np.append(x.ravel(), 0.0)
    distance2 = (spare_y[flat] - atoms[:, 0, None, None]) ** 2 + (
        spare_x[flat] - atoms[:, 1, None, None]
    ) ** 2
    added = np.bincount(
        flat.ravel(),
        (weight[:, None, None] * probe.intensity(distance2)).ravel(),
        minlength=rows * columns + 1,
    )
    return added[:-1].reshape(scan.shape).astype(np.float64, copy=False)


def contamination(params: ImagingParams, scan: Scan, rng: np.random.Generator) -> FloatArray:
    """Smooth background of hydrocarbon, fraction of the beam; between 0 and a drawn peak, low spatial frequencies.

    White noise filtered to a drawn correlation length and stretched to [0, peak].
    """
    peak = rng.uniform(*params.contamination) * params.mo_fraction
    length_px = rng.uniform(*params.contamination_length_A) / params.pixel_A
    field = gaussian_filter(rng.standard_normal(scan.shape), length_px / 2, mode="reflect")
    low, high = float(field.min()), float(field.max())
    out: FloatArray = peak * (field - low) / (high - low)
    return out


def electrons_per_fraction(params: ImagingParams) -> float:
    """Electrons that fall on one nominal pixel at the nominal dose."""
    return params.dose_e_per_A2 * params.pixel_A**2


def detect(
    signal: FloatArray, beam: float, params: ImagingParams, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Count electrons (Poisson) and digitise: multiples of 1/256 in [0, 1), float32, the shape of `signal`.

    `signal` is a fraction of the beam, `beam` the beam current over its nominal value. The gain is fixed by the
    nominal dose, so that `detector_white` nominal Mo peaks fill the ADC.
    """
    electrons = rng.poisson(signal * beam * electrons_per_fraction(params))
    gain = 1.0 / (params.detector_white * params.mo_fraction * electrons_per_fraction(params))
    codes = np.clip(np.floor(electrons * gain * CODES), 0, CODES - 1)
    out: NDArray[np.float32] = (codes / CODES).astype(np.float32)
    return out
