"""A small overlay for the tests of the simulated board."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from board_overlays import overlay_of, small_design

from dwell.environments.locate import locate
from dwell.environments.lock import read_lock
from dwell.hls.design import Design


@pytest.fixture(scope="session")
def board_python() -> Path:
    found = locate(read_lock("board"))
    if not found.ready:
        pytest.skip(f"the environment `board` is not ready: {found.reason}")
    return found.python


@pytest.fixture(scope="session")
def design(tmp_path_factory: pytest.TempPathFactory) -> Design:
    return small_design(tmp_path_factory.mktemp("sim_board") / "design")


@pytest.fixture(scope="session")
def packaged(design: Design, board_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return overlay_of(design, tmp_path_factory.mktemp("sim_board") / "overlay")


@pytest.fixture
def overlay(packaged: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(packaged, tmp_path / "overlay"))
