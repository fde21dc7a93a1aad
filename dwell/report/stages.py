"""The stage `report`: it reads what all others left."""

from __future__ import annotations

from typing import Any

from dwell.project import Project
from dwell.stage import Stage


def _params(project: Project) -> dict[str, Any]:
    return {"name": project.name}


REPORT = Stage(
    name="report",
    environment="build",
    inputs=(
        "data",
        "train",
        "baseline",
        "quantize",
        "convert",
        "emulate",
        "evaluate",
        "simulate_core",
        "simulate_bench",
        "simulate_board",
        "synthesize",
    ),
    run="dwell.report.run:run_report",
    code=("dwell.report",),
    params=_params,
)
