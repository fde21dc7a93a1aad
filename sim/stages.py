"""The stages of this room: rungs 4 and 5 of a converted design."""

from __future__ import annotations

from typing import Any

from dwell.project import Project
from dwell.stage import Stage

_CODE = ("dwell.sim", "dwell.hls.design", "dwell.hls.qmodel")


def _core_params(project: Project) -> dict[str, Any]:
    return {"vectors": project.simulate.vectors, "stalls": project.simulate.stalls}


def _bench_params(project: Project) -> dict[str, Any]:
    return {
        "bench_frames": project.simulate.bench_frames,
        "stalls": project.simulate.stalls,
        "simulators": list(project.simulate.simulators),
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
