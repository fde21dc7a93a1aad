"""Rung 2 where scales are no powers of two: what float32 rounding decides is excused, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from dwell.errors import VerificationError
from dwell.hls.frontends.network import QuantizedNetwork, network_from_file
from dwell.hls.frontends.reading import Reading
from dwell.hls.gate import climb, compare_frames, probe_frames
from dwell.hls.qmodel import Cast, Dense, FixedPoint, QModel, Table, run_model

Make = Callable[..., Any]
DATA = Path(__file__).parents[4] / "shared" / "data"


def changed(reading: Reading, name: str, **fields: Any) -> Reading:
    """The reading with some fields of one node of its graph replaced."""
    m = reading.model
    nodes = tuple(replace(node, **fields) if node.name == name else node for node in m.nodes)
    model = QModel(m.name, nodes, m.tensors, m.input, m.output, m.quantizers, m.notes)
    return replace(reading, model=model)


def table(reading: Reading) -> Table:
    return next(node for node in reading.model.nodes if isinstance(node, Table))


@pytest.fixture
def odd(empty_net: Make, tmp_path: Path) -> tuple[Reading, QuantizedNetwork]:
    """Scales that are no powers of two everywhere, a bias of the sums, 4-bit activations."""
    net = empty_net(1, 9)
    at = net.quant("frames", "in", 0.0413, 6)
    at = net.node("MatMul", [at, net.weights((9, 6), "w", 0.0731)], "sum")
    at = net.node("Add", [at, net.const("b", np.linspace(-0.4, 0.5, 6))], "biased")
    at = net.quant(net.node("Relu", [at], "r"), "act", 0.0917, 4)
    net.output = net.node("MatMul", [at, net.weights((6, 4), "v", 0.3)], "y")
    network = network_from_file(net.save(tmp_path / "n.onnx"), None)
    return network.reading("net"), network


def test_the_rung_says_its_rule_and_its_bounds(odd: tuple[Reading, QuantizedNetwork]) -> None:
    rung = climb(*odd)
    detail = rung["detail"]["QONNX executor"]
    assert rung["ok"] and "power of two" in rung["rule"] and set(odd[0].slack) == {"act1"}
    assert 0.0 <= detail["logit_error"] <= detail["logit_bound"] < 1e-4
    assert detail["within_rounding"] <= 2 and detail["codes"]["act"] == 256 * 6
    json.dumps(rung)


@pytest.mark.parametrize("shift", [-1, 1])
def test_a_break_that_is_off_by_one_is_no_rounding(odd: tuple[Reading, QuantizedNetwork], shift: int) -> None:
    reading, network = odd
    node = table(reading)
    frames = np.random.default_rng(5).random((1500, 9)) * 63 * 0.0413
    compare_frames(reading, network, frames)
    with pytest.raises(VerificationError, match="act: ") as caught:
        compare_frames(changed(reading, node.name, breaks=node.breaks + shift), network, frames)
    assert caught.value.first_mismatch is not None and caught.value.first_mismatch["quantizer"] == "act"


def test_rounding_is_excused_channel_by_channel(empty_net: Make, tmp_path: Path) -> None:
    """Batch norm behind sums that float32 rounds: the question is asked with each channel's own constants."""
    net = empty_net(1, 6)
    at = net.quant("frames", "in", 0.0413, 8)
    at = net.node("MatMul", [at, net.weights((6, 40), "w", 0.0173, 8)], "sum")
    rng = np.random.default_rng(4)
    names = [net.const(n, rng.normal(m, 0.2, 40)) for n, m in (("g", 1.0), ("b", 0.0), ("m", 0.0))]
    at = net.node("BatchNormalization", [at, *names, net.const("v", rng.uniform(0.5, 2, 40))], "bn")
    net.output = net.quant(at, "act", 0.00291, 10, signed=1)
    network = network_from_file(net.save(tmp_path / "n.onnx"), None)
    reading = network.reading("net")
    found = compare_frames(reading, network, rng.random((3000, 6)) * 255 * 0.0413)
    assert 0 < found.within_rounding < 0.005 * found.compared
    slack = reading.slack["act1"]
    model, codes = reading.model, np.arange(-500, 500)
    for channel in (0, 17, 39):
        asked = slack.ask(codes.astype(np.float64), np.full(1000, channel))
        node = table(reading)
        assert np.array_equal(
            asked, node.levels[channel][np.searchsorted(node.breaks[channel], codes, "right")]
        )
    assert model.tensors["act1"].shape == (40,)


def test_a_level_that_is_wrong_fails(odd: tuple[Reading, QuantizedNetwork]) -> None:
    reading, network = odd
    node = table(reading)
    levels = node.levels.copy()
    levels[:, 2] -= 1
    with pytest.raises(VerificationError, match="act: "):
        compare_frames(changed(reading, node.name, levels=levels), network, probe_frames(reading.model))


def test_one_wrong_weight_behind_the_last_quantizer_fails(odd: tuple[Reading, QuantizedNetwork]) -> None:
    reading, network = odd
    last = [node for node in reading.model.nodes if isinstance(node, Dense)][-1]
    weight = last.weight.copy()
    weight[2, 1] += 1 if weight[2, 1] < 0 else -1
    with pytest.raises(VerificationError, match="output: "):
        compare_frames(changed(reading, last.name, weight=weight), network, probe_frames(reading.model))


def test_a_wrong_tail_fails(empty_net: Make, tmp_path: Path) -> None:
    net = empty_net(1, 5)
    at = net.quant("frames", "in", 0.25, 6)
    at = net.node("MatMul", [at, net.weights((5, 3), "w")], "sum")
    net.output = net.node("Add", [net.node("Mul", [at, net.const("m", 0.3)], "t"), net.const("c", 0.1)], "y")
    network = network_from_file(net.save(tmp_path / "n.onnx"), None)
    reading = network.reading("net")
    frames = probe_frames(reading.model)
    assert compare_frames(reading, network, frames).logit_error > 0.0
    m = reading.model
    for fault in ({"scale": 0.3001}, {"offset": 0.1001}):
        tensors = {**m.tensors, m.output: replace(m.tensors[m.output], **fault)}  # type: ignore[arg-type]
        wrong = QModel(m.name, m.nodes, tensors, m.input, m.output, m.quantizers, m.notes)
        with pytest.raises(VerificationError, match="output: "):
            compare_frames(replace(reading, model=wrong), network, frames)


# ---- networks at random, through every kind of scale. Those that are no powers of two have no short ratio to each
# other: sums of 0.3 * 0.3 quantized to 0.3 are full of ties, which float32 rounding alone decides.


@st.composite
def networks(draw: st.DrawFn) -> dict[str, Any]:
    def scale() -> float:
        return draw(st.sampled_from([0.25, 0.5, 0.125, 0.0731, 0.2937, 0.0413]))

    depth = draw(st.integers(1, 3))
    return {
        "sizes": [draw(st.integers(1, 9)) for _ in range(depth + 1)],
        "input": (scale(), draw(st.integers(2, 8)), draw(st.booleans())),
        "weights": [(scale(), draw(st.integers(1, 6)), draw(st.booleans())) for _ in range(depth)],
        "acts": [(scale() * 2, draw(st.integers(1, 5)), draw(st.booleans())) for _ in range(depth)],
        "bias": [draw(st.sampled_from(["none", "float", "short"])) for _ in range(depth)],
        "relu": [draw(st.booleans()) for _ in range(depth)],
        "mode": draw(st.sampled_from(["ROUND", "FLOOR", "CEIL", "HALF_UP", "DOWN", "UP", "HALF_DOWN"])),
        "seed": draw(st.integers(0, 99)),
    }


def build(make: Make, said: dict[str, Any]) -> Any:
    rng = np.random.default_rng(said["seed"])
    net = make(1, said["sizes"][0])
    scale, bits, signed = said["input"]
    at = net.quant("frames", "in", scale, bits, signed=int(signed))
    for i, (cin, cout) in enumerate(zip(said["sizes"], said["sizes"][1:], strict=False)):
        scale, bits, each = said["weights"][i]
        given = scale * rng.uniform(0.5, 2, (1, cout)) if each else scale
        at = net.node(
            "MatMul", [at, net.weights((cin, cout), f"w{i}", given, bits, narrow=int(bits > 1))], f"s{i}"
        )
        if said["bias"][i] != "none":
            values = rng.normal(0, 1, cout)
            values = np.round(values * 16) / 16 if said["bias"][i] == "short" else values
            at = net.node("Add", [at, net.const(f"b{i}", values)], f"a{i}")
        if said["relu"][i]:
            at = net.node("Relu", [at], f"r{i}")
        scale, bits, signed = said["acts"][i]
        at = net.quant(at, f"q{i}", scale, bits, signed=int(signed), mode=said["mode"])
    net.output = at
    return net


@given(networks())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_networks_at_random(empty_net: Make, tmp_path: Path, said: dict[str, Any]) -> None:
    kind = FixedPoint.parse("fixed<12,6>") if said["input"][1] == 1 and said["input"][2] else None
    network = network_from_file(build(empty_net, said).save(tmp_path / "n.onnx"), kind)
    reading = network.reading("net")
    found = compare_frames(reading, network, probe_frames(reading.model)[:40])
    assert found.within_rounding <= 0.01 * found.compared


# ---- networks that others made


def shared(name: str) -> Path:
    path = DATA / name
    if not path.is_file():
        pytest.skip(f"{path} is not here")
    return path


def test_the_jet_tagger_on_a_thousand_jets() -> None:
    network = network_from_file(shared("jettagging_q6.onnx"), FixedPoint.parse("fixed<16,6>"))
    reading = network.reading("jets")
    x = np.load(shared("jettagging_vectors.npz"))["x_raw"]
    found = compare_frames(reading, network, x)
    assert found.frames == 1000 and found.codes["output"] == 5000 and not reading.slack
    assert found.within_rounding == 0 and found.logit_error == 0.0
    kinds = [type(node) for node in reading.model.nodes]
    assert kinds.count(Dense) == 4 and kinds.count(Cast) == 3 and Table not in kinds
    assert "Softmax is left out" in reading.model.notes[0]


def test_the_mnist_network_of_two_bits() -> None:
    network = network_from_file(shared("tfc_2w2a.onnx"), FixedPoint.parse("ufixed<8,0>"))
    reading = network.reading("tfc")
    rng = np.random.default_rng(0)
    strokes = np.zeros((300, 28, 28, 1))
    for frame in strokes:
        for _ in range(4):
            row, column = rng.integers(3, 25, 2)
            down, right = rng.integers(-1, 2, 2)
            for step in range(12):
                y, x = np.clip([row + down * step, column + right * step], 0, 26)
                frame[y : y + 2, x : x + 2] = rng.integers(128, 256) / 256
    found = compare_frames(reading, network, strokes)
    assert found.codes == {"39": 235200, "51": 19200, "63": 19200, "75": 19200, "output": 3000}
    assert found.within_rounding == 0 and not reading.slack and found.logit_error < 1e-5
    tables = [node for node in reading.model.nodes if isinstance(node, Table)]
    assert [len(node.breaks) for node in tables] == [1, 64, 64, 64] and all(
        t.breaks.shape[1] == 2 for t in tables
    )
    assert len(np.unique(run_model(reading.model, strokes).argmax(axis=1))) > 3


def test_sums_beyond_24_bits_are_judged_within_their_rounding(empty_net: Make, tmp_path: Path) -> None:
    """Powers of two everywhere, and sums that float32 cannot hold: casts, and the rounding of the sums excused."""
    net = empty_net(1, 60)
    at = net.quant("frames", "in", 2.0**-8, 16, signed=1)
    at = net.node("MatMul", [at, net.weights((60, 8), "w", 2.0**-6, 12)], "sum")
    net.output = net.quant(at, "act", 2.0**-2, 16, signed=1)
    network = network_from_file(net.save(tmp_path / "n.onnx"), None)
    reading = network.reading("net")
    assert isinstance(reading.model.nodes[-1], Cast) and set(reading.slack) == {"act1"}
    assert "sums of 3" in reading.model.notes[0]
    frames = np.random.default_rng(2).normal(0, 40, (800, 60))
    found = compare_frames(reading, network, frames)
    assert 0 < found.within_rounding < 0.01 * found.compared
    node = next(node for node in reading.model.nodes if isinstance(node, Dense))
    bias = node.bias + (1 << 14)  # four steps of the quantizer, thrice what the sums may be off
    with pytest.raises(VerificationError, match="act: "):
        compare_frames(changed(reading, node.name, bias=bias), network, frames)


@st.composite
def convolutional(draw: st.DrawFn) -> dict[str, Any]:
    channels = draw(st.sampled_from([1, 2, 4]))
    pick = st.sampled_from([0.25, 0.5, 0.0731, 0.2937])
    return {
        "channels": channels,
        "size": (draw(st.integers(5, 9)), draw(st.integers(5, 9))),
        "groups": draw(st.sampled_from([1, channels])),
        "outputs": channels * draw(st.integers(1, 2)),
        "kernel": [draw(st.integers(1, 3)), draw(st.integers(1, 3))],
        "strides": [draw(st.integers(1, 2)), draw(st.integers(1, 2))],
        "dilations": [draw(st.integers(1, 2)), draw(st.integers(1, 2))],
        "pads": [draw(st.integers(0, 2)) for _ in range(4)],
        "scales": [draw(pick) for _ in range(4)],
        "norm": draw(st.booleans()),
        "pool": draw(st.sampled_from(["", "MaxPool", "AveragePool"])),
        "residual": draw(st.sampled_from(["", "Add", "Concat"])),
        "end": draw(st.sampled_from(["flatten", "mean", "frames"])),
        "seed": draw(st.integers(0, 99)),
    }


def build_cnn(make: Make, said: dict[str, Any]) -> Any:
    rng = np.random.default_rng(said["seed"])
    net = make(1, said["channels"], *said["size"])
    entry, weights, acts, last = said["scales"]
    at = net.quant("frames", "in", entry / 4, 5)
    shape = (said["outputs"], said["channels"] // said["groups"], *said["kernel"])
    choice = {key: said[key] for key in ("strides", "dilations", "pads")} | {"group": said["groups"]}
    at = net.node("Conv", [at, net.weights(shape, "w", weights)], "conv", **choice)
    if said["norm"]:
        names = [("g", 1.3, 0.4), ("b", 0.0, 0.3), ("m", 0.0, 0.5)]
        given = [net.const(n, rng.normal(middle, spread, said["outputs"])) for n, middle, spread in names]
        given.append(net.const("v", rng.uniform(0.5, 2, said["outputs"])))
        at = net.node("Relu", [net.node("BatchNormalization", [at, *given], "norm")], "relu")
    first = at = net.quant(at, "a", acts, 4, signed=1)
    if said["residual"]:
        at = net.node(
            "Conv", [at, net.weights((said["outputs"], said["outputs"], 1, 1), "r", weights)], "one"
        )
        at = net.quant(at, "c", acts, 4, signed=1)
        at = net.node(
            said["residual"], [first, at], "join", **({"axis": 1} if said["residual"] == "Concat" else {})
        )
        at = net.quant(at, "d", acts, 5, signed=1)
    if said["pool"]:
        at = net.quant(
            net.node(said["pool"], [at], "pool", kernel_shape=[1, 2], strides=[1, 2]), "e", acts, 4, signed=1
        )
    if said["end"] == "frames":
        net.output = at
        return net
    at = net.node(
        "Flatten", [net.node("GlobalAveragePool", [at], "mean") if said["end"] == "mean" else at], "flat"
    )
    net.output = net.quant(at, "f", last, 6, signed=1)
    return net


@pytest.mark.slow
@given(convolutional())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_convolutional_networks_at_random(empty_net: Make, tmp_path: Path, said: dict[str, Any]) -> None:
    reach = [(k - 1) * d + 1 for k, d in zip(said["kernel"], said["dilations"], strict=True)]
    sizes = [said["size"][a] + said["pads"][a] + said["pads"][a + 2] for a in (0, 1)]
    rows, columns = ((sizes[a] - reach[a]) // said["strides"][a] + 1 for a in (0, 1))
    assume(rows >= 1 and columns >= 2)
    network = network_from_file(build_cnn(empty_net, said).save(tmp_path / "n.onnx"), None)
    reading = network.reading("net")
    found = compare_frames(reading, network, probe_frames(reading.model)[:12])
    # Branches that share a scale meet ties wherever the weights' scale is a power of two.
    assert found.within_rounding <= 0.1 * found.compared
