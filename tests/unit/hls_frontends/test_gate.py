"""Rung 2: it passes when all is well, and one changed number makes it fail."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dwell.errors import ConfigError, VerificationError
from dwell.hls.frontends.network import QuantizedNetwork, load_reference, network_from_artifact
from dwell.hls.gate import climb, compare_executor, compare_reference
from dwell.hls.qmodel import Cast, Conv2D, FixedPoint, Input, Node, QModel, Relu, Rounding

Make = Callable[..., Any]


def with_node(model: QModel, name: str, change: Callable[[Any], Node]) -> QModel:
    """`model` with one node replaced."""
    nodes = tuple(change(n) if n.name == name else n for n in model.nodes)
    return QModel(model.name, nodes, model.tensors, model.input, model.output, model.quantizers)


def widened(model: QModel) -> QModel:
    """`model` with room in its sums, so that a planted fault is still a valid graph."""
    tensors = dict(model.tensors)
    for node in model.nodes:
        if isinstance(node, Conv2D | Relu):
            old = tensors[node.output]
            kind = FixedPoint(isinstance(node, Conv2D), old.type.width + 4, old.type.frac)
            tensors[node.output] = replace(old, type=kind)
    return QModel(model.name, model.nodes, tensors, model.input, model.output, model.quantizers)


def weight_plus_one(node: Conv2D) -> Conv2D:
    weight = node.weight.copy()
    weight[0, 1, 0, 0] += 1 if weight[0, 1, 0, 0] < node.weight_type.hi else -1
    return replace(node, weight=weight)


def bias_plus_one(node: Conv2D) -> Conv2D:
    bias = node.bias.copy()
    bias[-1] += 1
    return replace(node, bias=bias)


def other_rounding(node: Cast | Input) -> Cast | Input:
    return replace(node, rounding=Rounding.TRN)


def one_shift_less(model: QModel) -> QModel:
    """The second convolution's weights stand for half of what they should."""
    conv = next(n for n in model.nodes if n.name == "conv2")
    assert isinstance(conv, Conv2D)
    kind = FixedPoint(True, conv.weight_type.width + 1, conv.weight_type.frac)
    return with_node(model, "conv2", lambda n: replace(n, weight=2 * conv.weight, weight_type=kind))


FAULTS: list[tuple[str, Callable[[QModel], QModel], str]] = [
    ("a weight", lambda m: with_node(m, "conv1", weight_plus_one), "act1"),
    ("a bias", lambda m: with_node(m, "conv2", bias_plus_one), "output"),
    ("a rounding", lambda m: with_node(m, "act1", other_rounding), "act1"),
    ("a shift", one_shift_less, "output"),
    (
        "the input's rounding",
        lambda m: with_node(m, "input", other_rounding),
        "pixels",
    ),
]


@pytest.fixture
def artifact(onnx_net: Make, tmp_path: Path) -> Path:
    """What the quantize stage leaves, its codes from QONNX' executor."""
    from dwell.hls.frontends.qonnx_execute import execute_qonnx

    path = onnx_net(act={"scale": 0.5, "bits": 3}).save(tmp_path / "model.onnx")
    # Half-way between codes as well, where the input's rounding shows.
    x = np.random.default_rng(0).integers(0, 511, (50, 12, 12, 1)).astype(np.float32) / 512
    found = execute_qonnx(path, x, ["pixels", "act1"])
    arrays = {
        "x": x,
        "codes/pixels": np.rint(found["pixels"] * 256).astype(np.int32),
        "codes/hidden": np.rint(found["act1"] * 2).astype(np.int32),
        "y": found[""],
    }
    np.savez(tmp_path / "reference.npz", **arrays)
    said = {
        "frontend": "brevitas",
        "file": "model.onnx",
        "input_type": "ufixed<8,0>",
        "versions": {},
        "quantizers": [
            {"name": "pixels", "tensor": "pixels", "signed": False, "width": 8, "frac": 8},
            {"name": "hidden", "tensor": "act1", "signed": False, "width": 3, "frac": 1},
        ],
    }
    (tmp_path / "frontend.json").write_text(json.dumps(said))
    return tmp_path


@pytest.fixture
def pair(artifact: Path) -> tuple[QModel, QuantizedNetwork]:
    network = network_from_artifact(artifact)
    return network.read("net"), network


def test_the_rung_is_climbed(pair: tuple[QModel, QuantizedNetwork]) -> None:
    rung = climb(*pair)
    assert rung["ok"] and rung["mismatches"] == 0 and rung["rung"] == 2
    windows = [part["windows"] for part in rung["detail"].values()]
    assert windows[0] == 50 * 81 and windows[1] >= 4000
    assert rung["compared"] == sum(sum(p["codes"].values()) for p in rung["detail"].values())
    assert {"pixels", "hidden", "output"} == set(rung["detail"]["QONNX executor"]["codes"])
    json.dumps(rung)


@pytest.mark.parametrize(("fault", "where"), [f[1:] for f in FAULTS], ids=[f[0] for f in FAULTS])
def test_one_changed_number_fails_against_the_executor(
    pair: tuple[QModel, QuantizedNetwork], fault: Callable[[QModel], QModel], where: str
) -> None:
    model, network = pair
    good = widened(model)
    compare_executor(good, network)
    with pytest.raises(VerificationError) as caught:
        compare_executor(fault(good), network)
    found = caught.value.first_mismatch
    assert found is not None and found["quantizer"] == {"act1": "hidden"}.get(where, where)
    assert found["expected"] != found["got"] and caught.value.exit_code == 4


@pytest.mark.parametrize(("fault", "where"), [f[1:] for f in FAULTS], ids=[f[0] for f in FAULTS])
def test_one_changed_number_fails_against_the_reference(
    pair: tuple[QModel, QuantizedNetwork], fault: Callable[[QModel], QModel], where: str
) -> None:
    model, network = pair
    assert network.reference is not None
    arrays = load_reference(network.reference)
    good = widened(model)
    compare_reference(good, network, arrays)
    with pytest.raises(VerificationError) as caught:
        compare_reference(fault(good), network, arrays)
    assert caught.value.first_mismatch is not None
    assert caught.value.first_mismatch["quantizer"] == {"act1": "hidden"}.get(where, where)


def test_the_first_mismatch_is_the_first(pair: tuple[QModel, QuantizedNetwork]) -> None:
    model, network = pair
    assert network.reference is not None
    arrays = load_reference(network.reference)
    codes = arrays["codes/hidden"].copy()
    codes[33, 4, 5, 1] += 1
    codes[40, 0, 0, 0] += 1
    with pytest.raises(VerificationError, match="hidden: 2 of") as caught:
        compare_reference(model, network, {**arrays, "codes/hidden": codes})
    assert caught.value.first_mismatch == {
        "quantizer": "hidden",
        "index": [33, 4, 5, 1],
        "expected": float(codes[33, 4, 5, 1]),
        "got": int(codes[33, 4, 5, 1]) - 1,
    }


def test_an_output_between_two_codes_is_a_mismatch(pair: tuple[QModel, QuantizedNetwork]) -> None:
    model, network = pair
    assert network.reference is not None
    arrays = load_reference(network.reference)
    y = arrays["y"].copy()
    y[7, 0, 0, 0] += np.float32(2.0 ** -(model.shift + 2))
    with pytest.raises(VerificationError, match="output: 1 of"):
        compare_reference(model, network, {**arrays, "y": y})


def test_every_quantizer_has_to_be_there(pair: tuple[QModel, QuantizedNetwork]) -> None:
    model, network = pair
    assert network.reference is not None
    arrays = load_reference(network.reference)
    lacking = {key: value for key, value in arrays.items() if key != "codes/hidden"}
    with pytest.raises(VerificationError, match=r"only in the integer graph \['hidden'\]"):
        compare_reference(model, network, lacking)
    with pytest.raises(VerificationError, match=r"only in the network \['more'\]"):
        compare_reference(model, network, {**arrays, "codes/more": arrays["codes/hidden"]})
    with pytest.raises(VerificationError, match="the network gives"):
        compare_reference(model, network, {**arrays, "codes/hidden": arrays["codes/hidden"][:, :-1]})
    with pytest.raises(ConfigError, match="not integers"):
        compare_reference(model, network, {**arrays, "codes/hidden": arrays["codes/hidden"] * 1.0})
    with pytest.raises(ConfigError, match="no 'y'"):
        compare_reference(model, network, {key: value for key, value in arrays.items() if key != "y"})


def test_the_input_type_of_the_artifact_holds(artifact: Path) -> None:
    assert network_from_artifact(artifact).input_type == FixedPoint(False, 8, 8)
    said = json.loads((artifact / "frontend.json").read_text())
    (artifact / "frontend.json").write_text(json.dumps({**said, "input_type": "ufixed<9,0>"}))
    with pytest.raises(ConfigError, match="quantizes its input to ufixed<8,0>"):
        network_from_artifact(artifact).read("net")


@pytest.mark.parametrize("name", ["frontend.json", "reference.npz", "model.onnx"])
def test_an_artifact_that_lacks_a_file_is_refused(artifact: Path, name: str) -> None:
    (artifact / name).unlink()
    with pytest.raises(ConfigError) as caught:
        network_from_artifact(artifact)
    assert caught.value.hint


def test_a_damaged_artifact_is_refused(artifact: Path) -> None:
    (artifact / "reference.npz").write_bytes(b"PK\x03\x04 no more")
    network = network_from_artifact(artifact)
    assert network.reference is not None
    with pytest.raises(ConfigError, match="cannot be read"):
        load_reference(network.reference)
    (artifact / "frontend.json").write_text('{"file": "../../model.onnx"}')
    with pytest.raises(ConfigError, match="names a file elsewhere"):
        network_from_artifact(artifact)
    (artifact / "frontend.json").write_text('{"file": ')
    with pytest.raises(ConfigError, match=r"frontend\.json cannot be read"):
        network_from_artifact(artifact)
