"""What the firmware has to make of golden codes: which decisions fire, and which of them are events."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dwell.sim.workload import Codes

Mask = npt.NDArray[np.bool_]
Events = npt.NDArray[np.int64]
"""Rows (frame, line, pixel, score)."""


@dataclass(frozen=True)
class Trigger:
    """What the firmware is set to: fire at `threshold`, stay silent for `dead_time` decisions.

    The score is code `select` of a decision; with `class_trigger` it has to be the largest one too, and the
    first of equals.
    """

    threshold: int
    dead_time: int
    select: int = 0
    class_trigger: bool = False

    def scores(self, codes: Codes) -> Codes:
        """The scores (*places) of decisions (*places, C)."""
        return codes[..., self.select]

    def mask(self, codes: Codes) -> Mask:
        """Which decisions (*places, C) fire."""
        fires = self.scores(codes) >= self.threshold
        # The first of equals is what argmax gives too.
        return fires & (codes.argmax(axis=-1) == self.select) if self.class_trigger else fires

    def events(self, codes: Codes, frame: int, centre: tuple[int, int] = (0, 0)) -> Events:
        """The events of frame number `frame`, whose decisions are `codes` (*places, C).

        They lie `centre` (lines, pixels) further than their decision.
        """
        width = line_width(codes.shape)
        places = _outside_dead_time(np.flatnonzero(self.mask(codes)), self.dead_time)
        lines, pixels = places // width, places % width
        scores = self.scores(codes).reshape(-1)[places]
        return np.column_stack([np.full(len(places), frame), lines + centre[0], pixels + centre[1], scores])


def line_width(shape: tuple[int, ...]) -> int:
    """Decisions in a line of a result (*places, C): those of its last place axis, one without places."""
    return shape[-2] if len(shape) > 1 else 1


def place_of(index: tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, int]:
    """(line, pixel) of a decision by its index in the places of a result (*places, C)."""
    places = shape[:-1]
    if not places:
        return 0, 0
    at = int(np.ravel_multi_index(index, places))
    return at // line_width(shape), at % line_width(shape)


def threshold_for(scores: Codes, share: float) -> int:
    """The score that about `share` of the decisions reach."""
    return int(np.quantile(scores.reshape(-1), 1.0 - share, method="higher"))


def _outside_dead_time(fired: npt.NDArray[np.intp], dead_time: int) -> Codes:
    """Of the decisions that fire, by number, those that trigger: each silences the `dead_time` after it."""
    chosen, free = [], 0
    for at in fired.tolist():
        if at >= free:
            chosen.append(at)
            free = at + dead_time + 1
    return np.array(chosen, dtype=np.int64)
