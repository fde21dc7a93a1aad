"""A crystal lattice from an image and a few marked sites of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

_MIN_RESULTANT = 0.5


@dataclass(frozen=True)
class Lattice:
    """Sites are the points p with `reciprocal` @ p = `phase` modulo 1. Lengths in pixels, vectors (y, x)."""

    reciprocal: FloatArray
    phase: FloatArray

    def sites(self, lines: int, pixels: int, margin: float) -> FloatArray:
        """(n, 2) sites in the frame, at least `margin` from its border."""
        basis = np.linalg.inv(self.reciprocal)  # columns are the real-space vectors
        corners = np.array([[0, 0], [0, pixels], [lines, 0], [lines, pixels]], dtype=np.float64)
        index = corners @ self.reciprocal.T
        low, high = np.floor(index.min(axis=0)) - 1, np.ceil(index.max(axis=0)) + 1
        m, n = np.meshgrid(np.arange(low[0], high[0] + 1), np.arange(low[1], high[1] + 1), indexing="ij")
        at = (np.stack([m.ravel(), n.ravel()], axis=1) + self.phase) @ basis.T
        inside = ((at >= margin) & (at <= np.array([lines - 1 - margin, pixels - 1 - margin]))).all(axis=1)
        found: FloatArray = at[inside]
        return found


def reciprocal_vectors(
    image: NDArray[np.generic], spacing_px: float, tolerance: float = 0.15
) -> FloatArray | None:
    """Two first-order reciprocal vectors (2, 2), (y, x) in cycles per pixel, of a lattice whose rows lie
    near `spacing_px` apart; None where the image shows no such lattice (no peak 8 times above the annulus'
    median).

    The peaks of a windowed Fourier transform, refined between its samples by climbing the transform itself.
    """
    data = np.asarray(image, dtype=np.float64)
    windowed = (data - data.mean()) * np.outer(np.hanning(data.shape[0]), np.hanning(data.shape[1]))
    power = np.abs(np.fft.fft2(windowed))
    fy, fx = np.meshgrid(np.fft.fftfreq(data.shape[0]), np.fft.fftfreq(data.shape[1]), indexing="ij")
    radius = np.hypot(fy, fx) * spacing_px
    ring = (radius > 1 - tolerance) & (radius < 1 + tolerance) & ((fy > 0) | ((fy == 0) & (fx > 0)))
    if not ring.any() or power[ring].max() < 8 * np.median(power[ring]):
        return None
    values = np.where(ring, power, 0.0)
    first = np.unravel_index(int(values.argmax()), values.shape)
    one = np.array([fy[first], fx[first]])
    across = np.abs((fy * one[1] - fx * one[0]) / (np.hypot(fy, fx) * np.hypot(*one) + 1e-12))
    values = np.where(across > 0.7, values, 0.0)  # 45 to 135 degrees from the first
    second = np.unravel_index(int(values.argmax()), values.shape)
    two = np.array([fy[second], fx[second]])
    return np.stack([_climb(windowed, one), _climb(windowed, two)])


def _climb(windowed: FloatArray, start: FloatArray) -> FloatArray:
    """The frequency near `start` where the transform's modulus peaks, by fits of parabolas at shrinking
    steps.
    """
    y, x = np.arange(windowed.shape[0]), np.arange(windowed.shape[1])

    def height(f: FloatArray) -> float:
        rows = np.exp(-2j * np.pi * f[0] * y)
        columns = np.exp(-2j * np.pi * f[1] * x)
        return float(np.abs(rows @ windowed @ columns))

    at = start.copy()
    for step in (0.5, 0.25, 0.1, 0.05):
        for axis, size in enumerate(windowed.shape):
            delta = np.zeros(2)
            delta[axis] = step / size
            low, here, high = height(at - delta), height(at), height(at + delta)
            bend = low - 2 * here + high
            if bend < 0:
                at = at + delta * float(np.clip(0.5 * (low - high) / bend, -1.0, 1.0))
    return at


def lattice_of(image: NDArray[np.generic], marked: FloatArray, spacing_px: float) -> Lattice | None:
    """The lattice of the image on which most of the `marked` points (n, 2) lie; None if fewer than three do
    not agree.

    Directions and spacings come from the image, where on the cell the sites are from the marked points.
    """
    if len(marked) < 3:
        return None
    reciprocal = reciprocal_vectors(image, spacing_px)
    if reciprocal is None:
        return None
    turns = np.exp(2j * np.pi * (marked @ reciprocal.T))
    mean = turns.mean(axis=0)
    if np.abs(mean).min() < _MIN_RESULTANT:
        return None
    return Lattice(reciprocal, np.angle(mean) / (2 * np.pi))
