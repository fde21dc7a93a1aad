"""Small data sets that the tests of this room share."""

from __future__ import annotations

import pytest

from dwell.models.vacancy.dataset import FrameSet, make_set
from dwell.models.vacancy.params import VacancyParams


@pytest.fixture(scope="session")
def params() -> VacancyParams:
    """The defaults, in small sets."""
    return VacancyParams.model_validate(
        {
            "sets": {
                "train_specimens": 60,
                "val_specimens": 30,
                "test_specimens": 24,
                "prism_specimens": 12,
                "prism_scans": 2,
            },
            "training": {"starts": 2, "start_epochs": 1, "epochs": 4},
            "baseline": {"rotations": 6, "passes": 1},
        }
    )


@pytest.fixture(scope="session")
def sets(params: VacancyParams) -> dict[str, FrameSet]:
    return {name: make_set(params, name, 1) for name in ("train", "val", "test_linear", "test_prism")}
