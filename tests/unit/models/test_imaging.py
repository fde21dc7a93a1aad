"""Every effect of the imaging model does what it says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dwell.models.vacancy import imaging
from dwell.models.vacancy.imaging import Probe, Scan
from dwell.models.vacancy.params import ImagingParams
from dwell.models.vacancy.specimen import MO, S, Specimen

PARAMS = ImagingParams()
PROBE = Probe(1.15, 0.2, 2.2)
SIDE = 41


def still(side: int = SIDE, pixel_A: float = 0.4) -> Scan:
    return Scan((side, side), np.eye(2) * pixel_A, np.zeros(side))


def atoms(*rows: tuple[float, float, int]) -> Specimen:
    where = np.array([(y, x, 0.0) for y, x, _ in rows])
    number = np.array([z for _, _, z in rows])
    nothing = np.zeros((0, 2))
    return Specimen(where, number, nothing, np.zeros(0, np.int64), nothing, 0.0, 0.0, 0.0)


def centroid(image):
    i, j = np.indices(image.shape)
    return (i * image).sum() / image.sum(), (j * image).sum() / image.sum()


def test_probe_keeps_its_integral_and_falls_to_half_at_half_its_width():
    r2 = np.sum((np.indices((401, 401)) - 200.0) ** 2, axis=0) * 0.05**2
    for probe in (PROBE, Probe(1.8, 0.2, 2.2)):
        assert probe.intensity(r2).sum() * 0.05**2 == pytest.approx(1.0, abs=2e-3)
    core = Probe(1.2, 0.0, 2.0)
    assert core.intensity(np.array([0.36]))[0] == pytest.approx(core.peak / 2)


def test_a_molybdenum_atom_has_the_nominal_peak_and_contrast_follows_z():
    mo = imaging.linear_signal(atoms((0, 0, MO)), PROBE, still(), PARAMS, 1.6)
    s = imaging.linear_signal(atoms((0, 0, S)), PROBE, still(), PARAMS, 1.6)
    assert mo.max() == pytest.approx(PARAMS.mo_fraction, rel=1e-6)
    assert np.unravel_index(mo.argmax(), mo.shape) == (20, 20)
    assert mo.max() / s.max() == pytest.approx((42 / 16) ** 1.6)


def test_the_model_is_linear_and_two_sulphurs_make_twice_one():
    one = imaging.linear_signal(atoms((0, 0, S)), PROBE, still(), PARAMS, 1.6)
    two = imaging.linear_signal(atoms((0, 0, S), (0, 0, S)), PROBE, still(), PARAMS, 1.6)
    assert two == pytest.approx(2 * one)


def test_defocus_broadens_and_lowers_but_keeps_the_sum():
    sharp, blurred = (
        imaging.linear_signal(atoms((0, 0, MO)), imaging.probe_at(PARAMS, 1.1, d), still(61), PARAMS, 1.6)
        for d in (0.0, -40.0)
    )
    assert blurred.max() < 0.8 * sharp.max()
    assert blurred.sum() == pytest.approx(sharp.sum(), rel=5e-3)
    assert imaging.probe_at(PARAMS, 1.1, 40.0) == imaging.probe_at(PARAMS, 1.1, -40.0)


def test_drift_moves_columns_by_its_share_of_the_frame():
    still_scan = still()
    velocity = 2.0 / SIDE  # Å a line: 2 Å in the frame, along x
    drifting = Scan(
        (SIDE, SIDE), still_scan.affine + np.array([[0, 0], [velocity, velocity / SIDE]]), np.zeros(SIDE)
    )
    top, bottom = atoms((-6, 0, MO)), atoms((6, 0, MO))
    moved = []
    for specimen in (top, bottom):
        image = imaging.linear_signal(specimen, PROBE, drifting, PARAMS, 1.6)
        assert centroid(image) == pytest.approx(drifting.pixels_of(specimen.atoms[:, :2])[0], abs=0.1)
        moved.append(centroid(image)[1] - 20)
    assert moved[0] - moved[1] == pytest.approx(12 / 0.4 * velocity / 0.4, rel=0.03)


def test_jitter_moves_whole_lines_sideways():
    jitter = np.zeros(SIDE)
    jitter[20] = 0.8  # two pixels
    plain = imaging.linear_signal(atoms((0, 0, MO)), PROBE, still(), PARAMS, 1.6)
    shaken = imaging.linear_signal(atoms((0, 0, MO)), PROBE, replace(still(), jitter_A=jitter), PARAMS, 1.6)
    assert shaken[20].argmax() == 18
    rest = np.arange(SIDE) != 20
    assert np.array_equal(shaken[rest], plain[rest])


def test_drawn_scans_have_the_calibration_drift_and_jitter_asked_for():
    fixed = PARAMS.model_copy(
        update={"pixel_spread": 0.0, "drift_A_per_frame": (3.0, 3.0), "jitter_sigma_A": (0.2, 0.2)}
    )
    scans = [imaging.draw_scan(fixed, 60, np.random.default_rng(k)) for k in range(200)]
    jitter = np.stack([scan.jitter_A for scan in scans])
    assert jitter.std() == pytest.approx(0.2, rel=0.05)
    assert np.mean(jitter[:, 1:] * jitter[:, :-1]) / 0.04 == pytest.approx(0.5, abs=0.05)
    for scan in scans:
        per_line = scan.affine[:, 0] - [0.4, 0.0]
        assert np.hypot(*per_line) * 60 == pytest.approx(3.0)
    spread = PARAMS.model_copy(update={"drift_A_per_frame": (0.0, 0.0), "pixel_spread": 0.05})
    sizes = [imaging.draw_scan(spread, 60, np.random.default_rng(k)).affine[0, 0] for k in range(100)]
    assert 0.38 <= min(sizes) < 0.385 < 0.415 < max(sizes) <= 0.42


def test_pixels_of_undoes_positions():
    scan = imaging.draw_scan(
        PARAMS.model_copy(update={"jitter_sigma_A": (0.0, 0.0)}), 30, np.random.default_rng(0)
    )
    y, x = scan.positions_A()
    points = np.column_stack([y.ravel(), x.ravel()])
    assert scan.pixels_of(points) == pytest.approx(np.indices((30, 30)).reshape(2, -1).T)


def test_contamination_is_smooth_positive_and_as_strong_as_asked():
    asked = PARAMS.model_copy(update={"contamination": (0.5, 0.5), "contamination_length_A": (12.0, 12.0)})
    field = imaging.contamination(asked, still(101), np.random.default_rng(0))
    assert field.min() == 0.0
    assert field.max() == pytest.approx(0.5 * PARAMS.mo_fraction)
    shifted = np.corrcoef(field[:, 5:].ravel(), field[:, :-5].ravel())[0, 1]  # by 2 Å
    assert shifted > 0.95
    rougher = asked.model_copy(update={"contamination_length_A": (4.0, 4.0)})
    rough = imaging.contamination(rougher, still(101), np.random.default_rng(0))
    assert np.corrcoef(rough[:, 5:].ravel(), rough[:, :-5].ravel())[0, 1] < shifted - 0.1


@pytest.mark.parametrize("dose", [10_000.0, 40_000.0])
def test_dose_sets_the_poisson_mean_and_variance(dose):
    params = PARAMS.model_copy(update={"dose_e_per_A2": dose})
    frame = imaging.detect(np.full((400, 400), 0.01), 1.0, params, np.random.default_rng(0))
    expected = 0.01 * dose * 0.4**2  # electrons
    codes_per_electron = 256 / (params.detector_white * params.mo_fraction * dose * 0.16)
    electrons = frame * 256 / codes_per_electron
    half_code = 0.5 / codes_per_electron  # digitising rounds down
    assert electrons.mean() + half_code == pytest.approx(expected, rel=5e-3)
    assert electrons.var() == pytest.approx(expected, rel=0.03)


def test_a_stronger_beam_brightens_in_proportion():
    dim, bright = (
        imaging.detect(np.full((300, 300), 0.01), beam, PARAMS, np.random.default_rng(0)).mean()
        for beam in (0.8, 1.2)
    )
    assert (bright + 1 / 512) / (dim + 1 / 512) == pytest.approx(1.5, rel=0.01)


def test_frames_are_codes_of_an_eight_bit_converter_and_saturate():
    frame = imaging.detect(np.linspace(0, 0.1, 10_000), 1.0, PARAMS, np.random.default_rng(0))
    assert frame.dtype == np.float32
    assert np.array_equal(frame * 256, np.floor(frame * 256))
    assert frame.min() == 0.0
    assert frame.max() == 255 / 256
