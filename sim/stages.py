"""The stages of this room: rungs 4, 5 and 6 of a converted design."""

from __future__ import annotations

from typing import Any

from dwell.project import Project
from dwell.stage import Stage

_MOST_ON_BOARD = 10_000
"""Decisions on the simulated board, at most: the core has seen the bulk of them."""

_CODE = ("dwell.sim", "dwell.hls.design", "dwell.hls.qmodel")


def _core_params(project: Project) -> dict[str, Any]:
    return {"vectors": project.simulate.vectors, "stalls": project.simulate.stalls}


def _bench_params(project: Project) -> dict[str, Any]:
    return {
        "bench_frames": project.simulate.bench_frames,
        "stalls": project.simulate.stalls,
        "simulators": list(project.simulate.simulators),
    }


def _board_params(project: Project) -> dict[str, Any]:
    return {
        "board": project.board.name,
        "vectors": min(project.simulate.vectors, _MOST_ON_BOARD),
        "stalls": project.simulate.stalls,
    }


SIMULATE_CORE = Stage(
    name="simulate_core",
    environment="build",
    inputs=("quantize", "convert"),
    run="dwell.sim.run_stages:run_core",
    code=_CODE,
    params=_core_params,
    threads=2,
)

SIMULATE_BENCH = Stage(
    name="simulate_bench",
    environment="build",
    inputs=("convert",),
    run="dwell.sim.run_stages:run_bench",
    code=_CODE,
    params=_bench_params,
    threads=2,
)

SIMULATE_BOARD = Stage(
    name="simulate_board",
    environment="build",
    inputs=("convert",),
    run="dwell.sim.run_stages:run_board",
    code=(*_CODE, "dwell.firmware"),
    params=_board_params,
    threads=2,
    also=lambda project: ("board",),
)
