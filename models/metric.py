"""The metric of a detector that answers at every pixel: false-alarm rate, recall, ROC, bootstrap over specimens.

Definitions
-----------
A score map has one score for each decision pixel; a decision pixel (i, j) is centred on frame pixel (i + r, j + r),
r the network's radius. Higher means "feature here"; a pixel *fires* at threshold t when its score >= t.

- A decision pixel is *near* when its centre is within `radius_A` of a feature of its frame, else *clean*.
- False-alarm rate: firing clean pixels over clean pixels, all frames together.
- A feature *counts* when its nearest decision pixel is within half a pixel of it in both directions, that is, when
  it lies in the decision region. It is *found* when a decision pixel within `radius_A` of it fires. Recall: found
  over counted.
- Recall at a false-alarm rate A: the recall at the lowest threshold whose false-alarm rate on the clean pixels of
  the same set is <= A.
- ROC AUC: area under recall against false-alarm rate, all thresholds, by the rank statistic: the chance that the
  best score near a random counted feature beats a random clean pixel's, ties half.
- Intervals: specimens are drawn with replacement; threshold and recall are found anew for each draw, and the 2.5 %
  and 97.5 % quantiles of the recall are the interval.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Decisions:
    """Scores sorted out by truth. `clean` (P,) scores of clean pixels, `clean_specimen` (P,) index of the specimen
    of each; `feature` (M,) best score within the radius of each counted feature, `feature_specimen` (M,);
    `specimens` how many there are."""

    clean: NDArray[np.float32]
    clean_specimen: NDArray[np.int32]
    feature: NDArray[np.float32]
    feature_specimen: NDArray[np.int32]
    specimens: int


@dataclass(frozen=True)
class Recall:
    """Recall at a false-alarm rate, its 95 % interval, and the threshold with the rate it gives."""

    recall: float
    low: float
    high: float
    threshold: float
    false_alarm_rate: float
    features: int
    clean_pixels: int


def decide(
    scores: NDArray[np.floating],
    features: NDArray[np.floating],
    specimen: NDArray[np.integer],
    pixel_A: float,
    *,
    window: int,
    radius_A: float = 1.0,
) -> Decisions:
    """Sort the scores (N, h, w) of N frames by truth.

    `features` (M, 3) rows (frame, y, x) in frame pixels, `specimen` (N,). `window` is the side of the input window
    of one decision. Raises `ValueError` when the shapes do not agree or a score is not a number.
    """
    if scores.ndim != 3 or specimen.shape != (len(scores),):
        raise ValueError(f"scores {scores.shape} and specimens {specimen.shape} do not agree")
    if np.isnan(scores).any():
        k, i, j = (int(v) for v in np.argwhere(np.isnan(scores))[0])
        raise ValueError(f"the score of frame {k} at decision pixel ({i}, {j}) is not a number")
    _, h, w = scores.shape
    frame = features[:, 0].astype(np.int64)
    point = features[:, 1:].astype(np.float64) - (window - 1) // 2  # in decision pixels
    reach = int(np.ceil(radius_A / pixel_A)) + 1
    offset = np.arange(-reach, reach + 1)
    rows = np.rint(point[:, 0]).astype(np.int64)[:, None, None] + offset[None, :, None]
    columns = np.rint(point[:, 1]).astype(np.int64)[:, None, None] + offset[None, None, :]
    distance2 = (rows - point[:, 0, None, None]) ** 2 + (columns - point[:, 1, None, None]) ** 2
    inside = (rows >= 0) & (rows < h) & (columns >= 0) & (columns < w)
    close = inside & (distance2 * pixel_A**2 <= radius_A**2)
    which = np.broadcast_to(frame[:, None, None], close.shape)
    rows, columns = np.broadcast_to(rows, close.shape), np.broadcast_to(columns, close.shape)
    near = np.zeros(scores.shape, bool)
    near[which[close], rows[close], columns[close]] = True
    value = np.full(close.shape, -np.inf, np.float32)
    value[close] = scores[which[close], rows[close], columns[close]]
    counted = np.all((point >= -0.5) & (point <= np.array([h, w]) - 0.5), axis=1)
    names, index = np.unique(specimen, return_inverse=True)
    index = index.astype(np.int32)
    owner = np.broadcast_to(index[:, None, None], scores.shape)
    return Decisions(
        scores[~near].astype(np.float32),
        owner[~near],
        value.reshape(len(value), -1).max(axis=1, initial=-np.inf)[counted],
        index[frame[counted]],
        len(names),
    )


def threshold_at(clean: NDArray[np.floating], rate: float) -> float:
    """The lowest threshold at which at most `rate` of the clean scores fire (score >= threshold).

    It lies just above the first score that must not fire.
    """
    allowed = int(np.floor(rate * len(clean) + 1e-9))
    if allowed >= len(clean):
        return float(np.min(clean))
    return float(
        np.nextafter(
            np.partition(clean, len(clean) - allowed - 1)[len(clean) - allowed - 1], clean.dtype.type(np.inf)
        )
    )


def recall_at(decisions: Decisions, rate: float = 1e-4, *, draws: int = 1000, seed: int = 0) -> Recall:
    """Recall at a false-alarm rate with a bootstrap interval over specimens of `draws` draws from `seed`."""
    threshold = threshold_at(decisions.clean, rate)
    recall = float(np.mean(decisions.feature >= threshold))
    drawn = bootstrap(decisions, rate, draws=draws, seed=seed)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Recall(
        recall,
        float(low),
        float(high),
        threshold,
        float(np.mean(decisions.clean >= threshold)),
        len(decisions.feature),
        len(decisions.clean),
    )


def draw_weights(specimens: int, draws: int, seed: int) -> NDArray[np.int64]:
    """How often each specimen occurs in each bootstrap draw, (draws, specimens)."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(specimens, np.full(specimens, 1 / specimens), size=draws)


def bootstrap(decisions: Decisions, rate: float, *, draws: int, seed: int) -> FloatArray:
    """Recall at `rate` for each draw of specimens, (draws,). The same seed draws the same specimens, so that the
    differences between two detectors on one set can be taken draw by draw."""
    weights = draw_weights(decisions.specimens, draws, seed)
    pixels = np.bincount(decisions.clean_specimen, minlength=decisions.specimens)
    keep = int(np.ceil(10 * rate * len(decisions.clean))) + 100
    order, tail = _best(decisions, keep)
    owners = decisions.clean_specimen[order]
    feature_order = np.sort(decisions.feature)
    rank = np.argsort(decisions.feature, kind="stable")
    out = np.empty(draws)
    for k, weight in enumerate(weights):
        allowed = np.floor(rate * (weight @ pixels) + 1e-9)
        fired = np.cumsum(weight[owners])
        while fired[-1] <= allowed and len(order) < len(decisions.clean):
            order, tail = _best(decisions, 10 * len(order))
            owners = decisions.clean_specimen[order]
            fired = np.cumsum(weight[owners])
        over = np.flatnonzero(fired > allowed)
        limit = tail[over[0]] if len(over) else -np.inf  # the best score that must not fire
        first = np.searchsorted(feature_order, limit, side="right")
        counts = weight[decisions.feature_specimen[rank]]
        total = counts.sum()
        out[k] = counts[first:].sum() / total if total else np.nan
    return out[np.isfinite(out)]


def _best(decisions: Decisions, keep: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Indices and scores of the `keep` highest clean pixels (all, if there are fewer), highest first."""
    keep = min(keep, len(decisions.clean))
    part = np.argpartition(decisions.clean, len(decisions.clean) - keep)[len(decisions.clean) - keep :]
    order = part[np.argsort(-decisions.clean[part], kind="stable")]
    return order, decisions.clean[order]


def roc(decisions: Decisions, points: int = 200, lowest_rate: float = 1e-5) -> tuple[FloatArray, FloatArray]:
    """False-alarm rates (from `lowest_rate` to 1, evenly on a log axis) and the recall at each."""
    rates = np.geomspace(lowest_rate, 1.0, points)
    clean, feature = np.sort(decisions.clean), np.sort(decisions.feature)
    allowed = np.floor(rates * len(clean) + 1e-9).astype(np.int64)
    limit = np.where(
        allowed >= len(clean), -np.inf, clean[np.clip(len(clean) - allowed - 1, 0, len(clean) - 1)]
    )
    found = len(feature) - np.searchsorted(feature, limit, side="right")
    return rates, found / max(len(feature), 1)


def auc(decisions: Decisions) -> float:
    """Area under the ROC curve: P(best score near a feature > a clean pixel's score) + half of P(equal)."""
    clean = np.sort(decisions.clean)
    below = np.searchsorted(clean, decisions.feature, side="left")
    upto = np.searchsorted(clean, decisions.feature, side="right")
    return float(np.mean((below + upto) / 2) / len(clean))
