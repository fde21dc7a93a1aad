"""Rung 3: the same network as an hls4ml project, its C++ compiled by g++ and compared."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from recurrent_nets import lstm

from dwell.errors import (
    ConfigError,
    ToolFailedError,
    ToolNotFoundError,
    UnsupportedLayerError,
    VerificationError,
)
from dwell.hls.frontends.network import QuantizedNetwork, network_from_file
from dwell.hls.hls4ml.emulation import compare_emulation, compile_project, emulate
from dwell.hls.hls4ml.obstacles import obstacle
from dwell.hls.hls4ml.options import ProjectOptions
from dwell.hls.hls4ml.project import write_project
from dwell.hls.qmodel import Conv2D, FixedPoint, Overflow, Pooling, QModel, Rounding
from dwell.hls.qmodel.build import Builder

WINDOWS = 10_000


@dataclass(frozen=True)
class Emulated:
    """A compiled project."""

    model: QModel
    network: QuantizedNetwork
    graph: Any
    out: Path


def build(path: Path, out: Path) -> Emulated:
    network = network_from_file(path, None)
    model = network.read("net")
    graph = write_project(model, network, ProjectOptions("net"), out)
    compile_project(model, network, graph, out)
    return Emulated(model, network, graph, out)


@pytest.fixture(scope="module")
def emulated(brevitas_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Emulated:
    return build(brevitas_file, tmp_path_factory.mktemp("emulation") / "project")


def test_the_emulation_of_a_brevitas_network_is_exact(emulated: Emulated) -> None:
    rung = compare_emulation(emulated.model, emulated.graph, WINDOWS)
    assert rung["ok"] and rung["compared"] >= WINDOWS and rung["mismatches"] == 0


@pytest.mark.parametrize("layer", ["conv1", "conv3", "conv4"])
def test_one_changed_weight_fails(emulated: Emulated, layer: str) -> None:
    def change(node: Any) -> Any:
        if node.name != layer or not isinstance(node, Conv2D):
            return node
        weight = node.weight.copy()
        weight[1, 1, 0, 0] -= np.sign(weight[1, 1, 0, 0]) or 1
        return replace(node, weight=weight)

    good = emulated.model
    wide = {
        name: replace(tensor, type=replace(tensor.type, width=tensor.type.width + 2))
        if name.startswith(("conv", "relu"))
        else tensor
        for name, tensor in good.tensors.items()
    }
    faulty = QModel("net", tuple(change(n) for n in good.nodes), wide, good.input, good.output)
    with pytest.raises(VerificationError, match="hls4ml's emulation") as caught:
        compare_emulation(faulty, emulated.graph, WINDOWS)
    found = caught.value.first_mismatch
    assert found is not None and found["expected"] != found["got"]


def contents(folder: Path) -> dict[Path, bytes]:
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_the_project_is_the_same_on_every_machine(emulated: Emulated, tmp_path: Path) -> None:
    write_project(emulated.model, emulated.network, ProjectOptions("net"), tmp_path / "again")
    first, again = contents(emulated.out), contents(tmp_path / "again")
    first.pop(Path("emulation.log"))
    assert set(first) == set(again)
    assert [str(name) for name in first if first[name] != again[name]] == []
    assert str(emulated.out).encode() not in b"".join(first.values())


def test_dilation_is_refused(onnx_net: Callable[..., Any], tmp_path: Path) -> None:
    network = network_from_file(onnx_net(dilations=[2, 2]).save(tmp_path / "n.onnx"), None)
    with pytest.raises(UnsupportedLayerError, match=r"conv1.*hls4ml ignores dilation"):
        write_project(network.read("net"), network, ProjectOptions("net"), tmp_path / "out")


def test_io_parallel_is_exact_too(onnx_net: Callable[..., Any], tmp_path: Path) -> None:
    network = network_from_file(onnx_net().save(tmp_path / "n.onnx"), None)
    options = ProjectOptions("net", io_type="io_parallel")
    rung = emulate(network.read("net"), network, options, tmp_path / "out", WINDOWS)
    assert rung["ok"] and rung["compared"] >= WINDOWS and rung["detail"]["io_type"] == "io_parallel"


def dense_file(folder: Path, *, softmax: bool = True) -> Path:
    """Two dense layers in QONNX: no quantizer at the input, a softmax at the end."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    constants: dict[str, Any] = {
        "w1": rng.normal(0, 0.5, (6, 8)), "b1": rng.normal(0, 0.5, 8), "w2": rng.normal(0, 0.5, (8, 3)),
        "step": 0.125, "none": 0.0, "bits": 6.0,
    }  # fmt: skip
    nodes = []

    def quant(source: str, output: str, *, signed: int) -> str:
        words = {"signed": signed, "narrow": 0, "rounding_mode": "ROUND", "domain": "qonnx.custom_op.general"}
        nodes.append(helper.make_node("Quant", [source, "step", "none", "bits"], [output], **words))
        return output

    for name in ("w1", "b1", "w2"):
        quant(name, f"{name}_q", signed=1)
    nodes.append(helper.make_node("MatMul", ["x", "w1_q"], ["m1"]))
    nodes.append(helper.make_node("Add", ["m1", "b1_q"], ["a1"]))
    nodes.append(helper.make_node("Relu", ["a1"], ["r1"]))
    quant("r1", "h1", signed=0)
    nodes.append(helper.make_node("MatMul", ["h1", "w2_q"], ["y"]))
    if softmax:
        nodes.append(helper.make_node("Softmax", ["y"], ["p"], axis=-1))
    made = [numpy_helper.from_array(np.asarray(v, np.float32), k) for k, v in constants.items()]
    ends = [
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, size])]
        for name, size in (("x", 6), ("p" if softmax else "y", 3))
    ]
    graph = helper.make_graph(nodes, "dense", *ends, initializer=made)
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid("qonnx.custom_op.general", 1)]
    path = folder / "dense.onnx"
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), str(path))
    return path


@pytest.mark.parametrize("io_type", ["io_parallel", "io_stream"])
def test_vectors_without_an_input_quantizer_and_with_a_softmax(tmp_path: Path, io_type: str) -> None:
    network = network_from_file(dense_file(tmp_path), FixedPoint(True, 10, 6))
    model = network.read("net")
    rung = emulate(model, network, ProjectOptions("net", io_type=io_type), tmp_path / "out", 2000)
    assert rung["ok"] and rung["compared"] >= 3 * 2000
    text = (tmp_path / "out" / "firmware" / "defines.h").read_text()
    assert "ap_fixed<10,4,AP_TRN,AP_SAT" in text  # the input's type, not one that merely holds it


def test_a_fault_in_preparing_a_project_is_not_taken_for_a_refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only what hls4ml itself refuses makes the rung not applicable."""
    from dwell.hls.hls4ml import source

    network = network_from_file(dense_file(tmp_path), FixedPoint(True, 10, 6))
    model = network.read("net")

    def broken(wrapper: Any) -> None:
        raise ValueError("of this test")

    monkeypatch.setattr(source, "_cut_softmax", broken)
    with pytest.raises(ValueError, match="of this test"):
        emulate(model, network, ProjectOptions("net"), tmp_path / "out", 100)


def test_what_hls4ml_cannot_carry_is_no_failure_of_the_rung(
    onnx_net: Callable[..., Any], tmp_path: Path
) -> None:
    network = network_from_file(onnx_net(dilations=[2, 2]).save(tmp_path / "n.onnx"), None)
    rung = emulate(network.read("net"), network, ProjectOptions("net"), tmp_path / "out", WINDOWS)
    assert rung["ok"] is None and rung["compared"] == 0
    assert rung["reason"] == "conv1: hls4ml ignores dilation"
    assert not (tmp_path / "out").exists()


def model_with(**changed: Any) -> QModel:
    """Input, cast, output; the output tensor with what is asked for."""
    build = Builder()
    at = build.input("x", (4, 4, 1), FixedPoint(False, 8, 8))
    at = build.cast("act", at, (FixedPoint(False, 4, 4),), Rounding.TRN, Overflow.SAT)
    model = build.finish("net", at, [])
    tensors = {**model.tensors, at: replace(model.tensors[at], **changed)}
    return QModel("net", model.nodes, tensors, model.input, model.output)


@pytest.mark.fast
@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"scale": 0.3}, "not a power of two"),
        ({"scale": (0.6,)}, "not a power of two"),
        ({"offset": 0.5}, "zero point"),
        ({"scale": 0.25}, None),
    ],
)
def test_scales_decide_whether_the_rung_applies(
    onnx_net: Callable[..., Any], tmp_path: Path, changed: dict[str, Any], words: str | None
) -> None:
    network = network_from_file(onnx_net().save(tmp_path / "n.onnx"), None)
    found = obstacle(model_with(**changed), network)
    assert found is None if words is None else found is not None and words in found[1]


@pytest.mark.fast
def test_a_recurrence_is_an_obstacle(onnx_net: Callable[..., Any], tmp_path: Path) -> None:
    """hls4ml computes other values in QLSTM than Keras."""
    found = obstacle(lstm(), network_from_file(onnx_net().save(tmp_path / "n.onnx"), None))
    assert found is not None and found[0] == "cell" and "states and gates" in found[1]


@pytest.mark.fast
def test_a_table_and_a_mean_that_is_rounded_are_obstacles(
    onnx_net: Callable[..., Any], tmp_path: Path
) -> None:
    network = network_from_file(onnx_net().save(tmp_path / "n.onnx"), None)
    kind = FixedPoint(False, 4, 4)
    for size, shift, words in (((2, 2), 2, None), ((2, 3), 2, "no power of two"), ((2, 2), 0, "no power")):
        build = Builder()
        at = build.input("x", (6, 6, 1), kind)
        at = build.pool2d("mean", at, Pooling.SUM, size, size, shift=shift)
        found = obstacle(build.finish("net", at, []), network)
        assert found is None if words is None else found is not None and words in found[1]
    build = Builder()
    at = build.input("x", (6, 6, 1), kind)
    at = build.table("curve", at, np.array([[3, 9]]), np.array([[0, 2, 1]]), 2)
    found = obstacle(build.finish("net", at, []), network)
    assert found is not None and found[0] == "curve" and "function of floats" in found[1]


def test_a_name_that_is_no_function_is_refused(emulated: Emulated, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no name for a C"):
        write_project(emulated.model, emulated.network, ProjectOptions("a-b"), tmp_path / "out")


def test_a_compiler_that_is_missing_or_fails_is_named(
    brevitas_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = network_from_file(brevitas_file, None)
    model = network.read("net")
    graph = write_project(model, network, ProjectOptions("net"), tmp_path / "out")
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("bash", "sh", "dirname", "rm"):
        found = shutil.which(name)
        assert found is not None
        (tools / name).symlink_to(found)
    monkeypatch.setenv("PATH", str(tools))
    with pytest.raises(ToolNotFoundError, match="g\\+\\+ is not installed") as caught:
        compile_project(model, network, graph, tmp_path / "out")
    assert "apt-get install g++" in caught.value.hint
    (tools / "g++").write_text("#!/bin/sh\necho 'internal compiler error: of this test'\nexit 1\n")
    (tools / "g++").chmod(0o755)
    with pytest.raises(ToolFailedError) as failed:
        compile_project(model, network, graph, tmp_path / "out")
    assert "of this test" in failed.value.tail and failed.value.log_path.is_file()


@pytest.mark.slow
@pytest.mark.parametrize(
    "choice",
    [
        {},
        {"overflow_mode": "SAT", "round_mode": "TRN"},
        {"overflow_mode": "SAT_SYM", "round_mode": "RND_CONV"},
    ],
    ids=["wrap", "sat", "sat_sym"],
)
def test_the_emulation_of_a_keras_network_is_exact(
    build_keras: Callable[..., Any], tmp_path: Path, choice: dict[str, str]
) -> None:
    build_keras(**choice).save(tmp_path / "net.keras")
    done = build(tmp_path / "net.keras", tmp_path / "project")
    rung = compare_emulation(done.model, done.graph, WINDOWS)
    assert rung["ok"] and rung["compared"] >= WINDOWS
