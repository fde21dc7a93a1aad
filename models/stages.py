"""The stages of this room: data, float network, classical baselines, and the evaluation of all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dwell import plugins
from dwell.project import Project
from dwell.stage import Stage

_CODE = ("dwell.models",)


def _params(stage: str) -> Callable[[Project], dict[str, Any]]:
    def pick(project: Project) -> dict[str, Any]:
        model = plugins.load_plugin(plugins.MODELS, project.model.name, place="model.name")
        return {"model": project.model.name, "tables": model.stage_params(project.model.params, stage)}

    return pick


def _evaluate_params(project: Project) -> dict[str, Any]:
    return {**_params("evaluate")(project), "max_metric_drop": project.accept.max_metric_drop}


DATA = Stage(
    name="data",
    environment="build",
    inputs=(),
    run="dwell.models.run_stages:run_data",
    code=_CODE,
    params=_params("data"),
)

TRAIN = Stage(
    name="train",
    environment="build",
    inputs=("data",),
    run="dwell.models.run_stages:run_train",
    code=_CODE,
    params=_params("train"),
)

BASELINE = Stage(
    name="baseline",
    environment="build",
    inputs=("data",),
    run="dwell.models.run_stages:run_baseline",
    code=_CODE,
    params=_params("baseline"),
)

EVALUATE = Stage(
    name="evaluate",
    environment="build",
    inputs=("data", "train", "baseline", "convert"),
    run="dwell.models.run_stages:run_evaluate",
    code=(*_CODE, "dwell.hls.qmodel"),
    params=_evaluate_params,
)
