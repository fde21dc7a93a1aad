"""The trigger's threshold for a wanted rate of false alarms, from the validation scans that the network
never saw.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dwell.errors import ConfigError
from dwell.hls.qmodel import QModel, centre_of, run_model

_CLEAR_A = 1.0  # a pixel farther than this from every vacancy cannot fire rightly


def threshold_code(model: QModel, validation: Path, false_alarm_rate: float) -> int:
    """The lowest score code at which at most `false_alarm_rate` of the pixels away from vacancies fire.

    `validation` is an npz with `frames` (N, H, W), `vacancies` rows (frame, y, x) in pixels, and `pixel_A`.
    Raises `ConfigError` if it has too few pixels to tell such a rate.
    """
    with np.load(validation) as data:
        frames, vacancies, pixel_A = data["frames"], data["vacancies"], float(data["pixel_A"])
    top, left = centre_of(model)
    clean: list[np.ndarray[tuple[int], np.dtype[np.int64]]] = []
    for number, frame in enumerate(frames):
        scores = run_model(model, frame[None, :, :, None])[0, :, :, 0]
        away = np.ones(scores.shape, dtype=bool)
        reach = int(np.ceil(_CLEAR_A / pixel_A))
        for _, y, x in vacancies[vacancies[:, 0] == number]:
            rows = np.arange(max(0, int(y) - top - reach), min(scores.shape[0], int(y) - top + reach + 2))
            columns = np.arange(
                max(0, int(x) - left - reach), min(scores.shape[1], int(x) - left + reach + 2)
            )
            distance = np.hypot(rows[:, None] + top - y, columns[None] + left - x) * pixel_A
            away[np.ix_(rows, columns)] &= distance > _CLEAR_A
        clean.append(scores[away])
    scores_clean = np.sort(np.concatenate(clean))
    allowed = int(false_alarm_rate * len(scores_clean))
    if allowed < 1:
        raise ConfigError(
            f"{len(scores_clean)} validation pixels cannot tell a false-alarm rate of {false_alarm_rate:g}",
            hint="give [bridge] threshold, or more validation specimens",
            place="bridge.false_alarm_rate",
        )
    return int(scores_clean[-allowed - 1]) + 1
