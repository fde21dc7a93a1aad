"""Specimens: geometry, vacancies, tilt."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

from dwell.models.vacancy.params import SpecimenParams
from dwell.models.vacancy.specimen import MO, S, draw_specimen


def draw(seed=0, field_A=30.0, **changes):
    return draw_specimen(SpecimenParams(**changes), field_A, np.random.default_rng(seed))


def test_honeycomb_distances():
    flat = draw(tilt_mrad=(0.0, 0.0), vacancy_fraction=(0.0, 0.0))
    mo, sulphur = flat.atoms[flat.number == MO], flat.atoms[flat.number == S]
    nearest = cKDTree(mo).query(mo, k=2)[0][:, 1]
    assert nearest == pytest.approx(3.160, abs=1e-6)
    inner = sulphur[np.hypot(sulphur[:, 0], sulphur[:, 1]) < 15]
    assert cKDTree(mo[:, :2]).query(inner[:, :2])[0] == pytest.approx(3.160 / np.sqrt(3), abs=1e-6)
    assert sorted(set(np.round(sulphur[:, 2], 3))) == [-1.585, 1.585]
    assert len(flat.vacancies) == 0


def test_the_field_is_covered_at_every_rotation():
    for seed in range(6):
        one = draw(seed)
        grid = np.stack(np.meshgrid(*[np.linspace(-15, 15, 31)] * 2), axis=-1).reshape(-1, 2)
        assert cKDTree(one.atoms[:, :2]).query(grid)[0].max() < 2.3  # a hollow's distance, and a vacancy's


def test_vacancies_are_columns_that_lack_atoms():
    one = draw(3, tilt_mrad=(0.0, 0.0), vacancy_fraction=(0.2, 0.2), double_vacancy_share=0.3)
    sulphur = cKDTree(one.atoms[one.number == S][:, :2])
    left = np.array([len(hit) for hit in sulphur.query_ball_point(one.vacancies, 0.01)])
    assert np.array_equal(left, 2 - one.missing)
    assert set(one.missing) == {1, 2}
    assert {len(hit) for hit in sulphur.query_ball_point(one.intact, 0.01)} == {2}
    share = len(one.vacancies) / (len(one.vacancies) + len(one.intact))
    assert share == pytest.approx(0.2, abs=0.06)


def test_tilt_splits_the_sulphur_columns():
    one = draw(1, tilt_mrad=(100.0, 100.0), vacancy_fraction=(0.0, 0.0))
    sulphur = one.atoms[one.number == S][:, :2]
    split = cKDTree(sulphur).query(sulphur, k=2)[0][:, 1]
    assert np.median(split) == pytest.approx(2 * 1.585 * np.sin(0.1), rel=1e-3)


def test_same_seed_same_specimen_and_another_seed_another():
    one, same, other = draw(5), draw(5), draw(6)
    assert np.array_equal(one.atoms, same.atoms)
    assert np.array_equal(one.vacancies, same.vacancies)
    assert one.rotation_rad != other.rotation_rad
