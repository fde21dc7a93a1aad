"""Float Keras networks quantized after training: the rule, and the way to a design."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dwell.errors import ConfigError, UnsupportedLayerError
from dwell.hls.frontends.keras_net.calibrate import post_training
from dwell.hls.frontends.network import network_from_file
from dwell.hls.gate import climb
from dwell.hls.qmodel import FixedPoint, Recurrent, run_model


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    return np.random.default_rng(0).normal(0, 1, (64, 8, 8, 2)).astype(np.float32)


def args(folder: Path, model: Any, frames: np.ndarray, **more: Any) -> dict[str, Any]:
    model.save(folder / "net.keras")
    np.savez(folder / "x.npz", x=frames)
    return {"model": str(folder / "net.keras"), "ptq": 8, "calibrate": str(folder / "x.npz"), **more}


def test_every_kind_of_layer_climbs_rung_2(tmp_path: Path, frames: np.ndarray) -> None:
    import keras
    from keras import layers as kl

    keras.utils.set_random_seed(0)
    entry = kl.Input((8, 8, 2))
    first = kl.BatchNormalization(name="bn")(kl.Conv2D(3, 3, name="c1")(entry))
    second = kl.DepthwiseConv2D(3, padding="same", activation="relu")(kl.ReLU()(first))
    both = kl.MaxPooling2D(2)(kl.Add()([kl.ReLU()(first), second]))
    last = kl.Activation("tanh")(kl.SeparableConv2D(2, 2)(both))
    model = keras.Model(entry, kl.Dense(3, activation="softmax")(kl.Flatten()(last)))
    rng = np.random.default_rng(1)
    model.get_layer("bn").set_weights(
        [rng.uniform(0.5, 1.5, 3), *rng.normal(0, 0.2, (2, 3)), rng.uniform(0.1, 0.5, 3)]
    )
    path, report = post_training(args(tmp_path, model, frames), tmp_path)
    network = network_from_file(path, None)
    reading = network.reading("net")
    assert climb(reading, network)["ok"]
    assert report["same_class"] > 0.9 and report["rms_difference_of_spread"] < 0.1
    assert not any("BatchNorm" in layer for layer in report["types"])
    coarse = post_training(args(tmp_path, model, frames, ptq=3), tmp_path)[1]
    assert coarse["rms_difference_of_spread"] > 2 * report["rms_difference_of_spread"]


def test_the_rule_in_numpy(tmp_path: Path) -> None:
    """Codes of a dense net, computed here from nothing but the rule."""
    import keras
    from keras import layers as kl

    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [kl.Input((6,)), kl.Dense(5, activation="relu", name="a"), kl.Dense(3, name="b")]
    )
    x = np.random.default_rng(2).normal(0, 1.5, (256, 6)).astype(np.float32)
    kernels = [np.asarray(v, dtype=np.float64) for v in model.get_weights()]
    hidden = np.maximum(x @ kernels[0] + kernels[1], 0)
    path, _ = post_training(args(tmp_path, model, x), tmp_path)

    def integer(values: np.ndarray) -> int:
        return int(np.ceil(np.log2(np.abs(values).max())))

    frac = 7 - integer(x)
    codes = np.clip(np.floor(x.astype(np.float64) * 2.0**frac + 0.5), -128, 127)
    for number, values in ((0, None), (2, hidden)):
        if values is not None:
            own = 8 - integer(values)
            codes = np.clip(np.floor(np.maximum(codes, 0) * 2.0 ** (own - frac) + 0.5), 0, 255)
            frac = own
        weight = 7 - integer(kernels[number])
        rounded = np.clip(np.rint(kernels[number] * 2.0**weight), -127, 127)
        frac += weight
        codes = codes @ rounded + np.rint(kernels[number + 1] * 2.0**frac)
    found = network_from_file(path, None).read("net")
    kind = found.tensors[found.output].type
    assert np.array_equal(run_model(found, x), np.ldexp(codes, kind.frac - frac))


def test_an_input_type_of_the_users_own(tmp_path: Path) -> None:
    import keras
    from keras import layers as kl

    model = keras.Sequential([kl.Input((4,)), kl.Dense(2)])
    x = np.random.default_rng(2).normal(0, 1, (16, 4)).astype(np.float32)
    path, _ = post_training(args(tmp_path, model, x, input_type="fixed<12,4>"), tmp_path)
    found = network_from_file(path, None).read("net")
    assert found.tensors[found.input].type == FixedPoint(True, 12, 8)


@pytest.mark.parametrize("sequence", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_an_lstm_is_quantized_inside_and_exact_in_every_step(sequence: bool, tmp_path: Path) -> None:
    """Both states and every gate: Keras' own codes, step by step, and the float network's results nearly."""
    import keras
    from keras import layers as kl

    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [kl.Input((6, 3)), kl.LSTM(5, return_sequences=sequence, name="memory"), kl.Dense(2)]
    )
    x = np.random.default_rng(0).normal(0, 1, (64, 6, 3)).astype(np.float32)
    path, report = post_training(args(tmp_path, model, x), tmp_path)
    assert report["types"]["memory.i"] == "ufixed<8,0>" and report["rms_difference_of_spread"] < 0.05
    network = network_from_file(path, None)
    reading = network.reading("net")
    codes = climb(reading, network)["detail"]["Keras predict"]["codes"]
    assert {f"memory.{name}" for name in "hcifgoa"} < set(codes)
    assert codes["memory.f"] >= 256 * 6 * 5
    assert any(isinstance(node, Recurrent) for node in reading.model.nodes)


def test_an_lstm_of_other_functions_is_refused(tmp_path: Path) -> None:
    import keras
    from keras import layers as kl

    model = keras.Sequential([kl.Input((6, 3)), kl.LSTM(5, activation="relu", name="memory")])
    with pytest.raises(UnsupportedLayerError, match=r"'memory' of type LSTM.*tanh and sigmoid"):
        post_training(args(tmp_path, model, np.zeros((4, 6, 3), dtype=np.float32)), tmp_path)


def test_what_cannot_be_quantized_is_said(tmp_path: Path) -> None:
    import keras
    from keras import layers as kl

    model = keras.Sequential([kl.Input((5, 3)), kl.GRU(2, name="g")])
    x = np.zeros((4, 5, 3), dtype=np.float32)
    with pytest.raises(UnsupportedLayerError, match="'g' of type GRU"):
        post_training(args(tmp_path, model, x), tmp_path)
    with pytest.raises(ConfigError, match=r"the calibration frames are \(4, 5, 2\)"):
        post_training(args(tmp_path, model, x[..., :2]), tmp_path)
    with pytest.raises(ConfigError, match="2 to 16 bits"):
        post_training(args(tmp_path, model, x, ptq=1), tmp_path)
    with pytest.raises(ConfigError, match="go together"):
        post_training({"model": "net.keras", "ptq": 8}, tmp_path)
