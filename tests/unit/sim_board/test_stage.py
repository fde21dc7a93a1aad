"""Rung 6 as a stage of the build."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from board_overlays import map_design, map_model

from dwell.errors import ConfigError
from dwell.hls.rtl import RtlOptions, write_design
from dwell.project import load_project
from dwell.report.stages import REPORT
from dwell.sim.board.rung import NAME
from dwell.sim.run_stages import run_board
from dwell.sim.stages import SIMULATE_BOARD
from dwell.stage import StageContext

pytestmark = pytest.mark.rtl

EXAMPLE = Path(__file__).parents[3] / "examples" / "vacancy"


def context(design: Path, out: Path, **params: object) -> StageContext:
    given = {"board": "pynq-z2", "vectors": 1000, "stalls": False, **params}
    return StageContext({"convert": design}, given, out, 1, logging.getLogger("test"))


def test_it_climbs(board_python: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    found = run_board(context(map_design(tmp_path / "design").path, out))
    rung = json.loads((out / "rungs" / "6.json").read_text())
    assert found["rung6_applicable"] is True
    assert rung["ok"] is True
    assert rung["compared"] == found["vectors"] >= 1000
    assert (rung["rung"], rung["name"]) == (6, NAME)


def test_what_no_overlay_carries_is_not_applicable(tmp_path: Path) -> None:
    wide = RtlOptions(style="stream", pixels_per_clock=4)
    design = write_design(map_model(), wide, tmp_path / "design")
    assert run_board(context(design.path, tmp_path)) == {"rung6_applicable": False}
    rung = json.loads((tmp_path / "rungs" / "6.json").read_text())
    assert rung["ok"] is None
    assert "5 decisions come in one beat" in rung["reason"]


def test_a_fault_is_not_taken_for_that(board_python: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not a design"):
        run_board(context(tmp_path, tmp_path))


def test_it_needs_the_boards_own_environment() -> None:
    project = load_project(EXAMPLE)
    assert SIMULATE_BOARD.also(project) == ("board",)
    assert SIMULATE_BOARD.params(project) == {"board": "pynq-z2", "vectors": 10_000, "stalls": True}
    assert "simulate_board" in REPORT.inputs
