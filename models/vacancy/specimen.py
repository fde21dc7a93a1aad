"""Simulated specimens: a rotated, tilted MoS2 monolayer with sulphur vacancies.

Coordinates are (y, x, z) in ångström, y down the slow scan direction, x along the fast one, z along the beam.
The origin is the centre of the field.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dwell.models.vacancy.params import SpecimenParams

FloatArray = NDArray[np.float64]
MO, S = 42, 16


@dataclass(frozen=True)
class Specimen:
    """Atoms of one specimen and where sulphur is missing.

    `atoms` (N, 3) positions in Å; `number` (N,) atomic numbers; `vacancies` (M, 2) projected (y, x) in Å of S2
    columns that lack one or both atoms, at the column's centre of mass in the untilted layer carried through the
    tilt; `missing` (M,) how many atoms each lacks (1 or 2); `intact` (K, 2) the S2 columns that are whole.
    """

    atoms: FloatArray
    number: NDArray[np.int64]
    vacancies: FloatArray
    missing: NDArray[np.int64]
    intact: FloatArray
    rotation_rad: float
    tilt_mrad: float
    tilt_azimuth_rad: float


def _lattice(
    params: SpecimenParams, radius_A: float, rotation_rad: float, shift: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Mo and S2 column positions (n, 2) of a rotated honeycomb within `radius_A` of the origin."""
    a = params.lattice_a_A
    reach = int(np.ceil(2.0 * radius_A / a)) + 2
    u, v = np.meshgrid(np.arange(-reach, reach + 1), np.arange(-reach, reach + 1), indexing="ij")
    cells = np.stack([u.ravel() * a * np.sqrt(3) / 2, (v.ravel() + 0.5 * u.ravel()) * a], axis=1)
    cells = cells + shift
    c, s = np.cos(rotation_rad), np.sin(rotation_rad)
    turn = np.array([[c, -s], [s, c]])
    mo = cells @ turn.T
    sulphur = (cells + np.array([a / np.sqrt(3), 0.0])) @ turn.T
    return mo[np.hypot(*mo.T) <= radius_A], sulphur[np.hypot(*sulphur.T) <= radius_A]


def _tilt(atoms: FloatArray, tilt_rad: float, azimuth_rad: float) -> FloatArray:
    """Rotate by `tilt_rad` about the in-plane axis at `azimuth_rad` from y (Rodrigues' formula)."""
    axis = np.array([np.cos(azimuth_rad), np.sin(azimuth_rad), 0.0])
    c, s = np.cos(tilt_rad), np.sin(tilt_rad)
    along = atoms @ axis
    turned: FloatArray = atoms * c + np.cross(axis, atoms) * s + np.outer(along, axis) * (1 - c)
    return turned


def draw_specimen(params: SpecimenParams, field_A: float, rng: np.random.Generator) -> Specimen:
    """A specimen that covers a square field of side `field_A`, whatever its rotation.

    Each S2 column is a vacancy with a probability drawn from `vacancy_fraction`; of these `double_vacancy_share`
    lack both atoms and the others lack the upper or the lower one with equal chance. A double vacancy counts as
    one vacancy.
    """
    rotation = float(rng.uniform(0.0, 2 * np.pi))
    tilt = float(rng.uniform(*params.tilt_mrad))
    azimuth = float(rng.uniform(0.0, 2 * np.pi))
    shift = rng.uniform(0.0, params.lattice_a_A, size=2)
    fraction = float(rng.uniform(*params.vacancy_fraction))
    mo, sulphur = _lattice(params, field_A / np.sqrt(2.0) + 2.0, rotation, shift)
    n = len(sulphur)
    vacant = rng.random(n) < fraction
    double = vacant & (rng.random(n) < params.double_vacancy_share)
    upper_gone = rng.random(n) < 0.5
    no_upper, no_lower = double | (vacant & upper_gone), double | (vacant & ~upper_gone)
    h = params.sulphur_height_A

    def at(points: FloatArray, z: float) -> FloatArray:
        return np.column_stack([points, np.full(len(points), z)])

    atoms = np.concatenate([at(mo, 0.0), at(sulphur[~no_upper], h), at(sulphur[~no_lower], -h)])
    number = np.where(np.arange(len(atoms)) < len(mo), MO, S).astype(np.int64)
    sites = _tilt(at(sulphur, 0.0), tilt * 1e-3, azimuth)[:, :2]
    return Specimen(
        atoms=_tilt(atoms, tilt * 1e-3, azimuth),
        number=number,
        vacancies=sites[vacant],
        missing=np.where(double[vacant], 2, 1).astype(np.int64),
        intact=sites[~vacant],
        rotation_rad=rotation,
        tilt_mrad=tilt,
        tilt_azimuth_rad=azimuth,
    )
