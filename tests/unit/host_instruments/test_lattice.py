"""Lattice and threshold from what a run has: no microscope needed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dwell.errors import ConfigError
from dwell.hls.qmodel import run_model
from dwell.hls.qmodel.random_models import DETECTOR, random_conv_model
from dwell.host.bridge.analysis import compare, sulphur_signal
from dwell.host.bridge.threshold import threshold_code
from dwell.host.instruments.nion.settings import MicroscopeSettings
from dwell.host.policies.lattice import lattice_of, reciprocal_vectors

SIDE, SPACING = 192, 6.84  # pixels; rows of MoS2 at 0.4 Å


def _image(angle: float, phase: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """A hexagonal lattice of Gaussians with noise, and its sites (y, x)."""
    a = SPACING * 2 / np.sqrt(3)
    c, s = np.cos(angle), np.sin(angle)
    basis = np.array([[a * s, a * c], [a * np.sin(angle + np.pi / 3), a * np.cos(angle + np.pi / 3)]])
    m, n = np.meshgrid(np.arange(-60, 61), np.arange(-60, 61))
    sites = np.stack([m.ravel(), n.ravel()], axis=1) @ basis + phase + SIDE / 2
    sites = sites[((sites > -5) & (sites < SIDE + 5)).all(axis=1)]
    y, x = np.mgrid[:SIDE, :SIDE]
    image = np.zeros((SIDE, SIDE))
    for at in sites:
        image += np.exp(-((y - at[0]) ** 2 + (x - at[1]) ** 2) / 4.0)
    return np.random.default_rng(1).poisson(image * 10), sites


@pytest.mark.parametrize("angle", [0.0, 0.2, 0.5, 0.9])
def test_sites_come_from_image_and_a_few_marks(angle: float) -> None:
    """Within a third of a pixel over the whole frame, though the marks are rounded and one is wrong."""
    image, sites = _image(angle, (1.3, -2.1))
    inside = sites[((sites > 20) & (sites < SIDE - 20)).all(axis=1)]
    marks = np.rint(inside[:: len(inside) // 12])
    marks[0] += 3.0
    lattice = lattice_of(image, marks, SPACING)
    assert lattice is not None
    found = lattice.sites(SIDE, SIDE, 12.0)
    nearest = np.hypot(*(found[:, None] - sites[None]).transpose(2, 0, 1)).min(axis=1)
    assert len(found) > 300 and nearest.max() < 0.6 and np.median(nearest) < 0.33


def test_no_lattice_where_there_is_none() -> None:
    """Noise, too few marks, marks that do not agree."""
    noise = np.random.default_rng(2).poisson(5.0, (SIDE, SIDE))
    assert reciprocal_vectors(noise, SPACING) is None
    image, sites = _image(0.3, (0.0, 0.0))
    assert lattice_of(image, sites[:2], SPACING) is None
    scattered = np.random.default_rng(3).uniform(0, SIDE, (40, 2))
    assert lattice_of(image, scattered, SPACING) is None


def test_the_threshold_keeps_the_false_alarm_rate(tmp_path: Path) -> None:
    """Counted by brute force: at the threshold the rate holds, one code lower it does not."""
    model = random_conv_model(0, DETECTOR)
    rng = np.random.default_rng(5)
    frames = (rng.integers(0, 256, (6, 48, 48)) / 256).astype(np.float32)
    vacancies = np.column_stack([np.arange(20) % 6, rng.uniform(8, 40, (20, 2))]).astype(np.float32)
    np.savez(tmp_path / "val.npz", frames=frames, vacancies=vacancies, pixel_A=np.float32(0.4))
    code = threshold_code(model, tmp_path / "val.npz", 1e-2)
    scores = run_model(model, frames[..., None])[..., 0]
    y, x = np.mgrid[5:43, 5:43]
    clean = np.concatenate(
        [
            scores[k][
                np.all([np.hypot(y - v[1], x - v[2]) * 0.4 > 1.0 for v in vacancies if v[0] == k], axis=0)
            ]
            for k in range(6)
        ]
    )
    assert (clean >= code).mean() <= 1e-2 < (clean >= code - 1).mean()
    with pytest.raises(ConfigError, match="cannot tell"):
        threshold_code(model, tmp_path / "val.npz", 1e-7)


def test_the_sulphur_signal_is_what_was_put_in() -> None:
    """A power law and an edge of known height: the background goes; equal sets do not differ."""
    energies = -20 + 0.5 * np.arange(1024)
    background = 40.0 * (np.maximum(energies, 30.0) / 165.0) ** -3.4
    edge = np.where((energies >= 167) & (energies < 212), 2.0, 0.0)
    rng = np.random.default_rng(7)
    perfect, weaker = (
        rng.poisson(background + edge, (60, 1024)),
        rng.poisson(background + 0.6 * edge, (60, 1024)),
    )
    signal = sulphur_signal(energies, np.concatenate([perfect, weaker]))
    assert signal[:60].mean() == pytest.approx(180.0, abs=25.0)
    found = compare(energies, weaker, perfect)
    assert found is not None and found.sigmas > 3.0
    same = compare(energies, perfect[:30], perfect[30:])
    assert same is not None and abs(same.sigmas) < 3.0
    assert compare(energies, perfect[:1], perfect) is None


def test_open_settings_follow_the_training_and_given_ones_stay() -> None:
    model = {
        "imaging": {
            "mo_fraction": 0.02,
            "tail_share": 0.1,
            "tail_ratio": 2.0,
            "convergence_mrad": 25.0,
            "jitter_correlation": 0.3,
            "probe_fwhm_A": (0.8, 1.2),
            "dose_e_per_A2": 10_000.0,
            "pixel_A": 0.5,
            "detector_white": 3.0,
        }
    }
    given = MicroscopeSettings.model_validate({"imaging": {"tail_share": 0.25}})
    made = given.like_training(model).imaging
    assert made.tail_share == 0.25 and made.mo_fraction == 0.02 and made.probe_fwhm_A == 1.0
    assert made.full_scale_electrons == pytest.approx(3.0 * 0.02 * 10_000 * 0.25)
    assert given.like_training({}) == given
