"""The QKeras front end, through the stage, in its own environment."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from dwell.artifact import digest_files
from dwell.commands import ready_environment
from dwell.progress import SilentReporter

SCRIPT = Path(__file__).parent / "inside" / "run_stage.py"


def run(built: Any, folder: Path, **keys: Any) -> dict[str, Any]:
    """The stage's metrics; its artifact is in ``folder/out``."""
    context = built.context(folder / "out", "qkeras", {"epochs": 1, **keys})
    given = {name: str(path) for name, path in context.inputs.items()}
    given |= {
        "params": context.params,
        "seed": 1,
        "out": str(context.out),
        "metrics": str(folder / "metrics.json"),
    }
    (folder / "args.json").write_text(json.dumps(given))
    python = ready_environment("qkeras", SilentReporter()).python
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONHASHSEED": "0"}
    command = [str(python), str(SCRIPT), str(folder / "args.json")]
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    metrics: dict[str, Any] = json.loads((folder / "metrics.json").read_text())
    return metrics


@pytest.fixture(scope="module")
def trained(built: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("qkeras")
    return folder / "out", run(built, folder)


def test_what_is_written(trained: tuple[Path, dict[str, Any]]) -> None:
    folder, metrics = trained
    assert set(digest_files(folder)) == {"model.h5", "frontend.json", "reference.npz"}
    assert metrics["tools"]["qkeras"] == "0.9.0" and 0 <= metrics["zero_weights"] < 1
    described = json.loads((folder / "frontend.json").read_text())
    assert described["frontend"] == "qkeras" and described["input_type"] == "ufixed<8,0>"
    assert [q["tensor"] for q in described["quantizers"]] == ["pixels", "conv1_out", "conv2_out"]


def test_codes_are_those_of_their_types(trained: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = trained
    kept = np.load(folder / "reference.npz")
    first, *others = json.loads((folder / "frontend.json").read_text())["quantizers"]
    whole = np.clip(np.rint(np.ldexp(kept["x"].astype(np.float64), 8)), 0, 255)
    assert first["width"] == 8 and np.array_equal(kept["codes/input"], whole)
    for q in others:
        codes = kept[f"codes/{q['name']}"]
        assert not q["signed"] and codes.min() == 0 and codes.max() <= 2 ** q["width"] - 1


@pytest.mark.slow
def test_it_climbs_rung_2(trained: tuple[Path, dict[str, Any]]) -> None:
    """The build environment asks `qkeras` for the graph and for Keras' values, and compares the kept codes too."""
    from dwell.hls.frontends.network import network_from_artifact
    from dwell.hls.gate import climb

    network = network_from_artifact(trained[0])
    rung = climb(network.reading("net"), network)
    assert rung["ok"] and set(rung["detail"]) == {"codes kept in training's framework", "Keras predict"}


@pytest.mark.slow
def test_the_same_result_twice(built: Any, trained: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    run(built, tmp_path)
    assert digest_files(tmp_path / "out") == digest_files(trained[0])


@pytest.mark.slow
def test_widths_by_the_hessian_are_used(built: Any, tmp_path: Path) -> None:
    budget = {"mean_weight_bits": 4.0}
    metrics = run(built, tmp_path, epochs=1, bits="hessian", budget=budget, hessian_probes=8)
    said = json.loads((tmp_path / "out" / "frontend.json").read_text())["allocation"]
    assert said["costs"]["weight_bits"] <= said["budgets"]["weight_bits"] == 4.0 * 179
    with h5py.File(tmp_path / "out" / "model.h5") as file:
        layers = json.loads(file.attrs["model_config"])["config"]["layers"]
    widths = [
        layer["config"]["kernel_quantizer"]["config"]["bits"]
        for layer in layers
        if "kernel_quantizer" in layer["config"]
    ]
    assert widths == list(said["bits"].values()) and metrics["weight_bits"] == said["bits"]
