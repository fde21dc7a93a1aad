"""Unrolled designs of any graph: three readers of Verilog, and a thousand samples and more in Verilator."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from rtl_graphs import GRAPHS, graph

from dwell.hls.design import Design
from dwell.hls.rtl import RtlOptions, write_design
from dwell.sim.core_rung import climb_core
from dwell.sim.dut import load_dut
from dwell.sim.vectors import default_frames
from dwell.tools import find_tool

pytestmark = pytest.mark.rtl

#: Graphs that every run simulates; the others are for the slow suite.
QUICK = ("tables",)


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Simulators built by these tests go with them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DWELL_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(params=GRAPHS)
def design(request: pytest.FixtureRequest, tmp_path: Path) -> Design:
    return write_design(graph(request.param), RtlOptions(style="unrolled"), tmp_path / "design")


def test_three_readers_have_nothing_to_say(design: Design) -> None:
    tool, files = find_tool("verilator"), [str(source) for source in design.sources]
    command = [
        *tool.command,
        "--lint-only",
        "-Wall",
        "--default-language",
        "1364-2005",
        "--top-module",
        design.top,
    ]
    done = subprocess.run(
        [*command, *files], capture_output=True, text=True, env=tool.environment(), timeout=120
    )
    assert done.returncode == 0 and "%Warning" not in done.stderr, done.stderr[-3000:]
    command = ["iverilog", "-g2005", "-Wall", "-tnull", "-s", design.top, *files]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and not done.stderr, done.stderr


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in GRAPHS]
)
def test_a_thousand_samples(name: str, tmp_path: Path) -> None:
    options = RtlOptions(style="unrolled", latency_cutoff=2.0)
    design = write_design(graph(name, 1), options, tmp_path / "design")
    dut = load_dut(design.path)
    frames, extremes = default_frames(dut, 1_000, 1)
    result = climb_core(dut, frames, seed=1, stalls=True, extremes=extremes)
    assert result.windows >= 1_000 and result.mismatches == 0
    assert (result.latency_cycles, result.ii_cycles) == (design.latency_cycles, 1)
