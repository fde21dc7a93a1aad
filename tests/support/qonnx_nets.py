"""Small QONNX graphs held against QONNX' own executor."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from dwell.hls.frontends.network import network_from_file
from dwell.hls.frontends.reading import Reading
from dwell.hls.gate import compare_frames, probe_frames
from dwell.hls.qmodel import FixedPoint, QModel

Make = Callable[..., Any]


ODD = 0.0731  # a scale that is no power of two


def exact(
    net: Any, output: str, folder: Path, *, strict: bool = True, input_type: str | None = None
) -> QModel:
    """Compare a net with QONNX' executor; with `strict`, no code is left to float32 rounding."""
    net.output = output
    kind = FixedPoint.parse(input_type) if input_type else None
    network = network_from_file(net.save(folder / "n.onnx"), kind)
    reading: Reading = network.reading("net")
    frames = probe_frames(reading.model, 4000)[:48]
    found = compare_frames(reading, network, frames)
    assert found.logit_bound < 1e-4  # of logits up to some tens
    assert found.compared > 0 and set(found.codes) == {*dict(reading.model.quantizers), "output"}
    if strict:
        assert found.within_rounding == 0 and found.logit_error == 0.0 and not reading.slack
    return reading.model


def kinds(model: QModel) -> list[str]:
    return [type(node).__name__ for node in model.nodes]


def frame(make: Make, *shape: int, scale: float = 2.0**-4, **choice: Any) -> tuple[Any, str]:
    """A net whose input is quantized: to 4 unsigned bits unless `choice` says otherwise."""
    net = make(*shape)
    return net, net.quant("frames", "in", scale, choice.pop("bits", 4), **choice)


def end(net: Any, at: str, scale: object = 0.25, bits: int = 6, **choice: Any) -> str:
    """A quantizer at the end."""
    return net.quant(at, "out", scale, bits, **{"signed": 1} | choice)


def channel(values: list[float], rank: int = 4) -> np.ndarray:
    return np.array(values).reshape(1, -1, *(1,) * (rank - 2))


def batch_norm(net: Any, at: str) -> str:
    names = [
        net.const(n, v)
        for n, v in [
            ("gamma", [0.8, -1.3, 0.11]),
            ("beta", [0.2, 0.1, -0.4]),
            ("mean", [0.3, -0.2, 0.05]),
            ("var", [1.7, 0.4, 0.9]),
        ]
    ]
    return net.node("BatchNormalization", [at, *names], "bn", epsilon=1e-3)


def int64(net: Any, name: str, values: list[int]) -> str:
    return net.const(name, values, np.int64)
