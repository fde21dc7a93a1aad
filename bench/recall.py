"""Recall at one false alarm in 10,000 pixels of the float, quantized and classical detectors, from a build.

    python bench/recall.py [--project DIR] [--json]

Reads the artifacts that `dwell build` left; detectors whose artifact is not there yet are left out, and said so.
Ends with 1 when a figure that the project has to reach is missed: the best classical detector between 30 and 70 %,
the network at least 0.10 above it with intervals that do not overlap, quantization at most `accept.max_metric_drop`.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from dwell import plugins
from dwell.errors import DwellError
from dwell.hls.qmodel import load_model
from dwell.models.evaluate import TEST_SETS, Evaluation, evaluate_method, real_scores
from dwell.project import Project, load_project

ORDER = ("float", "quantized", "matched_template", "laplacian_of_gaussian", "intensity")


def artifact(project: Project, stage: str) -> Path | None:
    """The newest artifact of a stage, if it was built."""
    path = project.work / "latest" / stage
    return path.resolve() if path.exists() else None


def scores_of(project: Project, model: Any, name: str, frames: Any) -> dict[str, Any]:
    """Score maps of every detector whose artifact is there."""
    import torch

    found: dict[str, Any] = {}
    if (train := artifact(project, "train")) is not None:
        network = model.build(project.model.params)
        network.load_state_dict(torch.load(train / "float.pt", weights_only=True))
        found["float"] = model.score(network, frames)
    if (convert := artifact(project, "convert")) is not None:
        found["quantized"] = real_scores(load_model(convert / "qmodel"), frames)
    if (baseline := artifact(project, "baseline")) is not None:
        with np.load(baseline / f"scores_{name}.npz") as stored:
            found |= {key: stored[key] for key in stored.files}
    return found


def missed(name: str, results: dict[str, Evaluation], max_drop: float) -> list[str]:
    """What a set's figures fail to reach, in words."""
    classical = [results[key].recall for key in ORDER[2:] if key in results]
    problems = []
    if classical:
        best = max(classical, key=lambda one: one.recall)
        if not 0.3 <= best.recall <= 0.7:
            problems.append(f"{name}: the best classical recall, {best.recall:.3f}, is not in 0.30 to 0.70")
        if "float" in results:
            network = results["float"].recall
            if network.recall < best.recall + 0.10 or network.low <= best.high:
                problems.append(f"{name}: the network is not clearly above the best classical detector")
    if "float" in results and "quantized" in results:
        drop = results["float"].recall.recall - results["quantized"].recall.recall
        if drop > max_drop:
            problems.append(f"{name}: quantization costs {drop:.3f}")
    return problems


def main() -> int:
    """Print the table. Returns 1 if a figure is missed or there is nothing to read."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--project", type=Path, default=Path("examples/vacancy"))
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    project = load_project(args.project)
    model = plugins.load_plugin(plugins.MODELS, project.model.name)
    directory = artifact(project, "data")
    if directory is None:
        print(f"nothing is built in {project.root}; run `dwell build {args.project}`", file=sys.stderr)
        return 1
    data = model.load_data(directory)
    window = model.architecture(project.model.params).window
    rows, problems = [], []
    for name in TEST_SETS:
        frames = data[f"test_{name}"]
        scores = scores_of(project, model, name, frames.frames)
        results = {key: evaluate_method(scores[key], frames, window) for key in ORDER if key in scores}
        problems += missed(name, results, project.accept.max_metric_drop)
        for key, one in results.items():
            recall = one.recall
            rows.append(
                {
                    "set": name,
                    "detector": key,
                    "recall": recall.recall,
                    "low": recall.low,
                    "high": recall.high,
                    "auc": one.auc,
                    "vacancies": recall.features,
                    "clean_pixels": recall.clean_pixels,
                }
            )
        if lacking := [key for key in ORDER if key not in results]:
            print(f"{name}: not built yet: {', '.join(lacking)}", file=sys.stderr)
    if args.json:
        print(json.dumps({"rows": rows, "missed": problems}, indent=1))
    else:
        print(f"{'set':>7} {'detector':>22} {'recall':>7} {'95 % interval':>15} {'ROC AUC':>8}")
        for row in rows:
            print(
                f"{row['set']:>7} {row['detector']:>22} {row['recall']:>7.3f}   [{row['low']:.3f}, {row['high']:.3f}]"
                f" {row['auc']:>9.4f}"
            )
        for line in problems:
            print("MISSED:", line)
    return 1 if problems else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except DwellError as error:
        print(f"{error.message} ({error.hint})", file=sys.stderr)
        sys.exit(error.exit_code)
