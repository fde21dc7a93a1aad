"""The second door: HGQ2 networks through hls4ml's graph, exact or refused."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dwell.errors import ConfigError, UnsupportedLayerError
from dwell.hls.frontends.keras_file import read_keras
from dwell.hls.frontends.keras_net.load import load_keras
from dwell.hls.frontends.network import network_from_file
from dwell.hls.gate import climb
from dwell.hls.qmodel import (
    Cast,
    FixedPoint,
    Overflow,
    QModel,
    Rounding,
    is_fully_convolutional,
    run_model,
    window_of,
)

Build = Callable[..., Any]


def exact(path: Path) -> QModel:
    """Read a file and hold it against Keras at every quantizer, over thousands of windows."""
    network = network_from_file(path, None)
    reading = network.reading("net")
    rung = climb(reading, network)
    assert rung["ok"] and rung["detail"]["Keras predict"]["windows"] >= 4000
    return reading.model


def casts(model: QModel) -> list[Cast]:
    return [node for node in model.nodes if isinstance(node, Cast)]


def test_a_network_that_wraps_is_exact(keras_file: Path) -> None:
    model = exact(keras_file)
    assert window_of(model) == (11, 11) and is_fully_convolutional(model)
    assert [name for name, _ in model.quantizers] == ["conv1.iq", "conv2.iq", "conv3.iq", "conv4.iq"]
    assert {c.overflow for c in casts(model)} == {Overflow.WRAP}


def test_a_network_that_saturates_with_a_type_for_every_channel_is_exact(
    build_keras: Build, tmp_path: Path
) -> None:
    path = tmp_path / "net.keras"
    net = build_keras(overflow_mode="SAT", round_mode="TRN", heterogeneous_axis=(-1,))
    for name in ("conv2", "conv3"):
        fraction = net.get_layer(name)._iq.quantizer._f
        fraction.assign(np.array(fraction) - np.arange(fraction.shape[-1]) % 4)
    net.save(path)
    model = exact(path)
    assert {c.overflow for c in casts(model)} == {Overflow.SAT}
    assert {c.rounding for c in casts(model)} == {Rounding.TRN}
    assert any(len(c.types) > 1 for c in casts(model))


def test_an_hdf5_file_of_keras_3_is_exact(build_keras: Build, tmp_path: Path) -> None:
    path = tmp_path / "net.h5"
    build_keras(overflow_mode="SAT").save(path)
    exact(path)


def test_names_of_the_source_are_used_and_checked(keras_file: Path) -> None:
    model = read_keras(keras_file, names={"conv1.iq": "pixels"}).model
    assert model.quantizers[0] == ("pixels", "input")
    with pytest.raises(ConfigError, match=r"no quantizer 'conv9\.iq'"):
        read_keras(keras_file, names={"conv9.iq": "x"})


def test_reading_prints_nothing(keras_file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    read_keras(keras_file)
    assert capfd.readouterr().out == ""


def test_a_type_for_every_pixel_is_exact(build_keras: Build, tmp_path: Path) -> None:
    path = tmp_path / "net.keras"
    model = build_keras(heterogeneous_axis=None, homogeneous_axis=(0,))
    fraction = model.get_layer("conv2")._iq.quantizer._f
    assert tuple(fraction.shape[1:3]) == (28, 28)
    fraction.assign(np.array(fraction) - np.arange(fraction.shape[-1]) % 4)
    model.save(path)
    found = exact(path)
    assert 28 * 28 * 6 in {len(c.types) for c in casts(found)}


def layers(*middle: Any) -> Any:
    import keras

    return keras.Sequential([keras.layers.Input((16, 16, 1)), *middle])


def float_weights() -> Any:
    import keras

    return layers(keras.layers.Conv2D(1, 3, name="c"))


def float_end() -> Any:
    from hgq.layers import QConv2D

    return layers(QConv2D(1, 3, activation="tanh", name="c"))


def transposed() -> Any:
    import keras

    return layers(keras.layers.Conv2DTranspose(1, 3, name="t"))


def channels_first() -> Any:
    import keras

    return layers(keras.layers.MaxPooling2D(2, data_format="channels_first", padding="same", name="c"))


def border_mean() -> Any:
    import keras
    from hgq.layers import QConv2D

    return layers(QConv2D(1, 4, name="c"), keras.layers.AveragePooling2D(2, padding="same", name="p"))


def float_recurrent() -> Any:
    import keras

    return keras.Sequential([keras.layers.Input((5, 3)), keras.layers.LSTM(2, name="r")])


def float_between() -> Any:
    import keras
    from hgq.layers import QConv2D

    return layers(
        QConv2D(2, 3, name="c"), keras.layers.Activation("tanh"), keras.layers.Conv2D(1, 3, name="d")
    )


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (float_weights, "'c' of type Conv2D.*its kernel is not quantized"),
        (float_end, "'c' of type QConv2D.*tanh ends the network without a quantizer"),
        (transposed, "'t' of type Conv2DTranspose"),
        (channels_first, "'c' of type MaxPooling2D.*data format"),
        (border_mean, "'p' of type AveragePooling2D.*fewer pixels"),
        (float_recurrent, "'r' of type LSTM.*its state is not quantized"),
        (float_between, "'d' of type Conv2D.*"),
    ],
)
def test_what_is_not_carried_exactly_is_refused_by_name(
    tmp_path: Path, make: Callable[[], Any], words: str
) -> None:
    path = tmp_path / "net.keras"
    made = make()
    made.save(path)
    own = type(made.layers[0]).__module__.startswith("hgq.")
    with pytest.raises(UnsupportedLayerError, match=words) as caught:
        read_keras(path, input_type=None if own else FixedPoint(True, 8, 4))
    assert caught.value.supported and caught.value.hint


def test_nan_weights_are_refused(build_keras: Build, tmp_path: Path) -> None:
    path = tmp_path / "net.keras"
    model = build_keras()
    kernel = np.array(model.get_layer("conv3").kernel)
    kernel[0, 0, 0, 0] = np.nan
    model.get_layer("conv3").kernel.assign(kernel)
    model.save(path)
    with pytest.raises(ConfigError, match="conv3: its kernel holds NaN"):
        read_keras(path)


def test_frames_without_a_size_are_refused(tmp_path: Path) -> None:
    import keras

    path = tmp_path / "net.keras"
    keras.Sequential([keras.layers.Input((None, None, 1)), keras.layers.Activation("relu")]).save(path)
    with pytest.raises(ConfigError, match="frames of shape"):
        load_keras(path)


def test_damaged_files_are_refused(keras_file: Path, tmp_path: Path) -> None:
    whole = keras_file.read_bytes()
    path = tmp_path / "net.keras"
    for size in (0, 10, len(whole) // 2, len(whole) - 30):
        path.write_bytes(whole[:size])
        with pytest.raises(ConfigError):
            load_keras(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")
    with pytest.raises(ConfigError, match=r"not a \.keras file"):
        load_keras(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")
        archive.writestr("metadata.json", "{}")
        archive.writestr("model.weights.h5", b"no hdf5")
    with pytest.raises(ConfigError):
        load_keras(path)
    with pytest.raises(ConfigError, match="No such file"):
        load_keras(tmp_path / "absent.keras")


def test_hls4ml_knows_the_back_end(keras_file: Path, tmp_path: Path) -> None:
    """An hls4ml user writes backend='Dwell' and gets Verilog."""
    import hls4ml

    from dwell.hls.design import Design
    from dwell.hls.frontends.hush import hushed

    assert "dwell" in hls4ml.backends.get_available_backends()
    with hushed():
        graph = hls4ml.converters.convert_from_keras_model(
            load_keras(keras_file),
            backend="Dwell",
            io_type="io_stream",
            output_dir=str(tmp_path / "out"),
            project_name="vacancies",
            hls_config={"Model": {"Precision": "ap_fixed<1,0>", "ReuseFactor": 1, "Strategy": "Latency"}},
        )
        graph.write()
    design = Design.load(tmp_path / "out")
    assert design.top == "vacancies" and (tmp_path / "out" / "rtl" / "vacancies.v").exists()
    frames = np.random.default_rng(0).random((2, 20, 20, 1))
    assert np.array_equal(run_model(design.qmodel(), frames), run_model(read_keras(keras_file).model, frames))
