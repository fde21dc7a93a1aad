"""What keeps a wrong result from leaving the stage."""

from __future__ import annotations

import numpy as np
import pytest

from dwell.errors import ConfigError, InternalError
from dwell.quantize.job import check_loss, exact_codes, versions


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_training_that_diverges(value: float) -> None:
    check_loss([0.5, 0.1])
    with pytest.raises(ConfigError, match=f"its loss is {value} in epoch 2") as caught:
        check_loss([0.5, value, value])
    assert caught.value.place == "quantize.learning_rate" and "learning_rate" in caught.value.hint


def test_codes_are_exact_or_refused() -> None:
    values = np.array([-1.5, 0.0, 0.25], np.float32)
    assert exact_codes(values, 2, what="it").tolist() == [-6, 0, 1]
    with pytest.raises(InternalError, match="the score is no multiple of"):
        exact_codes(np.nextafter(values, np.float32(9)), 2, what="the score")
    with pytest.raises(InternalError):
        exact_codes(np.array([2.0**31]), 0, what="the score")


def test_versions_of_what_is_installed() -> None:
    assert set(versions(("numpy", "surely-not-installed"))) == {"numpy"}
