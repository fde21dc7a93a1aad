"""What the stage reads of `train`, and how it says what is wrong there."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dwell.errors import ConfigError
from dwell.quantize.source import float_scores, read_float_network


@pytest.fixture
def folder(built: Any, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built.train, tmp_path / "train"))


def refused(folder: Path, message: str) -> ConfigError:
    with pytest.raises(ConfigError, match=message) as caught:
        read_float_network(folder)
    assert caught.value.hint and caught.value.place
    return caught.value


def test_scores_are_those_of_the_float_network(built: Any) -> None:
    from dwell.models.vacancy import network

    layers, weights = read_float_network(built.train)
    module = network.build(network.Architecture.load(built.train / "arch.json"))
    module.load_state_dict(torch.load(built.train / "float.pt", weights_only=True))
    frames = np.random.default_rng(0).random((3, 20, 21)).astype(np.float32)
    with torch.no_grad():
        expected = module(torch.from_numpy(frames)[:, None])[:, 0].numpy()
    np.testing.assert_allclose(float_scores(layers, weights, frames), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["float.pt", "arch.json"])
def test_a_missing_file(folder: Path, name: str) -> None:
    (folder / name).unlink()
    error = refused(folder, f"there is no .*{re.escape(name)}")
    assert "dwell build --until train" in error.hint


@pytest.mark.parametrize("contents", [b"", b"not a state", b"PK\x03\x04 torn"])
def test_a_damaged_state(folder: Path, contents: bytes) -> None:
    (folder / "float.pt").write_bytes(contents)
    refused(folder, "no state of a torch module")


def test_a_state_that_is_code_is_not_run(folder: Path, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "pwned",)

    torch.save({"conv1.weight": Evil()}, folder / "float.pt")
    refused(folder, "no state of a torch module")
    assert not (tmp_path / "pwned").exists()


def test_a_state_of_another_network(folder: Path) -> None:
    state = torch.load(folder / "float.pt", weights_only=True)
    state["conv2.weight"] = state["conv2.weight"][:1]
    torch.save(state, folder / "float.pt")
    refused(folder, r"conv2\.weight has shape \(1, 3, 3, 3\), where \(2, 3, 3, 3\) is wanted")
    del state["conv2.weight"]
    torch.save(state, folder / "float.pt")
    refused(folder, r"conv2\.weight is missing")


def test_a_state_with_nan(folder: Path) -> None:
    state = torch.load(folder / "float.pt", weights_only=True)
    state["conv1.bias"][0] = float("nan")
    torch.save(state, folder / "float.pt")
    refused(folder, r"conv1\.bias holds NaN")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows[1].update({"in": 7}), "'conv2' cannot follow 'conv1'"),
        (lambda rows: rows[0].update({"relu": False}), "'conv2' cannot follow 'conv1'"),
        (lambda rows: rows[-1].update({"relu": True}), "one score without ReLU"),
        (lambda rows: rows[0].update({"in": 2}), "one input channel"),
        (lambda rows: rows.clear(), "one input channel"),
        (lambda rows: rows[0].pop("kernel"), "no architecture"),
    ],
)
def test_an_architecture_that_cannot_be_quantized(folder: Path, change: Any, message: str) -> None:
    whole = json.loads((folder / "arch.json").read_text())
    change(whole["layers"])
    (folder / "arch.json").write_text(json.dumps(whole))
    refused(folder, message)
