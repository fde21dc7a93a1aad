"""The sulphur edge in a set of spectra, and whether two sets differ."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

BACKGROUND_EV = (110.0, 160.0)
SULPHUR_EV = (167.0, 212.0)


@dataclass(frozen=True)
class Comparison:
    """Mean sulphur signal (counts) of two sets with standard errors; `sigmas` is their difference over its
    error.
    """

    events: float
    events_error: float
    references: float
    references_error: float
    sigmas: float
    n_events: int
    n_references: int


def sulphur_signal(energies_eV: FloatArray, counts: NDArray[np.generic]) -> FloatArray:
    """Counts (N,) of the sulphur L2,3 edge above background in spectra (N, E).

    The background is a power law. Its exponent is fitted once, to the sum of all spectra, for a single one
    has too few counts; its height in each spectrum is that spectrum's own in `BACKGROUND_EV`.
    """
    data = np.asarray(counts, dtype=np.float64)
    before = (energies_eV >= BACKGROUND_EV[0]) & (energies_eV < BACKGROUND_EV[1])
    edge = (energies_eV >= SULPHUR_EV[0]) & (energies_eV < SULPHUR_EV[1])
    exponent = _exponent(energies_eV[before], data[:, before].sum(axis=0))
    ratio = (energies_eV[edge] ** -exponent).sum() / (energies_eV[before] ** -exponent).sum()
    out: FloatArray = data[:, edge].sum(axis=1) - ratio * data[:, before].sum(axis=1)
    return out


def _exponent(energies: FloatArray, counts: FloatArray) -> float:
    """Exponent of a power law by maximum likelihood of Poisson counts, by Newton's method from 3."""
    logs = np.log(energies / energies.mean())
    total = counts.sum()
    exponent = 3.0
    if total <= 0:
        return exponent
    observed = float((counts * logs).sum() / total)
    for _ in range(20):
        weights = np.exp(-exponent * logs)
        mean = float((weights * logs).sum() / weights.sum())
        spread = float((weights * logs**2).sum() / weights.sum()) - mean**2
        exponent = float(np.clip(exponent + (mean - observed) / spread, 0.0, 10.0))
    return exponent


def compare(
    energies_eV: FloatArray, events: NDArray[np.generic], references: NDArray[np.generic]
) -> Comparison | None:
    """Compare spectra at events (N, E) with those at perfect columns (M, E); None with fewer than two of
    either.
    """
    if len(events) < 2 or len(references) < 2:
        return None
    signal = sulphur_signal(energies_eV, np.concatenate([events, references]))
    a, b = signal[: len(events)], signal[len(events) :]
    ea, eb = (float(s.std(ddof=1) / np.sqrt(len(s))) for s in (a, b))
    both = float(np.hypot(ea, eb))
    sigmas = float(b.mean() - a.mean()) / both if both > 0 else 0.0
    return Comparison(float(a.mean()), ea, float(b.mean()), eb, sigmas, len(a), len(b))
