"""The first rung of a FINN design: FINN's execution in Python against Brevitas itself."""

from __future__ import annotations

from pathlib import Path

import finn_networks
import numpy as np
import pytest
import torch

from dwell.commands import run_command
from dwell.environments.locate import locate
from dwell.environments.lock import read_lock
from dwell.hls.finn.golden import from_first_quantizer
from dwell.hls.frontends.network import network_from_file
from dwell.progress import reporter

pytestmark = pytest.mark.skipif(
    not locate(read_lock("finn")).ready, reason="environment finn: dwell env sync finn"
)
TOLERANCE = 1e-5
"""Of the rounding of float32 in Brevitas' own sums, in units of a score of about 1."""


def test_finns_integers_are_what_brevitas_says(tmp_path: Path) -> None:
    network = finn_networks.strided_cnn()
    path = finn_networks.export(network, tmp_path / "cnn.onnx")
    args = {
        "model": str(path),
        "out": str(tmp_path / "out"),
        "part": "xc7z020clg400-1",
        "clock_mhz": 100.0,
        "target_fps": 10_000,
    }
    with reporter(quiet=True) as report:
        made = run_command("finn", "dwell.hls.finn.generate:generate", args, report, environment="finn")
    model = network_from_file(path, None).reading("cnn").model
    golden = from_first_quantizer(model, made["input_scale"], made["input_offset"])
    output = golden.tensors[golden.output]
    with np.load(tmp_path / "out" / "frames.npz") as arrays:
        frames, integers = arrays["x"], arrays["y"]
    with torch.no_grad():
        wanted = network(torch.from_numpy(frames)).numpy().transpose(0, 2, 3, 1)
    got = integers.reshape(wanted.shape) * 2.0**-output.type.frac * np.asarray(output.scale) + output.offset
    largest = float(np.abs(wanted).max())
    assert np.abs(got - wanted).max() <= TOLERANCE * largest
    step = float(np.min(np.asarray(output.scale))) * 2.0**-output.type.frac
    assert step > 10 * TOLERANCE * largest, "one code more or less would not be seen"
