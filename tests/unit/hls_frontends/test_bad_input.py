"""Files that are wrong, hostile or too large: a clear error, in seconds and little memory, and nothing left behind."""

from __future__ import annotations

import json
import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dwell.errors import ConfigError, ResourceError, UnsupportedLayerError, UserError
from dwell.hls.commands import convert
from dwell.hls.frontends import QONNX
from dwell.hls.frontends.network import QuantizedNetwork
from dwell.hls.frontends.onnx_file import MAX_NODES
from dwell.hls.frontends.qonnx import read_qonnx
from dwell.hls.gate import compare_frames, probe_frames

Make = Callable[..., Any]
SECONDS = 10.0
BYTES = 4 << 30


def vector(make: Make, size: int = 4) -> tuple[Any, str]:
    net = make(1, size)
    return net, net.quant("frames", "in", 0.25, 4, signed=1)


def picture(make: Make, *shape: int) -> tuple[Any, str]:
    net = make(*shape)
    return net, net.quant("frames", "in", 0.25, 4)


def refused(path: Path, **changed: Any) -> UserError:
    """The error of converting a file, which leaves nothing and takes no time."""
    before = sorted(path.parent.iterdir())
    args = {"model": str(path), "backend": "rtl", "out": str(path.parent / "out"), **changed}
    begin = time.monotonic()
    with pytest.raises(UserError) as caught:
        convert(args)
    assert time.monotonic() - begin < SECONDS
    assert sorted(path.parent.iterdir()) == before
    assert caught.value.message and caught.value.place
    return caught.value


# ---- too large, in many ways


def huge_input(net: Any, at: str) -> str:
    net.shape = [1, 1, 100_000, 100_000]
    return net.node("Relu", [at], "y")


def long_vector(net: Any, at: str) -> str:
    net.shape = [1, 1 << 20]
    return net.node("Relu", [at], "y")


def many_axes_input(net: Any, at: str) -> str:
    net.shape = [1] * 100
    return net.node("Relu", [at], "y")


def many_axes_reshape(net: Any, at: str) -> str:
    return net.node("Reshape", [at, net.const("s", [1] * 99 + [4], np.int64)], "y")


def filled_constant(net: Any, at: str) -> str:
    big = net.node("ConstantOfShape", [net.const("s", [100_000, 100_000], np.int64)], "big")
    return net.node("MatMul", [at, big], "y")


def outer_sum(net: Any, at: str) -> str:
    column, row = net.const("c", np.ones((60_000, 1))), net.const("r", np.ones((1, 60_000)))
    return net.node("MatMul", [at, net.node("Add", [column, row], "big")], "y")


def outer_product(net: Any, at: str) -> str:
    column, row = net.const("c", np.ones((60_000, 1))), net.const("r", np.ones((1, 60_000)))
    return net.node("MatMul", [at, net.node("MatMul", [column, row], "big")], "y")


def deep_expression(net: Any, at: str) -> str:
    for index in range(400):
        at = net.node("Tanh", [at], f"t{index}")
    return net.quant(at, "y", 0.25, 4)


def doubling_expression(net: Any, at: str) -> str:
    at = net.node("Tanh", [at], "t")
    for index in range(60):
        at = net.node("Mul", [at, at], f"m{index}")
    return net.quant(at, "y", 0.25, 4)


LARGE: dict[str, tuple[Callable[[Any, str], str], str]] = {
    "a huge input": (huge_input, r"\(1, 1, 100000, 100000\): 10000000000 elements; 1 to 4194304"),
    "a long vector": (long_vector, "1048576 values; 131072 are the most"),
    "an input of 100 axes": (many_axes_input, "has 100 axes; 5 are the most"),
    "a reshape to 100 axes": (many_axes_reshape, "has 99 axes; 5 are the most"),
    "a constant made from a shape": (filled_constant, "its result is a large constant"),
    "a sum of row and column": (outer_sum, "its result is a large constant"),
    "a product of row and column": (outer_product, "its result is a large constant"),
    "float operators without end": (deep_expression, "65 float operators stand before it"),
    "float operators that double": (doubling_expression, "127 float operators stand before it"),
}


@pytest.mark.parametrize("what", LARGE)
def test_what_is_too_large_is_refused_at_once(empty_net: Make, tmp_path: Path, what: str) -> None:
    net, at = vector(empty_net)
    build, words = LARGE[what]
    net.output = build(net, at)
    error = refused(net.save(tmp_path / "n.onnx"))
    assert isinstance(error, ConfigError | UnsupportedLayerError)
    assert re.search(words, error.message), error.message


@pytest.mark.parametrize(
    ("op", "inputs", "choice", "words"),
    [
        ("MaxPool", [], {"kernel_shape": [2, 2], "pads": [10**9] * 4}, r"pads \[1000000000"),
        ("Pad", [[0, 0, 10**6, 10**6, 0, 0, 10**6, 10**6]], {}, "1 to 16777216 are read|elements"),
        ("Resize", ["", "", [1, 2, 10**6, 10**6]], {"mode": "nearest"}, "elements"),
    ],
)
def test_layers_that_grow_without_bound(
    empty_net: Make, tmp_path: Path, op: str, inputs: list[Any], choice: dict[str, Any], words: str
) -> None:
    net, at = picture(empty_net, 1, 2, 5, 5)
    names = [
        one if isinstance(one, str) else net.const(f"c{i}", one, np.int64) for i, one in enumerate(inputs)
    ]
    net.output = net.node(op, [at, *names], "y", **choice)
    error = refused(net.save(tmp_path / "n.onnx"))
    assert re.search(words, error.message), error.message


def test_a_constant_that_says_it_is_large_and_a_hundred_axes(empty_net: Make, tmp_path: Path) -> None:
    for dims, words in (([1 << 40], "1 to 67108864"), ([1] * 100, "has 100 axes"), ([3, -2], "elements")):
        net, at = vector(empty_net)
        net.output = net.node("MatMul", [at, net.const("w", np.ones((4, 2)))], "y")
        model = net.model()
        tensor = next(t for t in model.graph.initializer if t.name == "w")
        del tensor.dims[:]
        tensor.dims.extend(dims)
        path = tmp_path / "n.onnx"
        path.write_bytes(model.SerializeToString())
        assert words in refused(path).message


def test_operators_without_number(empty_net: Make, tmp_path: Path) -> None:
    net, at = vector(empty_net)
    for index in range(MAX_NODES + 1):
        at = net.node("Identity", [at], f"i{index}")
    net.output = at
    assert f"{MAX_NODES} are the most" in refused(net.save(tmp_path / "n.onnx")).message


def test_many_operators_are_read_in_seconds(empty_net: Make, tmp_path: Path) -> None:
    net, at = vector(empty_net)
    for index in range(MAX_NODES // 2):
        at = net.node("Identity", [at], f"i{index}")
    net.output = net.node("MatMul", [at, net.weights((4, 2), "w")], "y")
    begin = time.monotonic()
    read_qonnx(net.save(tmp_path / "n.onnx"))
    assert time.monotonic() - begin < SECONDS


# ---- wrong files


def test_data_outside_the_folder_is_never_opened(empty_net: Make, tmp_path: Path) -> None:
    from onnx import TensorProto

    secret = tmp_path / "secret.bin"
    secret.write_bytes(np.ones(8, np.float32).tobytes())
    net, at = vector(empty_net)
    net.output = net.node("MatMul", [at, net.const("w", np.ones((4, 2)))], "y")
    for location in (str(secret), "../secret.bin", "/etc/passwd", "secret.bin"):
        model = net.model()
        tensor = next(t for t in model.graph.initializer if t.name == "w")
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        entry = tensor.external_data.add()
        entry.key, entry.value = "location", location
        folder = tmp_path / "in"
        folder.mkdir(exist_ok=True)
        path = folder / "n.onnx"
        path.write_bytes(model.SerializeToString())
        assert "'w' are kept in another file" in refused(path).message


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00" * 4096,
        b"hello, this is no network\n",
        b"\x89PNG\r\n\x1a\n" + b"\0" * 99,
        b"PK\x03\x04" + b"\0" * 99,
    ],
    ids=["empty", "zeros", "text", "png", "zip"],
)
def test_what_is_no_onnx_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "n.onnx"
    path.write_bytes(content)
    error = refused(path)
    assert isinstance(error, ConfigError) and "export_qonnx" in error.hint


def test_subgraphs_are_not_followed(empty_net: Make, tmp_path: Path) -> None:
    from onnx import TensorProto, helper

    inner = helper.make_graph([], "inner", [], [helper.make_tensor_value_info("in", TensorProto.FLOAT, None)])
    net, at = vector(empty_net)
    net.output = net.node("If", [at], "y", then_branch=inner, else_branch=inner)
    error = refused(net.save(tmp_path / "n.onnx"))
    assert isinstance(error, UnsupportedLayerError) and error.kind == "If"


def test_frames_may_be_counted_by_name_and_nothing_else(empty_net: Make, tmp_path: Path) -> None:
    net, at = vector(empty_net)
    net.output = net.node("MatMul", [at, net.weights((4, 2), "w")], "y")
    net.shape = ["batch", 4]
    assert read_qonnx(net.save(tmp_path / "n.onnx")).model.tensors["input"].shape == (4,)
    net.shape = ["batch", "length"]
    assert (
        "axis 1 of the input 'frames' has no fixed length" in refused(net.save(tmp_path / "n.onnx")).message
    )


@pytest.mark.parametrize("text", ["fixed<33,6>", "ufixed<62,0>"])
def test_input_types_over_32_bits(empty_net: Make, tmp_path: Path, text: str) -> None:
    net = empty_net(1, 4)
    net.output = net.node("MatMul", ["frames", net.weights((4, 2), "w")], "y")
    error = refused(net.save(tmp_path / "n.onnx"), input_type=text)
    assert "32 are the most" in error.message and "fixed<16,6>" in error.hint


def test_a_network_that_cannot_fit_says_what_is_missing(empty_net: Make, tmp_path: Path) -> None:
    net, at = vector(empty_net, 512)
    at = net.quant(
        net.node("MatMul", [at, net.weights((512, 1024), "w", bits=8)], "s"), "q", 4.0, 8, signed=1
    )
    net.output = net.node("MatMul", [at, net.weights((1024, 512), "v", bits=8)], "y")
    error = refused(net.save(tmp_path / "n.onnx"))
    assert isinstance(error, ResourceError) and error.place in ("dense1", "dense2")
    assert (
        "pynq-z2 has 53200 LUT" in error.message
        and "an estimate" in error.message
        and "--reuse" in error.hint
    )


def test_a_network_that_its_own_framework_cannot_execute(empty_net: Make, tmp_path: Path) -> None:
    net, at = vector(empty_net)
    net.opset = 1  # in which Neg was another operator
    net.output = net.node("MatMul", [net.node("Neg", [at], "n"), net.weights((4, 2), "w")], "y")
    error = refused(net.save(tmp_path / "n.onnx"))
    assert "'Neg_n'" in error.message and error.place == "Neg_n"


# ---- anything at all


def test_random_damage_is_an_error_or_a_network(onnx_net: Make, tmp_path: Path) -> None:
    """Bytes changed at random, then read and compared: never a traceback of anything but the user's errors."""
    whole = onnx_net().model().SerializeToString()
    rng = np.random.default_rng(0)
    path = tmp_path / "n.onnx"
    seen = {"read": 0, "refused": 0}
    for _ in range(150):
        damaged = bytearray(whole)
        for at in rng.integers(0, len(whole), rng.integers(1, 6)):
            damaged[at] = rng.integers(0, 256)
        path.write_bytes(bytes(damaged))
        network = QuantizedNetwork(path, QONNX, None, (), None)
        try:
            reading = network.reading("n")
            if max(reading.model.tensors[reading.model.input].shape) < 100:
                compare_frames(reading, network, probe_frames(reading.model)[:6])
            seen["read"] += 1
        except UserError:
            seen["refused"] += 1
    assert min(seen.values()) > 5


@pytest.mark.slow
@pytest.mark.parametrize("what", LARGE)
def test_little_memory_is_used(empty_net: Make, tmp_path: Path, what: str) -> None:
    """The same files through the command line's own process, whose memory is measured."""
    net, at = vector(empty_net)
    net.output = LARGE[what][0](net, at)
    path = net.save(tmp_path / "n.onnx")
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    command = [
        sys.executable,
        "-m",
        "dwell",
        "convert",
        str(path),
        "--backend",
        "rtl",
        "--out",
        str(tmp_path / "o"),
    ]
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode in (2, 3) and json.loads(done.stdout)["error"]["message"]
    assert max(before, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) * 1024 < BYTES
