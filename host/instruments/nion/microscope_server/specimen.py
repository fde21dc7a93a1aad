# SPDX-License-Identifier: GPL-3.0-only
"""The specimen: an MoS2 monolayer, rotated and tilted, with sulphur missing at known places.

Coordinates are ångström in the sample's own frame, x along the fast scan direction, y down the slow one, the
origin at the middle of the sheet. MoS2: a = 3.160 Å, the two S atoms of a column 3.17 Å apart along the beam
(Bronsema, de Boer, Jellinek, Z. anorg. allg. Chem. 540 (1986) 15).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

MO, S = 42, 16


@dataclass(frozen=True)
class SpecimenSettings:
    """How the sheet is made. Lengths in Å, angles as their names say."""

    size_nm: float
    lattice_a_A: float
    sulphur_height_A: float
    vacancy_fraction: float
    double_vacancy_share: float
    tilt_mrad: float
    rotation_deg: float


@dataclass(frozen=True)
class Atoms:
    """Atoms sorted by y. `number` is the atomic number."""

    x_A: FloatArray
    y_A: FloatArray
    number: NDArray[np.int64]

    def near(self, y_A: float, reach_A: float) -> slice:
        """The atoms whose y is within `reach_A` of `y_A`."""
        return slice(*np.searchsorted(self.y_A, (y_A - reach_A, y_A + reach_A)))


@dataclass(frozen=True)
class Sheet:
    """A made specimen. `sites_A` (n, 2) are the (x, y) of all S2 columns and `missing` (n,) how many S each
    lacks.
    """

    atoms: Atoms
    sites_A: FloatArray
    missing: NDArray[np.int64]

    @property
    def vacancies_A(self) -> FloatArray:
        """(x, y) of the columns that lack one S atom or both."""
        return self.sites_A[self.missing > 0]


def make_sheet(settings: SpecimenSettings, seed: int) -> Sheet:
    """The sheet of these settings; the same seed gives the same vacancies."""
    rng = np.random.default_rng([seed, 1])
    mo, sites = _columns(settings)
    vacant = rng.random(len(sites)) < settings.vacancy_fraction
    both = rng.random(len(sites)) < settings.double_vacancy_share
    upper_first = rng.random(len(sites)) < 0.5
    missing = np.where(vacant, np.where(both, 2, 1), 0).astype(np.int64)
    has_upper = (missing == 0) | ((missing == 1) & ~upper_first)
    has_lower = (missing == 0) | ((missing == 1) & upper_first)
    h = settings.sulphur_height_A
    azimuth = float(rng.uniform(0.0, 2.0 * math.pi))
    layers = [
        _tilted(mo, 0.0, settings, azimuth),
        _tilted(sites[has_upper], h, settings, azimuth),
        _tilted(sites[has_lower], -h, settings, azimuth),
    ]
    xy = np.concatenate(layers)
    number = np.concatenate([np.full(len(layers[0]), MO), np.full(len(xy) - len(layers[0]), S)]).astype(
        np.int64
    )
    order = np.argsort(xy[:, 1], kind="stable")
    atoms = Atoms(xy[order, 0].copy(), xy[order, 1].copy(), number[order].copy())
    return Sheet(atoms, _tilted(sites, 0.0, settings, azimuth), missing)


def _columns(settings: SpecimenSettings) -> tuple[FloatArray, FloatArray]:
    """(x, y) of the Mo and the S2 columns of the untilted sheet, clipped to its square."""
    a, half = settings.lattice_a_A, settings.size_nm * 5.0
    n = math.ceil(2.2 * half / a) + 2
    i, j = (g.ravel().astype(np.float64) for g in np.meshgrid(np.arange(-n, n + 1), np.arange(-n, n + 1)))
    cells = np.stack([(i + 0.5 * j) * a, j * a * math.sqrt(3.0) / 2.0], axis=1)
    turn = math.radians(settings.rotation_deg)
    rotate = np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])
    mo = cells @ rotate
    sulphur = (cells + np.array([0.0, a / math.sqrt(3.0)])) @ rotate
    return mo[np.abs(mo).max(axis=1) <= half], sulphur[np.abs(sulphur).max(axis=1) <= half]


def _tilted(xy: FloatArray, z: float, settings: SpecimenSettings, azimuth: float) -> FloatArray:
    """(x, y) of points at height `z` after the sheet is tilted about an in-plane axis at `azimuth`."""
    tilt = settings.tilt_mrad * 1e-3
    across = np.array([-math.sin(azimuth), math.cos(azimuth)])
    along = xy @ across
    moved: FloatArray = xy + ((math.cos(tilt) - 1.0) * along - math.sin(tilt) * z)[:, None] * across
    return moved
