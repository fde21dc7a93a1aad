"""The metric, by cases small enough to count by hand."""

from __future__ import annotations

import numpy as np
import pytest

from dwell.models import metric

WINDOW = 3  # decision (i, j) is centred on pixel (i + 1, j + 1)


def decide(scores, features, specimen=None, pixel_A=0.5):
    scores = np.asarray(scores, np.float32)
    specimen = np.zeros(len(scores), np.int32) if specimen is None else np.asarray(specimen)
    return metric.decide(
        scores, np.asarray(features, np.float32).reshape(-1, 3), specimen, pixel_A, window=WINDOW
    )


def test_pixels_within_one_angstrom_are_not_clean():
    found = decide(np.zeros((1, 9, 9)), [[0, 5, 5]])  # decision pixel (4, 4); 1 Å is two pixels
    near = sum(1 for i in range(9) for j in range(9) if (i - 4) ** 2 + (j - 4) ** 2 <= 4)
    assert near == 13
    assert len(found.clean) == 81 - near
    assert found.feature.tolist() == [0.0]


@pytest.mark.parametrize(("offset", "found"), [(2, True), (3, False)])
def test_a_feature_is_found_by_a_pixel_within_one_angstrom(offset, found):
    scores = np.zeros((1, 9, 9))
    scores[0, 4, 4 + offset] = 1.0
    result = decide(scores, [[0, 5, 5]])
    assert result.feature.tolist() == [1.0 if found else 0.0]
    assert (1.0 in result.clean) is not found


def test_features_outside_the_decision_region_do_not_count_but_shield_their_pixels():
    found = decide(np.zeros((1, 4, 4)), [[0, 0, 2]])  # decision row -1
    assert len(found.feature) == 0
    assert len(found.clean) == 16 - 4  # (0, 0..2) and (1, 1) lie within two pixels of (-1, 1)


def test_each_frame_has_its_own_features():
    scores = np.zeros((2, 9, 9))
    scores[1, 4, 4] = 7.0
    found = decide(scores, [[0, 5, 5]], specimen=[3, 8])
    assert found.feature.tolist() == [0.0]
    assert found.clean.max() == 7.0
    assert found.clean_specimen[np.argmax(found.clean)] == 1
    assert found.specimens == 2


def test_threshold_is_the_lowest_that_keeps_the_rate():
    clean = np.arange(100, dtype=np.float32)
    threshold = metric.threshold_at(clean, 0.05)
    assert (clean >= threshold).sum() == 5
    assert 94 < threshold <= 95
    assert metric.threshold_at(np.full(100, 3.0, np.float32), 0.05) > 3.0  # ties would all fire


def test_recall_at_counts_features_above_the_threshold():
    clean = np.linspace(0, 1, 10_000, dtype=np.float32)
    decisions = metric.Decisions(
        clean,
        np.zeros(10_000, np.int32),
        np.array([2.0, 0.9998, 0.5, 3.0], np.float32),
        np.zeros(4, np.int32),
        1,
    )
    one = metric.recall_at(decisions, 1e-4)
    assert one.recall == 0.5  # one clean pixel, 1.0, may fire: the threshold is just above 0.9999
    assert one.false_alarm_rate == pytest.approx(1e-4)
    assert (one.low, one.high) == (0.5, 0.5)  # one specimen: every draw is the same
    assert (one.features, one.clean_pixels) == (4, 10_000)


def test_bootstrap_draws_specimens_and_agrees_with_doing_it_by_hand():
    rng = np.random.default_rng(0)
    specimens, pixels, features = 6, 4000, 20
    decisions = metric.Decisions(
        rng.normal(size=specimens * pixels).astype(np.float32),
        np.repeat(np.arange(specimens, dtype=np.int32), pixels),
        rng.normal(3.0, 1.0, size=specimens * features).astype(np.float32),
        np.repeat(np.arange(specimens, dtype=np.int32), features),
        specimens,
    )
    drawn = metric.bootstrap(decisions, 1e-3, draws=20, seed=5)
    for weight, value in zip(metric.draw_weights(specimens, 20, 5), drawn, strict=True):
        clean = np.repeat(decisions.clean, weight[decisions.clean_specimen])
        feature = np.repeat(decisions.feature, weight[decisions.feature_specimen])
        assert value == pytest.approx(np.mean(feature >= metric.threshold_at(clean, 1e-3)))
    assert np.std(drawn) > 0


def test_bootstrap_looks_further_when_the_best_specimen_is_not_drawn():
    """All high clean scores belong to one specimen; draws without it must find thresholds deep in the rest."""
    clean = np.concatenate([np.full(90_000, 5.0), np.linspace(0, 1, 10_000)]).astype(np.float32)
    decisions = metric.Decisions(
        clean,
        np.repeat(np.array([0, 1], np.int32), [90_000, 10_000]),
        np.array([2.0, 2.0], np.float32),
        np.array([0, 1], np.int32),
        2,
    )
    drawn = metric.bootstrap(decisions, 1e-4, draws=50, seed=0)
    assert set(drawn.tolist()) == {0.0, 1.0}


def test_roc_and_auc_of_perfect_and_blind_detectors():
    clean, owner = np.zeros(1000, np.float32), np.zeros(1000, np.int32)
    perfect = metric.Decisions(clean, owner, np.ones(10, np.float32), np.zeros(10, np.int32), 1)
    blind = metric.Decisions(clean, owner, np.zeros(10, np.float32), np.zeros(10, np.int32), 1)
    assert metric.auc(perfect) == 1.0
    assert metric.auc(blind) == 0.5
    assert metric.roc(perfect)[1].min() == 1.0
    rates, recall = metric.roc(blind)
    assert recall[:-1].max() == 0.0
    assert (rates[0], rates[-1], recall[-1]) == (pytest.approx(1e-5), pytest.approx(1.0), 1.0)


def test_scores_that_are_not_numbers_are_refused():
    scores = np.zeros((1, 9, 9))
    scores[0, 2, 3] = np.nan
    with pytest.raises(ValueError, match=r"frame 0.*\(2, 3\)"):
        decide(scores, [[0, 5, 5]])


def test_shapes_must_agree():
    with pytest.raises(ValueError, match="do not agree"):
        decide(np.zeros((2, 9, 9)), [], specimen=[1])
