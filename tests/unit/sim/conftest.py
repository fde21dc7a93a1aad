"""Small hand-written designs, as design directories and as simulation sees them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hand_designs import box3_dut, sums4_dut, write_hand_design

from dwell.sim.dut import Dut, load_dut


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Simulators built by these tests go with them."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DWELL_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session")
def box3_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_hand_design(tmp_path_factory.mktemp("box3") / "design", box3_dut())


@pytest.fixture(scope="session")
def box3(box3_folder: Path) -> Dut:
    return load_dut(box3_folder)


@pytest.fixture(scope="session")
def sums4(tmp_path_factory: pytest.TempPathFactory) -> Dut:
    """Frames of one size, a vector of several beats."""
    return load_dut(write_hand_design(tmp_path_factory.mktemp("sums4") / "design", sums4_dut()))
