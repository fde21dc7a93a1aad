"""The stage `quantize`: the float network becomes a quantized one, by the front end of the project."""

from __future__ import annotations

import importlib
import time
from collections.abc import Mapping
from typing import Any

from dwell import plugins
from dwell.project import Project
from dwell.stage import Stage, StageContext, quantizer_environment


def _params(project: Project) -> dict[str, Any]:
    model = plugins.load_plugin(plugins.MODELS, project.model.name, place="model.name")
    return {
        "frontend": project.quantize.frontend,
        "quantize": project.quantize.params.model_dump(mode="json"),
        "model": project.model.name,
        "training": model.stage_params(project.model.params, "train"),
    }


QUANTIZE = Stage(
    name="quantize",
    environment=quantizer_environment,
    inputs=("data", "train"),
    run="dwell.quantize.stages:run_quantize",
    code=("dwell.quantize", "dwell.models", "dwell.hls.cost"),
    params=_params,
)


def run_quantize(ctx: StageContext) -> Mapping[str, Any]:
    """Quantize `train`'s network with `data`; writes the model file, `frontend.json` and `reference.npz`.

    Metrics: seconds of training, last loss, recall on the validation set of the float and of the quantized
    network. Raises `ConfigError` for a missing or broken input, widths that do not fit the network, or a
    training that diverges.
    """
    from dwell.quantize.job import Job, check_loss, versions, write_description, write_reference
    from dwell.quantize.reference import reference_frames
    from dwell.quantize.source import float_scores, read_float_network

    frontend = plugins.load_plugin(plugins.QUANTIZERS, ctx.params["frontend"], place="quantize.frontend")
    model = plugins.load_plugin(plugins.MODELS, ctx.params["model"], place="model.name")
    model_params = model.read_params(ctx.params["training"])
    data = model.load_data(ctx.inputs["data"])
    layers, weights = read_float_network(ctx.inputs["train"])
    window = 1 + sum(layer.kernel - 1 for layer in layers)
    params = frontend.params.model_validate(ctx.params["quantize"])
    scans = data["val"].frames
    # a front end of another package need not know of networks for frames of one size
    side = min(scans.shape[1:]) if getattr(params, "whole_frames", False) else 0
    job = Job(
        model=model,
        model_params=model_params,
        layers=layers,
        weights=weights,
        train=data["train"],
        reference=reference_frames(scans, window, ctx.seed, side=side),
        params=params,
        seed=ctx.seed,
        out=ctx.out,
        log=ctx.log,
        progress=lambda fraction, text: ctx.progress(0.05 + 0.85 * fraction, text),
    )
    module, _, function = frontend.run.partition(":")
    started = time.monotonic()
    ctx.progress(0.0, f"loading {frontend.name}")
    outcome = getattr(importlib.import_module(module), function)(job)
    check_loss(list(outcome.loss))
    seconds = time.monotonic() - started
    ctx.progress(0.92, "validating")
    write_reference(ctx.out / "reference.npz", job.reference, outcome)
    write_description(ctx.out / "frontend.json", frontend.name, frontend.file, frontend.packages, outcome)
    val = data["val"]
    return {
        "frontend": frontend.name,
        "seconds_training": round(seconds, 2),
        "loss_last_epoch": outcome.loss[-1],
        "val_recall_float": model.recall(float_scores(layers, weights, val.frames), val, model_params),
        "val_recall_quantized": model.recall(outcome.score(val.frames), val, model_params),
        **outcome.details,
        "tools": versions(frontend.packages),
    }
