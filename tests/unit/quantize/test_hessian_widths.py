"""Widths by the Hessian, through the stage: found within the budget, used, and written down."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dwell.errors import ResourceError
from dwell.hls.cost import KERNEL_ERROR, convolution_cost, convolution_kernel
from dwell.quantize.hessian_job import quantized_weights
from dwell.quantize.stages import run_quantize

Quantized = Callable[..., tuple[Path, Mapping[str, Any]]]
CHOICE = {"bits": "hessian", "activation_bits": 5, "epochs": 1, "hessian_probes": 24}


@pytest.fixture(scope="module")
def chosen(quantized: Quantized) -> tuple[dict[str, Any], Mapping[str, Any], Path]:
    folder, metrics = quantized("brevitas", **CHOICE, budget={"mean_weight_bits": 4.0})
    return json.loads((folder / "frontend.json").read_text())["allocation"], metrics, folder


def test_widths_stay_within_the_budget_and_are_those_of_the_file(
    chosen: tuple[dict[str, Any], Mapping[str, Any], Path],
) -> None:
    import onnx
    from onnx import numpy_helper

    said, metrics, folder = chosen
    weights = {name: one["weights"] for name, one in said["traces"].items()}
    assert weights == {"conv1": 75, "conv2": 54, "conv3": 50}
    spent = sum(said["bits"][name] * count for name, count in weights.items())
    assert spent == said["costs"]["weight_bits"] <= said["budgets"]["weight_bits"] == 4.0 * 179
    assert metrics["weight_bits"] == said["bits"]
    graph = onnx.load(str(folder / "model.onnx")).graph
    constants = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    widths = [
        float(constants[node.input[3]])
        for node in graph.node
        if node.op_type == "Quant" and node.input[0] in constants and constants[node.input[0]].ndim == 4
    ]
    assert widths == list(said["bits"].values())


def test_no_other_widths_lose_less(chosen: tuple[dict[str, Any], Mapping[str, Any], Path]) -> None:
    import itertools

    said = chosen[0]
    choices = list(said["choices"].values())
    assert all([c["bits"] for c in rows] == list(range(2, 9)) for rows in choices)
    losses = [
        sum(c["loss"] for c in pick)
        for pick in itertools.product(*choices)
        if sum(c["weight_bits"] for c in pick) <= said["budgets"]["weight_bits"]
    ]
    assert said["loss"] == pytest.approx(min(losses), rel=1e-6)
    for rows in choices:  # more bits, less error and more logic
        assert rows[0]["loss"] > rows[-1]["loss"] and rows[0]["lut"] < rows[-1]["lut"]
    assert all(one["standard_error"] > 0 for one in said["traces"].values())


def test_a_budget_that_no_widths_meet_is_an_error(built: Any, tmp_path: Path) -> None:
    choice = {**CHOICE, "budget": {"lut": 10}}
    with pytest.raises(ResourceError, match="more than the budget of 10"):
        run_quantize(built.context(tmp_path / "q", "brevitas", choice))


def random_layer() -> tuple[np.ndarray, np.ndarray]:
    weight = np.random.default_rng(5).normal(0, 0.3, (4, 3, 3, 3)).astype(np.float32)
    return quantized_weights(weight, 5)


@pytest.mark.fast
def test_costs_rise_with_the_bits_of_weights_and_of_inputs() -> None:
    weight = np.random.default_rng(5).normal(0, 0.3, (4, 3, 3, 3)).astype(np.float32)
    luts = []
    for bits in (2, 4, 6):
        codes, fracs = quantized_weights(weight, bits)
        luts.append(convolution_cost(codes, fracs.tolist(), input_bits=5, output_bits=5).lut)
    assert luts == sorted(luts) and luts[2] > 1.5 * luts[0]
    codes, fracs = random_layer()
    narrow = convolution_cost(codes, fracs.tolist(), input_bits=3, output_bits=5)
    assert narrow.lut < convolution_cost(codes, fracs.tolist(), input_bits=8, output_bits=5).lut
    assert narrow.latency_cycles >= 1


@pytest.mark.slow
def test_the_model_of_luts_agrees_with_yosys_within_its_error(tmp_path: Path) -> None:
    from dwell.hls.rtl.design.write import library_files
    from dwell.hls.rtl.kernel.kernel import print_kernel
    from dwell.hls.synthesis import load_board, synthesize_sources

    codes, fracs = random_layer()
    choice: dict[str, Any] = {"input_bits": 5, "output_bits": 5}
    source = tmp_path / "kernel.v"
    source.write_text(print_kernel(convolution_kernel(codes, fracs.tolist(), **choice), "kernel", ""))
    measured = synthesize_sources([*library_files(), source], "kernel", load_board("pynq-z2")).cells.lut
    estimate = convolution_cost(codes, fracs.tolist(), **choice).lut
    assert abs(estimate / measured - 1) < 4 * KERNEL_ERROR
