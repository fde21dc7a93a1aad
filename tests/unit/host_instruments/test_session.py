"""`dwell bridge` as a command, with the real simulated microscope: what it leaves behind however it ends."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dwell.hls.qmodel.random_models import RandomFamily, random_conv_model
from dwell.hls.rtl import RtlOptions, write_design
from dwell.host.bridge.record import open_record

PROJECT = """
[project]
name = "sample"
[model]
name = "vacancy"
[bridge]
frames = 1
lines = 32
pixels = 32
threshold = 1e6
"""
# In a process of its own: Pyro knows one set of certificates for each.
PROGRAM = """
import json, sys
from dwell.errors import DwellError
from dwell.host.bridge.session import run_command
try:
    print(json.dumps(run_command(json.loads(sys.argv[1]))))
except DwellError as error:
    print(json.dumps({"error": error.to_json()}))
"""
Bridge = Callable[..., dict[str, Any]]


@pytest.fixture
def bridge(scope_python: Path, tmp_path: Path) -> Bridge:
    """Run the command on a small project; its JSON, or its error."""
    latest = tmp_path / "sample" / ".dwell" / "latest"
    (latest / "data").mkdir(parents=True)
    write_design(
        random_conv_model(2, RandomFamily(kernels=(3, 2), channels=(2, 1))), RtlOptions(), latest / "convert"
    )
    (tmp_path / "sample" / "dwell.toml").write_text(PROJECT)

    def run(record: str = "run.h5") -> dict[str, Any]:
        args = {
            "project": str(tmp_path / "sample" / "dwell.toml"),
            "overrides": [],
            "board": "software",
            "instrument": "",
            "instrument_python": str(scope_python),
            "out": str(tmp_path / record),
            "stop_file": str(tmp_path / "stop"),
        }
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, json.dumps(args)], capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout.splitlines()[-1]))

    return run


def _summary(tmp_path: Path) -> dict[str, Any]:
    return dict(json.loads((tmp_path / "run.json").read_text()))


def test_the_summary_beside_the_record_is_what_is_printed(bridge: Bridge, tmp_path: Path) -> None:
    printed = bridge()
    assert printed == _summary(tmp_path)
    assert (printed["frames"], printed["dropped"], printed["stopped"]) == (1, 0, "")
    assert printed["counters"]["pixels_in"] == printed["counters"]["pixels_decided"] == 32 * 32
    assert printed["evidence"] == "software" and printed["instrument_simulated"] is True


def test_a_stopped_run_leaves_its_summary_too(bridge: Bridge, tmp_path: Path) -> None:
    (tmp_path / "stop").touch()
    assert bridge()["error"]["code"] == "interrupted"
    assert _summary(tmp_path)["stopped"] == open_record(tmp_path / "run.h5").status == "stopped: asked to"


@pytest.mark.parametrize(
    ("record", "there"), [("run.h5", "run.h5"), ("run.h5", "run.json"), ("run.json", "")]
)
def test_nothing_is_overwritten(bridge: Bridge, tmp_path: Path, record: str, there: str) -> None:
    if there:
        (tmp_path / there).write_text("of the user")
    error = bridge(record)["error"]
    assert error["code"] == "config" and (there or "where the summary goes") in error["message"]
    assert sorted(p.name for p in tmp_path.iterdir() if p.name != "sample") == ([there] if there else [])
