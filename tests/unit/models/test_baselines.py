"""The classical detectors."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import pearsonr

from dwell.models import metric
from dwell.models.vacancy import baselines
from dwell.models.vacancy.baselines import MatchedTemplate, Tuned, normalised_correlation, tune


def test_normalised_correlation_is_pearsons_where_weights_are_equal():
    rng = np.random.default_rng(0)
    frames, templates = rng.random((2, 15, 17)), rng.random((3, 5, 5))
    out = normalised_correlation(frames, templates, np.ones((5, 5)), 0.0)
    for k, i, j in ((0, 7, 7), (1, 2, 14), (1, 12, 3)):
        patch = frames[k, i - 2 : i + 3, j - 2 : j + 3].ravel()
        best = max(pearsonr(patch, t.ravel()).statistic for t in templates)
        assert out[k, i, j] == pytest.approx(best, abs=1e-9)
    assert np.abs(out).max() <= 1 + 1e-9


def test_normalised_correlation_does_not_see_gain_or_offset():
    rng = np.random.default_rng(1)
    frames, templates = rng.random((1, 20, 20)), rng.random((2, 7, 7))
    weight = rng.random((7, 7)) + 0.1
    plain = normalised_correlation(frames, templates, weight, 0.0)
    assert normalised_correlation(3 * frames + 2, templates, weight, 0.0) == pytest.approx(plain, abs=1e-7)
    assert np.abs(normalised_correlation(frames, templates, weight, 0.5)).max() < np.abs(plain).max()


def test_templates_have_a_dim_centre_among_bright_molybdenum(sets):
    detector = MatchedTemplate(sets["train"], 6)
    choice = {**detector.starts[0], "contrast": 0.0, "smooth_px": 0.0, "radius_px": 5.0, "root": 0.0}
    bank = detector.templates(choice)
    assert bank.shape == (6, 11, 11)
    for template in bank:
        assert template[4:7, 4:7].mean() < template.mean()
        assert template.max() > 1.5 * template[5, 5]
    contrasted = detector.templates({**choice, "contrast": 0.8})
    assert (contrasted[:, 5, 5] < contrasted.mean(axis=(1, 2))).all()


def test_a_template_finds_more_than_chance_and_the_search_does_not_make_it_worse(sets):
    data = sets["val"]
    detector = MatchedTemplate(sets["train"], 6)
    tuned = tune(detector, data, window=11, rate=1e-3, passes=1)
    assert all(tuned.choice[name] in values for name, values in detector.grid.items())
    assert tuned.tried > 20

    def recall(choice):
        scores = Tuned(detector, choice, 0.0, 0).score(data.frames, 11)
        found = metric.decide(scores, data.vacancies, data.specimen, data.pixel_A, window=11)
        return float(np.mean(found.feature >= metric.threshold_at(found.clean, 1e-3)))

    assert recall(tuned.choice) == tuned.validation_recall
    assert tuned.validation_recall >= max(map(recall, detector.starts))
    assert tuned.validation_recall > 0.3


def test_scores_are_at_the_decision_pixels(sets):
    detector = baselines.Intensity()
    choice = {"sign": -1.0, "sigma_px": 0.0, "background": 0.0, "wide_px": 3.0}
    frames = sets["val"].frames[:3]
    assert np.array_equal(Tuned(detector, choice, 0.0, 0).score(frames, 11), -frames[:, 5:-5, 5:-5])


def test_laplacian_of_gaussian_answers_to_a_dip_of_its_size():
    i, j = np.indices((41, 41))
    frame = (0.5 - 0.3 * np.exp(((i - 20) ** 2 + (j - 20) ** 2) / (-2 * 2.0**2)))[None].astype(np.float32)
    choice = {**baselines.LaplacianOfGaussian.starts[0], "normalise": 0.0}
    score = baselines.LaplacianOfGaussian().score(frame, choice)[0]
    assert np.unravel_index(score.argmax(), score.shape) == (20, 20)


def test_frames_do_not_leak_into_each_other():
    rng = np.random.default_rng(0)
    frames = rng.random((2, 30, 30)).astype(np.float32)
    for detector in (baselines.Intensity(), baselines.LaplacianOfGaussian()):
        both = detector.score(frames, detector.starts[0])
        assert both[:1] == pytest.approx(detector.score(frames[:1], detector.starts[0]), abs=1e-6)
