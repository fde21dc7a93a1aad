"""What is drawn on a scan follows the metric's rule."""

from __future__ import annotations

import numpy as np
import pytest

from dwell.report.collect import Gallery
from dwell.report.figures import Curve, Marks, roc, scan
from dwell.report.marks import marks

pytestmark = pytest.mark.fast

PIXEL_A = 0.4
MARGIN = 5


def gallery(fired: list[tuple[int, int]], vacancies: list[tuple[float, float]]) -> Gallery:
    """A 40×40 frame with 30×30 decisions; `fired` and `vacancies` in frame pixels."""
    scores = np.full((30, 30), -1.0, np.float32)
    for y, x in fired:
        scores[y - MARGIN, x - MARGIN] = 1.0
    return Gallery(
        label="linear",
        frame=np.linspace(0, 1, 1600, dtype=np.float32).reshape(40, 40),
        scores=scores,
        vacancies=np.array(vacancies, np.float32).reshape(-1, 2),
        threshold=0.0,
        pixel_size_A=PIXEL_A,
    )


def test_a_vacancy_is_found_within_one_angstrom_only() -> None:
    near = marks(gallery([(20, 22)], [(20.0, 20.0)]))  # 2 px = 0.8 Å
    assert (len(near.found), len(near.missed), len(near.false_alarms)) == (1, 0, 0)
    far = marks(gallery([(20, 23)], [(20.0, 20.0)]))  # 3 px = 1.2 Å
    assert (len(far.found), len(far.missed), len(far.false_alarms)) == (0, 1, 1)


def test_a_vacancy_outside_the_decision_region_is_neither_found_nor_missed() -> None:
    drawn = marks(gallery([(5, 10)], [(4.0, 10.0), (20.0, 20.0)]))
    assert len(drawn.found) == 0
    assert drawn.missed.tolist() == [[20.0, 20.0]]
    assert len(drawn.false_alarms) == 0, "a firing pixel near a vacancy beyond the edge is no false alarm"


def test_no_vacancy_and_no_firing_pixel() -> None:
    empty = marks(gallery([], []))
    assert [len(part) for part in (empty.found, empty.missed, empty.false_alarms)] == [0, 0, 0]


def test_figures_are_the_same_every_time() -> None:
    rates = np.geomspace(1e-5, 1, 50)
    curves = [Curve("network", rates, rates**0.1)]
    assert roc(curves, 1e-4, "a") == roc(curves, 1e-4, "a")
    none = np.zeros((0, 2))
    frame = gallery([], []).frame
    image = scan(frame, Marks(np.array([[3.0, 4.0]]), none, none), PIXEL_A)
    assert image == scan(frame, Marks(np.array([[3.0, 4.0]]), none, none), PIXEL_A)
    assert image != scan(frame, Marks(none, np.array([[3.0, 4.0]]), none), PIXEL_A), "marks must show"
    assert image.startswith("data:image/png;base64,")
