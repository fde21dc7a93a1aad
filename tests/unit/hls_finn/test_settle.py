"""How activations round: FINN reads all of them alike, so what it would read wrongly is said otherwise or refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import brevitas.nn as qnn
import finn_networks
import pytest
import torch
from brevitas.quant import Int8WeightPerTensorFloat, Uint8ActPerTensorFloat
from brevitas.quant.scaled_int import Int16Bias

from dwell.commands import run_command
from dwell.environments.locate import locate
from dwell.environments.lock import read_lock
from dwell.errors import UnsupportedLayerError
from dwell.progress import reporter

pytestmark = pytest.mark.skipif(
    not locate(read_lock("finn")).ready, reason="environment finn: dwell env sync finn"
)


def rounding(how: str) -> torch.nn.Module:
    """Two convolutions with quantized biases, scales by channel, and an activation that rounds as asked."""
    more: dict[str, Any] = {
        "weight_quant": Int8WeightPerTensorFloat,
        "weight_bit_width": 4,
        "weight_scaling_per_output_channel": True,
        "bias": True,
        "bias_quant": Int16Bias,
    }
    relu = qnn.QuantReLU(
        act_quant=Uint8ActPerTensorFloat, bit_width=4, float_to_int_impl_type=how, return_quant_tensor=True
    )
    entry = qnn.QuantIdentity(bit_width=4, return_quant_tensor=True)
    return torch.nn.Sequential(
        entry, qnn.QuantConv2d(1, 4, 3, **more), relu, qnn.QuantConv2d(4, 2, 3, **more)
    )


def generate(how: str, folder: Path) -> dict[str, Any]:
    network = finn_networks.export(rounding(how), folder / "net.onnx", 8)
    args = {"model": str(network), "out": str(folder / "out"), "part": "xc7z020clg400-1"}
    with reporter(quiet=True) as report:
        return run_command(
            "finn",
            "dwell.hls.finn.generate:generate",
            args | {"clock_mhz": 100.0, "target_fps": 1000},
            report,
            environment="finn",
        )


@pytest.mark.slow
def test_down_is_down(tmp_path: Path) -> None:
    """Read as rounding to the nearest it would be off by half a step on average; the run itself compares."""
    assert generate("FLOOR", tmp_path)["execution"]["largest_difference"] <= 1e-5


def test_up_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedLayerError, match="rounds by CEIL") as caught:
        generate("CEIL", tmp_path)
    assert "down" in caught.value.hint
