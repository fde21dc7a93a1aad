"""Classical detectors to beat: normalised matched templates, an intensity threshold, Laplacian of Gaussian.

All are tuned with the network's data: templates are learnt on the training set, the grids are searched on the
validation set for the highest recall at one false alarm in 10,000 pixels. Every score is higher where a vacancy is
more likely. A score map has the shape of its frames; edges are mirrored, so that templates may be larger than the
network's window.

Normalised correlation: Lewis, *Vision Interface* (1995) 120. The templates are a bank over the lattice's rotations
(the maximum over the bank is the score), each the mean of the training set's vacancies at that rotation less
`contrast` times the mean of the whole S2 columns at the same rotation. `contrast` 0 is the plain template; the
search settles above it, since it makes the template look at what tells the two apart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.ndimage import gaussian_filter, map_coordinates

from dwell.models import metric
from dwell.models.vacancy.dataset import FrameSet

FloatArray = NDArray[np.float64]
Choice = dict[str, float]
PERIOD_RAD = 2 * np.pi / 3  # of the lattice's rotation


class Baseline(Protocol):
    """A detector with a grid of settings and starting points in it."""

    grid: Mapping[str, Sequence[float]]
    starts: Sequence[Choice]

    def score(self, frames: NDArray[np.float32], choice: Choice) -> NDArray[np.float32]:
        """Scores (N, H, W) of frames (N, H, W)."""
        ...


def _smooth(frames: NDArray[np.floating[Any]], sigma_px: float) -> FloatArray:
    out = frames.astype(np.float64)
    return gaussian_filter(out, (0, sigma_px, sigma_px)) if sigma_px > 0 else out


class Intensity:
    """Smoothed intensity less `background` times the intensity smoothed over `wide_px`; `sign` says which side
    of it is a vacancy. 'sigma_px' is the smoothing."""

    grid: Mapping[str, Sequence[float]] = {
        "sign": (-1.0, 1.0),
        "sigma_px": (0.7, 1.0, 1.5, 2.0, 3.0),
        "background": (0.0, 0.5, 1.0),
        "wide_px": (3.0, 5.0, 8.0),
    }
    starts: Sequence[Choice] = ({"sign": -1.0, "sigma_px": 1.5, "background": 1.0, "wide_px": 5.0},)

    def score(self, frames: NDArray[np.float32], choice: Choice) -> NDArray[np.float32]:
        near = _smooth(frames, choice["sigma_px"])
        far = _smooth(frames, choice["wide_px"])
        return (choice["sign"] * (near - choice["background"] * far)).astype(np.float32)


class LaplacianOfGaussian:
    """Laplacian of a Gaussian of `sigma_px`, `sign` +1 for a dip, over the local standard deviation in `wide_px`
    to the power `normalise` (0: plain)."""

    grid: Mapping[str, Sequence[float]] = {
        "sign": (-1.0, 1.0),
        "sigma_px": (1.0, 1.5, 2.0, 2.5, 3.0, 4.0),
        "normalise": (0.0, 0.5, 1.0),
        "wide_px": (4.0, 8.0),
    }
    starts: Sequence[Choice] = ({"sign": 1.0, "sigma_px": 2.0, "normalise": 0.0, "wide_px": 4.0},)

    def score(self, frames: NDArray[np.float32], choice: Choice) -> NDArray[np.float32]:
        x = frames.astype(np.float64)
        sigma = choice["sigma_px"]
        log = _laplace(x, sigma)
        mean, square = _smooth(x, choice["wide_px"]), _smooth(x * x, choice["wide_px"])
        spread = np.sqrt(np.maximum(square - mean * mean, 1e-6))
        return (choice["sign"] * log / spread ** choice["normalise"]).astype(np.float32)


def _laplace(frames: FloatArray, sigma_px: float) -> FloatArray:
    """Laplacian of Gaussian of each frame (scipy's own would mix the frames)."""
    rows = gaussian_filter(frames, (0, sigma_px, sigma_px), order=(0, 2, 0))
    columns = gaussian_filter(frames, (0, sigma_px, sigma_px), order=(0, 0, 2))
    out: FloatArray = rows + columns
    return out


class MatchedTemplate:
    """Normalised correlation with a bank of templates learnt from a training set.

    Settings: `contrast` (see the module), `smooth_px` of frames and templates, `weight_px` width of the Gaussian
    weight of the correlation, `radius_px` of the template, `root` 1 to take the square root first (which evens out
    Poisson noise: Anscombe, *Biometrika* 35 (1948) 246), `floor` added to the local standard deviation.
    """

    grid: Mapping[str, Sequence[float]] = {
        "contrast": (0.0, 0.3, 0.45, 0.6, 0.7, 0.8),
        "weight_px": (2.0, 2.5, 3.0, 3.5, 4.0, 5.0),
        "smooth_px": (0.0, 1.0, 1.3, 1.6, 2.0),
        "floor": (0.0, 0.02, 0.05, 0.1),
        "root": (0.0, 1.0),
        "radius_px": (5.0, 8.0),
    }
    starts: Sequence[Choice] = tuple(
        {
            "contrast": contrast,
            "weight_px": weight,
            "smooth_px": 1.6,
            "floor": 0.0,
            "root": 1.0,
            "radius_px": 8.0,
        }
        for contrast, weight in ((0.0, 2.0), (0.3, 2.0), (0.45, 3.0), (0.6, 4.0), (0.7, 5.0))
    )

    def __init__(self, training: FrameSet, rotations: int) -> None:
        self._data = training
        self._rotations = rotations
        self._means: dict[tuple[float, float], tuple[FloatArray, FloatArray]] = {}

    def templates(self, choice: Choice) -> FloatArray:
        """The bank, (rotations, 2 radius + 1, 2 radius + 1)."""
        vacant, whole = self._mean_patches(choice["radius_px"], choice["root"])
        return _smooth(vacant - choice["contrast"] * whole, choice["smooth_px"])

    def score(self, frames: NDArray[np.float32], choice: Choice) -> NDArray[np.float32]:
        x = _smooth(np.sqrt(frames) if choice["root"] else frames, choice["smooth_px"])
        radius = int(choice["radius_px"])
        y, z = np.mgrid[-radius : radius + 1, -radius : radius + 1]
        weight = np.exp((y**2 + z**2) / (-2 * choice["weight_px"] ** 2))
        return normalised_correlation(x, self.templates(choice), weight, choice["floor"]).astype(np.float32)

    def _mean_patches(self, radius_px: float, root: float) -> tuple[FloatArray, FloatArray]:
        """Mean patch round single vacancies and round whole columns at each rotation."""
        key = (radius_px, root)
        if key not in self._means:
            data, radius = self._data, int(radius_px)
            frames = np.sqrt(data.frames) if root else data.frames
            turn = np.mod(data.rotation_rad, PERIOD_RAD) / PERIOD_RAD * self._rotations
            bins = np.floor(turn).astype(np.int64) % self._rotations
            single = data.vacancies[data.missing == 1]
            self._means[key] = (
                _mean_by_bin(frames, single, bins, self._rotations, radius),
                _mean_by_bin(frames, data.intact, bins, self._rotations, radius),
            )
        return self._means[key]


def _mean_by_bin(
    frames: NDArray[np.float32], points: NDArray[np.float32], bins: NDArray[np.int64], count: int, radius: int
) -> FloatArray:
    """Mean of the patches round points (frame, y, x), centred to a fraction of a pixel, per bin of the frame."""
    side = np.array(frames.shape[1:])
    inner = np.all((points[:, 1:] >= radius) & (points[:, 1:] <= side - 1 - radius), axis=1)
    points = points[inner]
    offset = np.arange(-radius, radius + 1.0)
    total, n = np.zeros((count, len(offset), len(offset))), np.zeros(count)
    for frame in np.unique(points[:, 0]).astype(np.int64):
        here = points[points[:, 0] == frame].astype(np.float64)
        y = here[:, 1, None, None] + offset[None, :, None] + 0 * offset[None, None, :]
        x = here[:, 2, None, None] + offset[None, None, :] + 0 * offset[None, :, None]
        total[bins[frame]] += map_coordinates(frames[frame], np.stack([y, x]), order=1).sum(axis=0)
        n[bins[frame]] += len(here)
    if not n.all():  # a bin without a point borrows the mean of all
        total[n == 0], n[n == 0] = total.sum(axis=0), n.sum()
    out: FloatArray = total / n[:, None, None]
    return out


def normalised_correlation(
    frames: FloatArray, templates: FloatArray, weight: FloatArray, floor: float
) -> FloatArray:
    """Maximum over the templates of the weighted, normalised correlation, (N, H, W).

    Frames and templates are freed of their weighted local mean and divided by their weighted local standard
    deviation (`floor` added in quadrature, times the frames' own mean); without a floor the result is in [-1, 1].
    """
    weight = weight / weight.sum()
    centred = templates - (weight * templates).sum(axis=(1, 2), keepdims=True)
    centred /= np.sqrt((weight * centred**2).sum(axis=(1, 2), keepdims=True))
    radius = templates.shape[1] // 2
    level = frames.mean(axis=(1, 2), keepdims=True)
    padded = np.pad(frames - level, ((0, 0), (radius, radius), (radius, radius)), mode="reflect")
    size = [fft.next_fast_len(n, True) for n in padded.shape[1:]]
    rows, columns = frames.shape[1:]

    def correlate(spectrum: NDArray[np.complexfloating[Any, Any]], kernel: FloatArray) -> FloatArray:
        product = spectrum * np.conj(fft.rfft2(kernel, size))
        out: FloatArray = fft.irfft2(product, size)[:, :rows, :columns]
        return out

    spectrum = fft.rfft2(padded, size)
    mean = correlate(spectrum, weight)
    variance = correlate(fft.rfft2(padded**2, size), weight) - mean**2
    spread = np.sqrt(np.maximum(variance, 1e-12) + (floor * level) ** 2)
    best = np.full(frames.shape, -np.inf)
    for template in centred:
        np.maximum(best, correlate(spectrum, weight * template), out=best)
    out: FloatArray = best / spread
    return out


@dataclass(frozen=True)
class Tuned:
    """A baseline with the settings that the search found, and the recall they had on the validation set."""

    detector: Baseline
    choice: Choice
    validation_recall: float
    tried: int

    def score(self, frames: NDArray[np.float32], window: int) -> NDArray[np.float32]:
        """Scores at the decision pixels of a network with that window."""
        radius = (window - 1) // 2
        parts = [self.detector.score(frames[k : k + 100], self.choice) for k in range(0, len(frames), 100)]
        return np.concatenate(parts)[:, radius : frames.shape[1] - radius, radius : frames.shape[2] - radius]


def tune(
    detector: Baseline,
    validation: FrameSet,
    *,
    window: int,
    rate: float = 1e-4,
    passes: int = 2,
    progress: Callable[[str], None] | None = None,
) -> Tuned:
    """Coordinate search from the best start: each setting in turn over its grid, the others held.

    `passes` times, or until nothing changes. Ranked by recall at `rate` on the validation set, ties by recall at 10
    and 100 times that rate.
    """
    seen: dict[tuple[float, ...], tuple[float, ...]] = {}

    def value(choice: Choice) -> tuple[float, ...]:
        key = tuple(choice[name] for name in detector.grid)
        if key not in seen:
            scores = Tuned(detector, choice, 0.0, 0).score(validation.frames, window)
            found = metric.decide(
                scores, validation.vacancies, validation.specimen, validation.pixel_A, window=window
            )
            seen[key] = tuple(
                float(np.mean(found.feature >= metric.threshold_at(found.clean, rate * factor)))
                for factor in (1, 10, 100)
            )
        return seen[key]

    first = max(detector.starts, key=value)
    best = dict(first)
    for _ in range(passes):
        before = dict(best)
        for name, values in detector.grid.items():
            best = max(({**best, name: v} for v in values), key=value)
            if progress is not None:
                progress(f"{type(detector).__name__}: recall {value(best)[0]:.3f} with {best}")
        if best == before:
            break
    return Tuned(detector, best, value(best)[0], len(seen))


def all_baselines(training: FrameSet, rotations: int) -> dict[str, Baseline]:
    """The baselines by the names under which they are reported."""
    return {
        "matched_template": MatchedTemplate(training, rotations),
        "intensity": Intensity(),
        "laplacian_of_gaussian": LaplacianOfGaussian(),
    }
