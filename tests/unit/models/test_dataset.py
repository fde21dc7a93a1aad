"""Data sets: determinism, split by specimen, files, and the PRISM images."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.ndimage import gaussian_filter

from dwell.errors import ConfigError, InternalError
from dwell.models.vacancy import prism
from dwell.models.vacancy.dataset import FrameSet, check_frames, make_set
from dwell.models.vacancy.imaging import Scan, linear_signal, probe_at
from dwell.models.vacancy.params import ImagingParams, SpecimenParams, VacancyParams
from dwell.models.vacancy.specimen import draw_specimen

NAMES = ("train", "val", "test_linear", "test_prism")


@pytest.mark.parametrize("name", ["val", "test_prism"])
def test_same_seed_same_bytes(params, sets, name, tmp_path):
    again, other = make_set(params, name, 1), make_set(params, name, 2)
    sets[name].save(tmp_path / "one.npz")
    again.save(tmp_path / "two.npz")
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    assert not np.array_equal(again.frames, other.frames)


def test_no_specimen_is_in_two_sets_and_each_draws_its_own(sets):
    ids = [set(sets[name].specimen.tolist()) for name in NAMES]
    assert sum(map(len, ids)) == len(set.union(*ids))
    rotations = np.concatenate([np.unique(sets[name].rotation_rad) for name in NAMES])
    assert len(np.unique(rotations)) == len(rotations)


def test_scans_of_one_specimen_differ_in_noise_only(sets):
    data = sets["test_prism"]
    first, second = np.flatnonzero(data.specimen == data.specimen[0])
    assert not np.array_equal(data.frames[first], data.frames[second])
    assert data.rotation_rad[first] == data.rotation_rad[second]


def test_sizes_and_types(params, sets):
    for name, count in zip(NAMES, (60, 30, 24, 24), strict=True):
        data = sets[name]
        assert data.frames.shape == (count, 60, 60)
        assert data.frames.dtype == np.float32
        assert data.frames.min() >= 0
        assert data.frames.max() < 1
        assert np.array_equal(data.frames * 256, np.floor(data.frames * 256))
        assert data.vacancies[:, 0].max() < count
        assert len(data.missing) == len(data.vacancies) > 30


@pytest.mark.parametrize("name", ["train", "test_linear", "test_prism"])
def test_vacancies_are_where_the_signal_is_low(sets, name):
    """On average, the marked places are darker than whole columns (or, in PRISM frames, than a lattice's mean
    column) and brighter than nothing: positions carry through rotation, drift, calibration and the file."""
    data = sets[name]
    smooth = gaussian_filter(data.frames, (0, 1.0, 1.0)) - gaussian_filter(data.frames, (0, 8.0, 8.0))

    def mean_at(points):
        inner = np.all((points[:, 1:] > 5) & (points[:, 1:] < 54), axis=1)
        at = np.rint(points[inner]).astype(int)
        return smooth[at[:, 0], at[:, 1], at[:, 2]].mean()

    shifted = data.vacancies + np.array([0, 2.5, 2.5], np.float32)
    assert mean_at(data.vacancies) < mean_at(shifted) - 0.01
    if len(data.intact):
        assert mean_at(data.vacancies) < mean_at(data.intact) - 0.03


def test_save_and_load(sets, tmp_path):
    data = sets["val"]
    data.save(tmp_path / "val.npz")
    back = FrameSet.load(tmp_path / "val.npz")
    for name in ("frames", "vacancies", "missing", "specimen", "rotation_rad", "intact"):
        assert np.array_equal(getattr(back, name), getattr(data, name)), name
    assert back.pixel_A == pytest.approx(0.4)


def test_a_missing_file_and_missing_arrays_are_said(tmp_path):
    with pytest.raises(ConfigError, match="no data set"):
        FrameSet.load(tmp_path / "train.npz")
    np.savez(tmp_path / "train.npz", frames=np.zeros((1, 20, 20)))
    with pytest.raises(ConfigError, match="lacks vacancies, specimen, pixel_A"):
        FrameSet.load(tmp_path / "train.npz")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_pixel_that_is_no_number_is_named(tmp_path, value):
    frames = np.zeros((3, 20, 20), np.float32)
    frames[1, 4, 7] = value
    np.savez(
        tmp_path / "x.npz", frames=frames, vacancies=np.zeros((0, 3)), specimen=np.zeros(3, int), pixel_A=0.4
    )
    with pytest.raises(ConfigError, match=r"frame 1 has (nan|inf) at pixel \(4, 7\)") as caught:
        FrameSet.load(tmp_path / "x.npz")
    assert caught.value.exit_code == 2
    assert caught.value.hint


def test_frames_of_the_wrong_shape_or_kind_are_refused():
    with pytest.raises(ConfigError, match=r"\(20, 20\)"):
        check_frames(np.zeros((20, 20)))
    with pytest.raises(ConfigError, match="complex"):
        check_frames(np.zeros((1, 20, 20), complex))


def test_prism_images_match_the_linear_model_of_the_same_specimens():
    """The recipe's seed makes the same specimens here; the linear model of them correlates with the PRISM image."""
    images = prism.load()
    seed, box = images.recipe["seed"], images.recipe["box_A"]
    scan = Scan((60, 60), np.eye(2) * 0.4, np.zeros(60))
    found = []
    for index in range(0, len(images.image), 6):
        rng = np.random.default_rng(np.random.SeedSequence([seed, index]))
        specimen = draw_specimen(SpecimenParams(**images.recipe["specimen"]), box, rng)
        assert specimen.tilt_mrad == images.condition[index, 1]
        assert specimen.rotation_rad == images.condition[index, 0]
        probe = probe_at(ImagingParams(), 1.15, images.condition[index, 3])
        linear = linear_signal(specimen, probe, scan, ImagingParams(), 1.58)
        image = images.signal(index, 1.15)(scan)
        found.append(np.corrcoef(linear.ravel(), image.ravel())[0, 1])
        assert linear.mean() / image.mean() == pytest.approx(1.0, abs=0.1)
    assert np.mean(found) > 0.99
    assert np.min(found) > 0.97


def test_the_prism_recipe_is_on_record():
    recipe = prism.load().recipe
    assert recipe["abtem"] == "1.0.11"
    assert recipe["specimen"] == SpecimenParams().model_dump(mode="json")
    assert tuple(recipe["defocus_A"]) == ImagingParams().defocus_A


def test_a_scan_larger_than_the_prism_image_is_refused():
    with pytest.raises(ConfigError, match="from the centre of a PRISM image"):
        prism.load().signal(0, 1.1)(Scan((90, 90), np.eye(2) * 0.4, np.zeros(90)))


def test_a_package_without_its_images_says_so(tmp_path):
    with pytest.raises(InternalError, match="missing from the package"):
        prism.load(tmp_path / "nothing.npz")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"imaging": {"defocus_A": [40, -40]}}, "low, high"),
        ({"imaging": {"dose": 1}}, "Extra inputs"),
        ({"sets": {"prism_specimens": 73}}, "72"),
        ({"training": {"ignore_radius_A": 0.1}}, "positive_radius_A"),
    ],
)
def test_wrong_parameters_are_refused(table, message):
    with pytest.raises(ValidationError, match=message):
        VacancyParams.model_validate(table)
