"""A data set and a float network of the vacancy model, small enough to quantize in seconds."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dwell.stage import StageContext

LAYERS = [
    {"name": "conv1", "kernel": 5, "in": 1, "out": 3, "relu": True},
    {"name": "conv2", "kernel": 3, "in": 3, "out": 2, "relu": True},
    {"name": "conv3", "kernel": 5, "in": 2, "out": 1, "relu": False},
]
MODEL_TABLE: dict[str, Any] = {
    "sets": {
        "train_specimens": 12,
        "val_specimens": 4,
        "test_specimens": 2,
        "frame_px": 32,
    },
    "imaging": {"dose_e_per_A2": 50000.0},
}


@dataclass(frozen=True)
class Built:
    """Artifact folders of the stages `data` and `train`."""

    data: Path
    train: Path

    def context(self, out: Path, frontend: str, quantize: Mapping[str, Any], seed: int = 1) -> StageContext:
        """What the stage `quantize` would get."""
        out.mkdir(parents=True, exist_ok=True)
        return StageContext(
            inputs={"data": self.data, "train": self.train},
            params={
                "frontend": frontend,
                "quantize": dict(quantize),
                "model": "vacancy",
                "training": {"training": {"frames_per_batch": 4}},
            },
            out=out,
            seed=seed,
            log=logging.getLogger("test.quantize"),
        )


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Scans, and a network trained on them for a few seconds."""
    import torch

    from dwell.models.vacancy import dataset, network, training
    from dwell.models.vacancy.plugin import MODEL

    data, train = (tmp_path_factory.mktemp(name) for name in ("data", "train"))
    params = MODEL.read_params(MODEL_TABLE)
    sets = {name: dataset.linear_set(params, name, 1) for name in ("train", "val", "test_linear")}
    for name, frames in sets.items():
        frames.save(data / f"{name}.npz")
    sets["test_linear"].save(data / "test_prism.npz")
    (train / "arch.json").write_text(json.dumps({"layers": LAYERS}))
    training.deterministic(1)
    float_network = network.build(network.Architecture.load(train / "arch.json"))
    MODEL.fit(float_network, sets["train"], params, seed=1, epochs=8)
    torch.save(float_network.state_dict(), train / "float.pt")
    return Built(data, train)


@pytest.fixture(scope="session")
def quantized(
    built: Built, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., tuple[Path, Mapping[str, Any]]]:
    """Run the stage with some keys of [quantize], once for the same keys and `again`; folder and metrics."""
    from dwell.quantize.stages import run_quantize

    kept: dict[str, tuple[Path, Mapping[str, Any]]] = {}

    def run(frontend: str, again: int = 0, **keys: Any) -> tuple[Path, Mapping[str, Any]]:
        key = json.dumps([frontend, again, keys], sort_keys=True)
        if key not in kept:
            out = tmp_path_factory.mktemp(frontend)
            kept[key] = out, run_quantize(built.context(out, frontend, {"epochs": 1, **keys}))
        return kept[key]

    return run
