"""Networks in QKeras that hls4ml, as it comes, converts wrongly: run in the environment `qkeras`, with a folder."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from dwell.hls.frontends.keras_net.files import prepare_keras2

prepare_keras2()

import numpy as np  # noqa: E402
import tf_keras as keras  # noqa: E402
from qkeras import QActivation, QConv2D, quantized_bits, quantized_relu  # noqa: E402


def bits(width: int = 6, integer: int = 1) -> Any:
    return quantized_bits(width, integer, alpha=1)


def conv(name: str) -> Any:
    return QConv2D(2, 3, kernel_quantizer=bits(), bias_quantizer=bits(), name=name)


def save(folder: Path, name: str, layers: list[Any]) -> None:
    model = keras.Sequential(
        [keras.layers.Input((10, 10, 1)), QActivation(bits(8, 1), name="entry"), *layers]
    )
    rng = np.random.default_rng(0)
    for layer in model.layers:
        layer.set_weights([rng.normal(0, 0.5, w.shape) for w in layer.get_weights()])
    model.save(str(folder / f"{name}.h5"))


def main(folder: Path) -> None:
    signed = QActivation(quantized_bits(6, 2, alpha=1), name="signed")
    save(folder, "signed", [conv("c1"), signed, conv("c2")])
    relu = QActivation(quantized_relu(6, 2), name="relu")
    unsigned = QActivation(quantized_bits(6, 2, keep_negative=False, alpha=1), name="unsigned")
    save(folder, "unsigned", [conv("c1"), unsigned, conv("c2")])
    save(folder, "mean", [conv("c1"), relu, keras.layers.AveragePooling2D(2, name="pool"), conv("c2")])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
