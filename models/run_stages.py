"""What the stages of this room do."""

from __future__ import annotations

import json
from importlib import metadata
from typing import Any

import numpy as np

from dwell import plugins
from dwell.artifact import write_rung
from dwell.hls.qmodel import load_model
from dwell.models.evaluate import (
    TARGET_RATE,
    TEST_SETS,
    climb_rung_1,
    evaluate_method,
    gallery_of,
    real_scores,
    write_evaluation,
)
from dwell.stage import StageContext


def _model(ctx: StageContext) -> tuple[Any, Any]:
    """The model's plug-in and its parameters."""
    model = plugins.load_plugin(plugins.MODELS, ctx.params["model"], place="model.name")
    return model, model.read_params(ctx.params["tables"])


def run_data(ctx: StageContext) -> dict[str, Any]:
    """Draw every set from the seed; one npz a set, and `data.json` with their sizes."""
    model, params = _model(ctx)
    sizes = {}
    for number, name in enumerate(model.sets):
        ctx.progress(number / len(model.sets), name)
        data = model.make_set(params, name, ctx.seed)
        data.save(ctx.out / f"{name}.npz")
        sizes[name] = {
            "frames": len(data.frames),
            "specimens": len(np.unique(data.specimen)),
            "features": len(data.vacancies),
        }
    (ctx.out / "data.json").write_text(json.dumps(sizes, indent=1) + "\n")
    return {"sets": sizes}


def run_train(ctx: StageContext) -> dict[str, Any]:
    """Train the float network: `float.pt` and `arch.json`."""
    import torch

    model, params = _model(ctx)
    data = model.load_data(ctx.inputs["data"])
    network, losses = model.train(data["train"], params, seed=ctx.seed, progress=ctx.progress)
    torch.save(network.state_dict(), ctx.out / "float.pt")
    model.architecture(params).save(ctx.out / "arch.json")
    val = data["val"]
    return {
        "loss_last_epoch": losses[-1],
        "val_recall": model.recall(model.score(network, val.frames), val, params),
        "tools": {"torch": metadata.version("torch")},
    }


def run_baseline(ctx: StageContext) -> dict[str, Any]:
    """Tune the classical detectors on the training and validation sets, and score the test sets with them."""
    model, params = _model(ctx)
    data = model.load_data(ctx.inputs["data"])
    tuned = model.tune_baselines(data, params, ctx.log.info)
    window = model.architecture(params).window
    for name in TEST_SETS:
        scores = {key: one.score(data[f"test_{name}"].frames, window) for key, one in tuned.items()}
        np.savez_compressed(ctx.out / f"scores_{name}.npz", **scores)
    record = {
        key: {"choice": one.choice, "val_recall": one.validation_recall, "tried": one.tried}
        for key, one in tuned.items()
    }
    (ctx.out / "baseline.json").write_text(json.dumps(record, indent=1) + "\n")
    return {"val_recall": {key: one.validation_recall for key, one in tuned.items()}}


def run_evaluate(ctx: StageContext) -> dict[str, Any]:
    """Recall of float, quantized and classical detectors on both test sets; rung 1."""
    import torch

    model, params = _model(ctx)
    data = model.load_data(ctx.inputs["data"])
    network = model.build(params)
    network.load_state_dict(torch.load(ctx.inputs["train"] / "float.pt", weights_only=True))
    qmodel = load_model(ctx.inputs["convert"] / "qmodel")
    window = model.architecture(params).window
    results, galleries = {}, []
    for number, name in enumerate(TEST_SETS):
        ctx.progress(number / len(TEST_SETS), name)
        frames = data[f"test_{name}"]
        with np.load(ctx.inputs["baseline"] / f"scores_{name}.npz") as stored:
            classical = {key: stored[key] for key in stored.files}
        quantized = real_scores(qmodel, frames.frames)
        scores = {"float": model.score(network, frames.frames), "quantized": quantized, **classical}
        results[name] = {key: evaluate_method(one, frames, window) for key, one in scores.items()}
        galleries += gallery_of(name, frames, quantized, results[name]["quantized"].recall.threshold)
    write_evaluation(ctx.out, results, galleries)
    rung = climb_rung_1(results, float(ctx.params["max_metric_drop"]))
    write_rung(ctx.out, rung)
    return {
        "recall": {
            name: {key: round(one.recall.recall, 4) for key, one in methods.items()}
            for name, methods in results.items()
        },
        "false_alarm_rate": TARGET_RATE,
    }
