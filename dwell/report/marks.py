"""Which vacancies of a scan were found: the same rule as the metric's, for one frame to be drawn."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dwell.report.collect import Gallery
from dwell.report.figures import Marks

RADIUS_A = 1.0
"""A firing pixel within this distance finds a vacancy; any other is a false alarm."""


def marks(scan: Gallery) -> Marks:
    """Found and missed vacancies and false alarms of a scan, in frame pixels.

    Vacancies outside the decision region are left out: no decision was asked for there.
    """
    margin = (scan.frame.shape[0] - scan.scores.shape[0]) // 2
    fired = np.argwhere(scan.scores >= scan.threshold).astype(np.float64) + margin
    rows, columns = scan.scores.shape
    inside = np.all(
        (scan.vacancies >= margin - 0.5) & (scan.vacancies <= np.array([rows, columns]) + margin - 0.5),
        axis=1,
    )
    vacancies = scan.vacancies[inside].astype(np.float64)
    reach = RADIUS_A / scan.pixel_size_A
    near_any = _near(fired, scan.vacancies.astype(np.float64), reach)
    found = _near(vacancies, fired, reach)
    return Marks(found=vacancies[found], missed=vacancies[~found], false_alarms=fired[~near_any])


def _near(points: NDArray[np.float64], others: NDArray[np.float64], reach: float) -> NDArray[np.bool_]:
    """For each of `points` (N, 2): is any of `others` (M, 2) within `reach`?"""
    if not len(points) or not len(others):
        return np.zeros(len(points), bool)
    distance = np.hypot(*(points[:, None, :] - others[None, :, :]).transpose(2, 0, 1))
    return np.asarray(distance.min(axis=1) <= reach)
