"""Detectors side by side on the held-out sets, and rung 1: what quantization costs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dwell.errors import VerificationError
from dwell.hls.qmodel import run_model
from dwell.models import metric

if TYPE_CHECKING:
    from dwell.hls.qmodel import QModel

TEST_SETS = ("linear", "prism")
TARGET_RATE = 1e-4
"""False alarms a pixel at which detectors are compared: one in 10,000."""

_SCANS_SHOWN = 3


class LabelledFrames(Protocol):
    """Frames (N, H, W) of specimens (N,), and their features (M, 3) as rows (frame, y, x) in pixels."""

    @property
    def frames(self) -> NDArray[np.float32]: ...
    @property
    def vacancies(self) -> NDArray[np.float32]: ...
    @property
    def specimen(self) -> NDArray[np.int32]: ...
    @property
    def pixel_A(self) -> float: ...


@dataclass(frozen=True)
class Evaluation:
    """One detector on one set: recall at `TARGET_RATE`, area under the ROC curve, and the curve."""

    recall: metric.Recall
    auc: float
    false_alarm: NDArray[np.float64]
    found: NDArray[np.float64]


Results = Mapping[str, Mapping[str, Evaluation]]
"""Evaluations by set and by method."""


def real_scores(qmodel: QModel, frames: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scores (N, h, w) that the integer graph gives frames (N, H, W), as real values: what the hardware decides by."""
    codes = run_model(qmodel, frames[..., None].astype(np.float64))
    return qmodel.to_real(qmodel.output, codes)[..., 0].astype(np.float32)


def evaluate_method(scores: NDArray[np.float32], data: LabelledFrames, window: int) -> Evaluation:
    """Scores (N, h, w) of a detector on a set; the threshold is found on the same set's clean pixels."""
    decisions = metric.decide(scores, data.vacancies, data.specimen, data.pixel_A, window=window)
    rates, found = metric.roc(decisions)
    return Evaluation(metric.recall_at(decisions, TARGET_RATE), metric.auc(decisions), rates, found)


def climb_rung_1(results: Results, max_drop: float) -> dict[str, Any]:
    """The rung's JSON. Raises `VerificationError` where the quantized recall is lower than the float one by more
    than `max_drop` on any set."""
    drops = {
        name: methods["float"].recall.recall - methods["quantized"].recall.recall
        for name, methods in results.items()
    }
    for name, drop in drops.items():
        if not drop <= max_drop:
            pair = {key: results[name][key].recall.recall for key in ("float", "quantized")}
            raise VerificationError(
                f"quantization costs {drop:.3f} of recall on the {name} set; {max_drop:g} is accepted",
                first_mismatch={"set": name, **pair},
                hint="give [quantize] more bits or epochs, or raise accept.max_metric_drop",
                place=f"rung 1, {name}",
            )
    return {
        "rung": 1,
        "name": "float network and quantized network, by recall",
        "ok": True,
        "compared": sum(methods["quantized"].recall.features for methods in results.values()),
        "mismatches": 0,
        "tool": "PyTorch and the integer graph",
        "detail": {"recall_drop": drops, "max_metric_drop": max_drop},
    }


def gallery_of(
    label: str, data: LabelledFrames, scores: NDArray[np.float32], threshold: float
) -> list[dict[str, Any]]:
    """A few scans of a set with their scores, spread evenly over those that have features."""
    wanted = np.unique(data.vacancies[:, 0].astype(np.int64))
    chosen = wanted[np.linspace(0, len(wanted) - 1, min(_SCANS_SHOWN, len(wanted))).astype(int)]
    return [
        {
            "label": label,
            "frame": data.frames[k],
            "scores": scores[k],
            "vacancies": data.vacancies[data.vacancies[:, 0] == k][:, 1:],
            "threshold": threshold,
            "pixel_A": data.pixel_A,
        }
        for k in chosen
    ]


def write_evaluation(out: Path, results: Results, gallery: Sequence[Mapping[str, Any]]) -> None:
    """Write `evaluation.json`, `roc.npz` (`<set>/<method>/false_alarm`, `…/recall`) and `gallery.npz` (`<k>/…`)."""
    body = {
        "target_false_alarm": TARGET_RATE,
        "sets": {
            name: {key: {**asdict(one.recall), "auc": one.auc} for key, one in methods.items()}
            for name, methods in results.items()
        },
    }
    (out / "evaluation.json").write_text(json.dumps(body, indent=1, sort_keys=True) + "\n")
    curves = {}
    for name, methods in results.items():
        for key, one in methods.items():
            curves[f"{name}/{key}/false_alarm"] = one.false_alarm
            curves[f"{name}/{key}/recall"] = one.found
    np.savez_compressed(out / "roc.npz", allow_pickle=False, **curves)
    scans = {f"{k}/{key}": np.asarray(value) for k, scan in enumerate(gallery) for key, value in scan.items()}
    np.savez_compressed(out / "gallery.npz", allow_pickle=False, **scans)
