"""The evaluation and rung 1, with the fault that makes it fail."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest

from dwell.errors import VerificationError
from dwell.hls.qmodel import FixedPoint, QModel, Rounding, save_model
from dwell.hls.qmodel.build import Builder
from dwell.models import run_stages
from dwell.models.vacancy.plugin import MODEL
from dwell.stage import StageContext

torch = pytest.importorskip("torch", reason="trains with torch")

WEIGHT_FRAC = 8


def as_qmodel(module: torch.nn.Module, spoil: int | None = None) -> QModel:
    """The float network with weights of 8 fraction bits and exact activations; `spoil` flips the sign of the first
    layer's weights in one output channel."""
    build = Builder()
    at = build.input("pixels", (60, 60, 1), FixedPoint(False, 8, 8), Rounding.RND)
    frac = 8
    for name, layer in module.named_children():
        if not isinstance(layer, torch.nn.Conv2d):
            at = build.relu(name, at)
            continue
        frac += WEIGHT_FRAC
        codes = np.rint(layer.weight.detach().numpy() * 2**WEIGHT_FRAC).astype(np.int64).transpose(2, 3, 1, 0)
        if name == "conv1" and spoil is not None:
            codes[..., spoil] *= -1
        bias = np.rint(layer.bias.detach().numpy().astype(np.float64) * 2**frac).astype(np.int64)
        at = build.conv2d(name, at, codes, WEIGHT_FRAC, bias, frac)
    return build.finish("vacancy", at, [("input", "pixels")])


@pytest.fixture(scope="module")
def built(params, tmp_path_factory) -> dict[str, Path]:
    """Artifacts of data, train and baseline, as the stages leave them."""
    root = tmp_path_factory.mktemp("build")
    places: dict[str, Path] = {}
    for stage in ("data", "train", "baseline"):
        places[stage] = root / stage
        places[stage].mkdir()
        context = StageContext(
            inputs=dict(places),
            params={"model": "vacancy", "tables": MODEL.stage_params(params, stage)},
            out=places[stage],
            seed=1,
            log=logging.getLogger("test"),
        )
        metrics = getattr(run_stages, f"run_{stage}")(context)
        json.dumps(metrics, allow_nan=False)
    return places


def evaluate(built: dict[str, Path], out: Path, spoil: int | None) -> dict[str, object]:
    module = MODEL.build(MODEL.read_params({}))
    module.load_state_dict(torch.load(built["train"] / "float.pt", weights_only=True))
    convert = out / "convert"
    save_model(as_qmodel(module, spoil), convert / "qmodel")
    result = out / "evaluate"
    result.mkdir()
    context = StageContext(
        inputs={**built, "convert": convert},
        params={"model": "vacancy", "tables": {}, "max_metric_drop": 0.02},
        out=result,
        seed=1,
        log=logging.getLogger("test"),
    )
    return run_stages.run_evaluate(context)


def test_stages_leave_what_the_others_read(built):
    assert {p.name for p in built["data"].iterdir()} == {
        "train.npz",
        "val.npz",
        "test_linear.npz",
        "test_prism.npz",
        "data.json",
    }
    assert {p.name for p in built["train"].iterdir()} == {"float.pt", "arch.json"}
    assert {p.name for p in built["baseline"].iterdir()} == {
        "baseline.json",
        "scores_linear.npz",
        "scores_prism.npz",
    }
    record = json.loads((built["baseline"] / "baseline.json").read_text())
    assert set(record) == {"matched_template", "intensity", "laplacian_of_gaussian"}


def test_a_faithful_integer_network_climbs_rung_1(built, tmp_path):
    evaluate(built, tmp_path, None)
    out = tmp_path / "evaluate"
    rung = json.loads((out / "rungs" / "1.json").read_text())
    assert rung["rung"] == 1
    assert rung["ok"] is True
    assert rung["compared"] > 50
    assert max(abs(drop) for drop in rung["detail"]["recall_drop"].values()) <= 0.02
    body = json.loads((out / "evaluation.json").read_text())
    for methods in body["sets"].values():
        assert set(methods) == {
            "float",
            "quantized",
            "matched_template",
            "intensity",
            "laplacian_of_gaussian",
        }
        for one in methods.values():
            assert 0 <= one["low"] <= one["recall"] <= one["high"] <= 1
            assert one["false_alarm_rate"] <= 1e-4
    with np.load(out / "roc.npz") as curves:
        assert curves["prism/float/recall"][-1] == 1.0


def test_a_spoiled_network_fails_rung_1(built, tmp_path):
    """One of the first layer's six channels with its sign flipped: the evaluation is written, the rung is not."""
    with pytest.raises(VerificationError, match="of recall on the") as caught:
        evaluate(built, tmp_path, 0)
    assert caught.value.exit_code == 4
    mismatch = caught.value.first_mismatch
    assert mismatch is not None
    assert mismatch["quantized"] < mismatch["float"]
    assert not (tmp_path / "evaluate" / "rungs").exists()


@pytest.mark.slow
def test_the_default_network_is_clearly_above_the_best_template(tmp_path):
    """Full size: the tuned template recalls 30 to 70 %, the network 0.10 more, intervals apart, on both sets."""
    from dwell.models import metric

    params = MODEL.read_params({})
    data = {name: MODEL.make_set(params, name, 1) for name in MODEL.sets}
    module, _ = MODEL.train(data["train"], params, seed=1)
    template = MODEL.tune_baselines(data, params, logging.getLogger("test").info)["matched_template"]
    for name in ("test_linear", "test_prism"):
        one = data[name]
        network, classical = (
            metric.recall_at(metric.decide(s, one.vacancies, one.specimen, one.pixel_A, window=11))
            for s in (MODEL.score(module, one.frames), template.score(one.frames, 11))
        )
        assert 0.3 <= classical.recall <= 0.7
        assert network.recall >= classical.recall + 0.10
        assert network.low > classical.high
