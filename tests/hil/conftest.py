"""The same tests for a simulated board and for one in the laboratory: `pytest tests/hil --board sim|HOST`.

`test_board.py` is for overlays of kind "pixels", `test_frames.py` for those of kind "frames"; with `--design`
only the tests of that design's kind run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from board_overlays import detector_design, folded_vector_design, map_design, overlay_of

from dwell.commands import ready_environment
from dwell.environments.locate import locate
from dwell.environments.lock import read_lock
from dwell.firmware.client import BoardClient
from dwell.firmware.links import open_board
from dwell.hls.design import Design
from dwell.progress import reporter

FRAME_DESIGNS: dict[str, Callable[[Path], Design]] = {"map": map_design, "vector": folded_vector_design}


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("boards")
    group.addoption("--board", help="sim, or a host as ssh takes it")
    group.addoption("--design", type=Path, help="a design's folder; made-up networks by default")
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
def given(request: pytest.FixtureRequest) -> Design | None:
    """The design on the command line."""
    path = request.config.getoption("--design", default=None)
    return Design.load(path) if path else None


@pytest.fixture(scope="session")
def packaged(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Design], Path]:
    """The overlay of a design."""

    def overlay(design: Design) -> Path:
        path = request.config.getoption("--overlay", default=None)
        return path or overlay_of(design, tmp_path_factory.mktemp("hil") / "overlay")

    return overlay


@pytest.fixture(scope="session")
def design(given: Design | None, tmp_path_factory: pytest.TempPathFactory) -> Design:
    """A design of kind "pixels"."""
    if given is not None and not given.max_width:
        pytest.skip("the design given takes frames of one size")
    return given or detector_design(tmp_path_factory.mktemp("hil") / "design")


@pytest.fixture(scope="module")
def opened(board_name: str, design: Design, packaged: Callable[[Design], Path]) -> Iterator[BoardClient]:
    with open_board(board_name, packaged(design)) as link:
        yield link


@pytest.fixture
def board(opened: BoardClient) -> BoardClient:
    opened.reset()
    opened.clear()
    return opened


@pytest.fixture(scope="module", params=FRAME_DESIGNS)
def frame_design(
    request: pytest.FixtureRequest, given: Design | None, tmp_path_factory: pytest.TempPathFactory
) -> Design:
    """A design of kind "frames"."""
    if given is not None and (given.max_width or request.param != next(iter(FRAME_DESIGNS))):
        pytest.skip("the design given is another")
    return given or FRAME_DESIGNS[request.param](tmp_path_factory.mktemp("hil") / "design")


@pytest.fixture(scope="module")
def opened_frames(
    board_name: str, frame_design: Design, packaged: Callable[[Design], Path]
) -> Iterator[BoardClient]:
    with open_board(board_name, packaged(frame_design)) as link:
        yield link


@pytest.fixture
def frame_board(opened_frames: BoardClient) -> BoardClient:
    opened_frames.reset()
    opened_frames.clear()
    return opened_frames
