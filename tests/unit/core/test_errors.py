"""Errors travel between processes as JSON and keep their class, their details and their exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dwell import errors

pytestmark = pytest.mark.fast


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.ConfigError("m", hint="h", place="p"), 2),
        (errors.UnsupportedLayerError("conv1", "LSTM", ["Conv2D"], reason="recurrent", hint="h"), 3),
        (errors.VerificationError("m", first_mismatch={"index": 3, "got": 1}), 4),
        (errors.DesignEditedError("m"), 4),
        (errors.ToolNotFoundError("m"), 5),
        (errors.ToolFailedError("yosys", log=Path("/tmp/log"), tail="t"), 5),
        (errors.ResourceError("m"), 6),
        (errors.DeviceError("m"), 7),
        (errors.NotBuiltYetError("m"), 1),
        (errors.InternalError("m", log=Path("/tmp/log")), 70),
    ],
)
def test_around_through_json(error: errors.DwellError, code: int) -> None:
    assert error.exit_code == code
    again = errors.error_from_json(json.loads(json.dumps(error.to_json())))
    assert type(again) is type(error)
    assert vars(again) == {**vars(error), "code": error.code, "exit_code": error.exit_code}
    assert str(again) == str(error)


def test_a_class_of_a_room_arrives_as_its_nearest_known_one() -> None:
    class OwnError(errors.VerificationError):
        code = "own"
        exit_code = 4

    data = OwnError("m", first_mismatch={"a": 1}).to_json()
    data["type"] = ["RoomsOwnError", *data["type"][1:]]
    again = errors.error_from_json(data)
    assert type(again) is errors.VerificationError
    assert (again.code, again.first_mismatch) == ("own", {"a": 1})


def test_a_layer_that_is_not_supported_names_all() -> None:
    message = str(errors.UnsupportedLayerError("rnn", "LSTM", ["Conv2D", "Dense"], reason="recurrent"))
    assert message == "layer 'rnn' of type LSTM is not supported: recurrent; supported: Conv2D, Dense"


def test_the_nearest_word() -> None:
    assert errors.nearest("stil", ["style", "backend"]) == "did you mean 'style'?"
    assert errors.nearest("zzz", ["b", "a"]) == "known: a, b"
    assert errors.nearest("zzz", []) == ""
