"""The Brevitas front end, through the stage."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dwell.artifact import digest_files
from dwell.errors import ConfigError
from dwell.quantize.stages import run_quantize

Quantized = Callable[..., tuple[Path, Mapping[str, Any]]]


@pytest.fixture(scope="module")
def folder(quantized: Quantized) -> Path:
    return quantized("brevitas", epochs=2)[0]


def described(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "frontend.json").read_text()))


def test_the_same_result_twice(quantized: Quantized, folder: Path) -> None:
    again = quantized("brevitas", again=1, epochs=2)[0]
    files = digest_files(folder)
    assert set(files) == {"model.onnx", "frontend.json", "reference.npz"}
    assert files == digest_files(again)


def test_another_number_of_epochs_is_another_network(quantized: Quantized, folder: Path) -> None:
    other = digest_files(quantized("brevitas", epochs=1)[0])
    assert other["model.onnx"] != digest_files(folder)["model.onnx"]


def test_the_file_computes_the_codes_that_brevitas_computed(folder: Path) -> None:
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.core.onnx_exec import execute_onnx

    model = ModelWrapper(str(folder / "model.onnx"))
    kept = np.load(folder / "reference.npz")
    quantizers = described(folder)["quantizers"]
    assert [q["name"] for q in quantizers] == ["input", "conv1", "conv2"]
    for number in (0, 17, 23, 24):  # a scan; full scale; ties; values beyond the input's type
        frame = kept["x"][number : number + 1].transpose(0, 3, 1, 2)
        found = execute_onnx(model, {"frames": frame}, return_full_exec_context=True)
        for q in quantizers:
            codes = np.ldexp(found[q["tensor"]].transpose(0, 2, 3, 1), q["frac"])
            assert np.array_equal(codes, kept[f"codes/{q['name']}"][number : number + 1])
        assert np.array_equal(found["scores"].transpose(0, 2, 3, 1), kept["y"][number : number + 1])


def test_codes_fill_their_types_and_no_more(folder: Path) -> None:
    kept = np.load(folder / "reference.npz")
    for q in described(folder)["quantizers"]:
        codes = kept[f"codes/{q['name']}"]
        assert not q["signed"] and codes.dtype == np.int32
        assert codes.min() == 0 and codes.max() == 2 ** q["width"] - 1
    first = np.clip(np.rint(np.ldexp(kept["x"].astype(np.float64), 8)), 0, 255)
    assert np.array_equal(kept["codes/input"], first)


def test_every_scale_is_a_power_of_two_and_every_name_tells(folder: Path) -> None:
    from qonnx.core.modelwrapper import ModelWrapper

    model = ModelWrapper(str(folder / "model.onnx"))
    kinds = [node.op_type for node in model.graph.node]
    assert sorted(set(kinds)) == ["Conv", "Quant", "Relu"]
    quants = [node for node in model.graph.node if node.op_type == "Quant"]
    scales = {node.input[1]: model.get_initializer(node.input[1]) for node in quants}
    assert len(scales) == 9  # input, 2 activations, 3 weights, 3 biases
    for value in scales.values():
        assert np.frexp(value.item())[0] == 0.5
    assert scales["input_quantized_scale"] == 1 / 256
    for layer, into in (("conv1", "input"), ("conv2", "conv1"), ("conv3", "conv2")):
        grid = scales[f"{into}_quantized_scale"] * scales[f"{layer}_weight_scale"]
        assert scales[f"{layer}_bias_scale"] == grid
    raw = (folder / "model.onnx").read_bytes()
    assert b"site-packages" not in raw and b"/" not in raw.replace(b"qonnx.custom_op", b"")[:64]


def test_training_helps(quantized: Quantized) -> None:
    losses = [quantized("brevitas", epochs=n)[1]["loss_last_epoch"] for n in (1, 8)]
    assert losses[1] < losses[0]


def test_widths_by_layer(quantized: Quantized) -> None:
    folder = quantized("brevitas", weight_bits=[6, 3, 4], activation_bits=[5, 3])[0]
    assert [q["width"] for q in described(folder)["quantizers"]] == [8, 5, 3]


@pytest.mark.parametrize(
    ("keys", "place"),
    [
        ({"weight_bits": [4, 4]}, "quantize.weight_bits"),
        ({"activation_bits": [4] * 3}, "quantize.activation_bits"),
    ],
)
def test_a_list_of_the_wrong_length(built: Any, tmp_path: Path, keys: dict[str, Any], place: str) -> None:
    with pytest.raises(ConfigError, match="widths where the network has") as caught:
        run_quantize(built.context(tmp_path / "out", "brevitas", keys))
    assert caught.value.place == place


def test_metrics_for_the_manifest(quantized: Quantized) -> None:
    metrics = quantized("brevitas", epochs=2)[1]
    assert 0 <= metrics["val_recall_quantized"] <= 1 and 0 <= metrics["val_recall_float"] <= 1
    assert metrics["seconds_training"] > 0 and set(metrics["tools"]) == {"brevitas", "qonnx", "onnx", "torch"}
