"""What a style carries, what it refuses, and that the self-check bites."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dwell.errors import ConfigError, InternalError, UnsupportedLayerError
from dwell.hls.qmodel import FixedPoint, Overflow, QModel, Rounding
from dwell.hls.qmodel.build import Builder
from dwell.hls.qmodel.random_models import DETECTOR, RandomFamily, random_conv_model
from dwell.hls.rtl import RtlOptions, library_files, write_design
from dwell.hls.rtl.check import check_stages
from dwell.hls.rtl.circuit.builder import ShiftAdd
from dwell.hls.rtl.lowering import lower
from dwell.hls.rtl.support import fits_chain
from dwell.hls.rtl.verilog.names import identifier, unique

PIXEL = FixedPoint(False, 8, 8)


def conv(stride: tuple[int, int] = (1, 1), padding: tuple[int, int, int, int] = (0, 0, 0, 0)) -> QModel:
    build = Builder()
    at = build.input("x", (8, 8, 1), PIXEL)
    weight = np.arange(-4, 5).reshape(3, 3, 1, 1)
    return build.finish(
        "net", build.conv2d("edge", at, weight, 0, np.zeros(1, dtype=int), 0, stride=stride, padding=padding)
    )


def dense() -> QModel:
    build = Builder()
    at = build.input("x", (2, 2, 1), PIXEL)
    at = build.flatten("flat", at)
    at = build.dense("out", at, np.arange(8).reshape(4, 2), 0, np.zeros(2, dtype=int), 0)
    return build.finish("net", at)


@pytest.mark.parametrize(
    ("model", "layer", "reason"),
    [
        (lambda: conv(stride=(2, 2)), "edge", "stride"),
        (lambda: conv(padding=(1, 1, 1, 1)), "edge", "padding"),
        (dense, "flat", "style 'stream'"),
    ],
)
def test_streams_refuse_by_name(model: Callable[[], QModel], layer: str, reason: str) -> None:
    with pytest.raises(UnsupportedLayerError) as caught:
        lower(model(), RtlOptions())
    assert caught.value.layer == layer
    assert reason in str(caught.value)
    assert caught.value.supported == ["Input", "Conv2D", "Relu", "Cast"]
    assert not fits_chain(model())


def test_what_fits_a_chain() -> None:
    assert fits_chain(random_conv_model(1, DETECTOR))


def test_weights_too_wide_for_the_solver_are_refused_by_name() -> None:
    build = Builder()
    at = build.input("x", (3, 3, 1), PIXEL)
    weight = np.full((1, 1, 1, 1), 1 << 24)
    model = build.finish("net", build.conv2d("wide", at, weight, 0, np.zeros(1, dtype=int), 0))
    with pytest.raises(UnsupportedLayerError, match="25 bits") as caught:
        lower(model, RtlOptions())
    assert caught.value.layer == "wide"


def test_a_model_that_computes_nothing() -> None:
    build = Builder()
    at = build.input("x", (3, 3, 1), PIXEL)
    with pytest.raises(ConfigError, match="computes nothing"):
        lower(build.finish("net", at), RtlOptions())


def test_a_window_wider_than_a_line() -> None:
    with pytest.raises(ConfigError, match="max_width"):
        lower(random_conv_model(1, DETECTOR), RtlOptions(max_width=8))


@pytest.mark.parametrize(
    "bad", [{"style": "systolic"}, {"latency_cutoff": 0.1}, {"max_width": 1}, {"clock_mhz": 0.0}]
)
def test_bad_options(bad: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        RtlOptions(**bad)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(40))
def test_random_streams_agree_with_the_golden_model(seed: int) -> None:
    rng = np.random.default_rng(seed)
    family = RandomFamily(
        input_channels=int(rng.integers(1, 4)),
        input_width=int(rng.integers(1, 9)),
        weight_width=int(rng.integers(1, 7)),
        activation_width=int(rng.integers(1, 7)),
        dilations=(1, 2),
    )
    model = random_conv_model(seed, family)
    assert check_stages(model, lower(model, RtlOptions(latency_cutoff=float(rng.uniform(1, 6)))), seed) > 0


def test_the_self_check_notices_one_wrong_shift() -> None:
    model = random_conv_model(3, DETECTOR)
    stages = list(lower(model, RtlOptions()))
    circuit = stages[1].kernel.circuit
    at = next(i for i, n in enumerate(circuit.nodes) if isinstance(n, ShiftAdd) and n.b_up > 0)
    node = circuit.nodes[at]
    assert isinstance(node, ShiftAdd)
    nodes = (*circuit.nodes[:at], replace(node, b_up=node.b_up - 1), *circuit.nodes[at + 1 :])
    kernel = replace(stages[1].kernel, circuit=replace(circuit, nodes=nodes))
    stages[1] = replace(stages[1], kernel=kernel)
    with pytest.raises(InternalError, match=r"conv2|interval|loses bits"):
        check_stages(model, stages)


def test_per_channel_types_and_dead_channels() -> None:
    build = Builder()
    at = build.input("x", (6, 6, 2), FixedPoint(True, 5, 3))
    rng = np.random.default_rng(0)
    at = build.conv2d("a", at, rng.integers(-7, 8, (2, 3, 2, 3)), 2, rng.integers(-20, 20, 3), 6)
    kinds = [FixedPoint(False, 3, 1), FixedPoint(True, 0, 0), FixedPoint(True, 4, 2)]
    at = build.cast("q", build.relu("r", at), kinds, Rounding.RND_CONV, Overflow.SAT)
    at = build.conv2d("b", at, rng.integers(-3, 4, (1, 1, 3, 2)), 0, np.zeros(2, dtype=int), 0)
    model = build.finish("net", at)
    stages = lower(model, RtlOptions())
    assert check_stages(model, stages) > 0
    assert stages[0].result[1].constant


def test_the_same_files_every_time(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from dwell.hls.qmodel.random_models import DETECTOR, random_conv_model\n"
        "from dwell.hls.rtl import RtlOptions, write_design\n"
        "print(write_design(random_conv_model(5, DETECTOR), RtlOptions(), Path(sys.argv[1])).digest)\n"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program, str(tmp_path / seed)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1


def test_generated_files_name_no_place_and_no_time(tmp_path: Path) -> None:
    design = write_design(random_conv_model(5, DETECTOR), RtlOptions(), tmp_path / "design")
    for file in [*design.sources, design.path / "design.json"]:
        text = file.read_text()
        assert str(tmp_path) not in text and "/home" not in text and "/work" not in text
        assert "$readmem" not in text
        assert text.count("`default_nettype none") == int(file.suffix == ".v")


def test_the_latency_is_the_sum_of_its_parts(tmp_path: Path) -> None:
    design = write_design(random_conv_model(5, DETECTOR), RtlOptions(), tmp_path / "design")
    assert design.latency_cycles == sum(layer["latency_cycles"] for layer in design.layers) + 2
    assert design.latency_cycles <= 30
    assert [layer["line_buffer_bits"] for layer in design.layers] == [8192, 12096, 16000, 11904]


def test_names_are_legal_verilog() -> None:
    assert identifier("conv/1:q") == "conv_1_q"
    assert identifier("module") == "net_module"
    assert identifier("3x3") == "net_3x3"
    assert identifier("dwell_cast") == "net_dwell_cast"
    assert identifier("///") == "network"
    assert unique(["a/b", "a_b", "a b"]) == ["a_b", "a_b_2", "a_b_3"]


def test_the_library_is_packaged() -> None:
    names = {file.stem for file in library_files()}
    assert {"dwell_shift_add", "dwell_cast", "dwell_line_buffer", "dwell_credit_fifo"} <= names
