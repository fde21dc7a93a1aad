"""The same tests for a simulated board and for one in the laboratory: `pytest tests/hil --board sim|HOST`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from board_overlays import detector_design, overlay_of

from dwell.commands import ready_environment
from dwell.environments.locate import locate
from dwell.environments.lock import read_lock
from dwell.firmware.client import BoardClient
from dwell.firmware.links import open_board
from dwell.hls.design import Design
from dwell.progress import reporter


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("boards")
    group.addoption("--board", help="sim, or a host as ssh takes it")
    group.addoption("--design", type=Path, help="a design's folder; a random detector by default")
    group.addoption("--overlay", type=Path, help="its overlay; on a real board, one with a real bitstream")


@pytest.fixture(scope="session")
def board_name(request: pytest.FixtureRequest) -> str:
    # The option is unknown when the whole test suite runs: the simulated board then, if it is there.
    name = request.config.getoption("--board", default=None)
    found = locate(read_lock("board"))
    if name in (None, "sim") and not found.ready:
        if name is None:
            pytest.skip(f"the environment `board` is not ready: {found.reason}")
        with reporter(quiet=True) as report:
            ready_environment("board", report)
    return name or "sim"


@pytest.fixture(scope="session")
def design(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Design:
    given = request.config.getoption("--design", default=None)
    return Design.load(given) if given else detector_design(tmp_path_factory.mktemp("hil") / "design")


@pytest.fixture(scope="session")
def overlay(request: pytest.FixtureRequest, design: Design, tmp_path_factory: pytest.TempPathFactory) -> Path:
    given = request.config.getoption("--overlay", default=None)
    return given or overlay_of(design, tmp_path_factory.mktemp("hil") / "overlay")


@pytest.fixture(scope="session")
def opened(board_name: str, overlay: Path) -> Iterator[BoardClient]:
    with open_board(board_name, overlay) as link:
        yield link


@pytest.fixture
def board(opened: BoardClient) -> BoardClient:
    opened.reset()
    opened.clear()
    return opened
