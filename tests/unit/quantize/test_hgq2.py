"""The HGQ2 front end, through the stage."""

from __future__ import annotations

import itertools
import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dwell.artifact import digest_files

Quantized = Callable[..., tuple[Path, Mapping[str, Any]]]


@pytest.fixture(scope="module")
def folder(quantized: Quantized) -> Path:
    return quantized("hgq2")[0]


@pytest.fixture(scope="module")
def loaded(folder: Path) -> Any:
    import hgq.layers  # noqa: F401 - registers the layers
    import keras

    return keras.models.load_model(folder / "model.keras", compile=False)


def described(folder: Path) -> list[dict[str, Any]]:
    return list(json.loads((folder / "frontend.json").read_text())["quantizers"])


def test_the_same_result_twice(quantized: Quantized, folder: Path) -> None:
    files = digest_files(folder)
    assert set(files) == {"model.keras", "frontend.json", "reference.npz"}
    assert files == digest_files(quantized("hgq2", again=1)[0])


def test_the_file_computes_the_codes_that_were_kept(folder: Path, loaded: Any) -> None:
    kept = np.load(folder / "reference.npz")
    x: Any = kept["x"]
    assert tuple(loaded.input_shape[1:]) == x.shape[1:]
    for q, layer in zip(described(folder), loaded.layers, strict=True):
        assert q["tensor"] == f"{layer.name}.iq"
        codes = np.ldexp(np.asarray(layer.iq(x)), q["frac"])
        assert np.array_equal(codes, kept[f"codes/{q['name']}"])
        x = layer(x)
    assert np.array_equal(np.asarray(x), kept["y"])


def test_codes_saturate_at_their_types(folder: Path) -> None:
    kept = np.load(folder / "reference.npz")
    first, *others = described(folder)
    assert (first["name"], first["signed"], first["width"], first["frac"]) == ("input", False, 8, 8)
    whole = np.clip(np.floor(np.ldexp(kept["x"].astype(np.float64), 8) + 0.5), 0, 255)
    assert np.array_equal(kept["codes/input"], whole)
    for q in others:
        codes = kept[f"codes/{q['name']}"]
        assert not q["signed"] and codes.min() == 0 and codes.max() == 2 ** q["width"] - 1


def test_types_are_one_for_each_layer_and_saturate(loaded: Any) -> None:
    for layer in loaded.layers:
        assert np.size(layer.iq.quantizer.i) == 1
        assert layer.iq.quantizer.overflow_mode == "SAT" and layer.kq.quantizer.overflow_mode == "SAT_SYM"
    assert loaded.get_layer("conv2").kq.bits.shape == (3, 3, 3, 2)  # one width for each weight


def test_dear_bits_are_given_up(quantized: Quantized) -> None:
    first, dear = quantized("hgq2")[1], quantized("hgq2", learning_rate=0.2, beta=1e-4)[1]
    assert dear["bit_operations"] < 0.8 * first["bit_operations"]


def test_no_time_and_no_path_in_the_file(folder: Path) -> None:
    with zipfile.ZipFile(folder / "model.keras") as archive:
        assert "date_saved" not in json.loads(archive.read("metadata.json"))
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert b"site-packages" not in archive.read("config.json")


def test_the_loss_is_the_models_own() -> None:
    import tensorflow as tf
    import torch

    from dwell.models.vacancy import training
    from dwell.quantize.hgq2_frontend import focal_loss

    rng = np.random.default_rng(0)
    scores = rng.normal(0, 4, (2, 5, 5)).astype(np.float32)
    target = rng.integers(0, 2, (2, 5, 5)).astype(np.float32)
    weight = rng.integers(0, 9, (2, 5, 5)).astype(np.float32)
    scores[0, 0, 0], target[0, 0, 0] = 80.0, 1.0  # right beyond float32's reach: a gradient of 0 * inf?
    for gamma in (0.0, 2.0, 1.5):
        expected = training.loss(*(torch.from_numpy(a) for a in (scores, target, weight)), gamma)
        variable = tf.Variable(scores)
        with tf.GradientTape() as tape:
            value = focal_loss(variable, target, weight, gamma)
        assert float(value) == pytest.approx(float(expected), rel=1e-4)
        assert np.isfinite(np.asarray(tape.gradient(value, variable))).all()


def test_the_rate_rises_and_falls() -> None:
    from dwell.quantize.hgq2_frontend import one_cycle

    rates = [one_cycle(x) for x in np.linspace(0, 1, 101)]
    top = int(np.argmax(rates))
    assert top == 20 and rates[top] == pytest.approx(1.0, abs=0.03)
    assert rates[0] < 0.05 and rates[-1] < 0.001
    assert all(a <= b for a, b in itertools.pairwise(rates[: top + 1]))
