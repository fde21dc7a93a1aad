"""The back end `Dwell` of hls4ml, as an hls4ml user meets it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from dwell.errors import ConfigError, DesignEditedError, VerificationError
from dwell.hls.design import Design
from dwell.hls.gate import climb
from dwell.hls.hls4ml import graph_design
from dwell.hls.hls4ml.graph_network import network_of
from dwell.hls.hls4ml.graph_options import graph_options
from dwell.hls.hls4ml.report import synthesis_report
from dwell.hls.qmodel import Conv2D, QModel

AS_A_USER_TYPES_IT = """
import keras, hls4ml
import numpy as np
from hgq.config import QuantizerConfigScope
from hgq.layers import QConv2D
from hgq.utils import trace_minmax
with QuantizerConfigScope(q_type='kif', place='datalane', overflow_mode='SAT', heterogeneous_axis=()):
    model = keras.Sequential([
        keras.layers.Input((8, 8, 1)),
        QConv2D(2, 3, activation='relu', name='a'),
        QConv2D(1, 3, name='b'),
    ])
x = np.random.default_rng(0).random((300, 8, 8, 1)).astype('float32')
trace_minmax(model, x, verbose=False)
hls_model = hls4ml.converters.convert_from_keras_model(
    model, backend='Dwell', io_type='io_stream', output_dir='out')
hls_model.compile()
y = hls_model.predict(x)
assert y.shape == (300, 16) and y.dtype == np.float32
assert np.array_equal(y.reshape(300, 4, 4, 1), model.predict(x, verbose=0))
assert np.array_equal(hls_model.predict(x[0]), y[0])
print('REPORT', __import__('json').dumps(hls_model.build()))
"""


def test_what_a_user_types_becomes_a_design_that_predicts_exactly(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", AS_A_USER_TYPES_IT], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    design = Design.load(tmp_path / "out")
    assert design.style == "stream" and design.board == "pynq-z2"
    rung = json.loads((tmp_path / "out" / "rungs" / "2.json").read_text())
    assert rung["ok"] and rung["compared"] >= 4000 and "Keras" in rung["tool"]
    report = json.loads(done.stdout.rpartition("REPORT ")[2])
    assert report == json.loads((tmp_path / "out" / "dwell_report.json").read_text())
    found = report["CSynthesisReport"]
    # every name that hls4ml's own reader of a Vitis report gives
    assert {
        "TargetClockPeriod", "EstimatedClockPeriod", "BestLatency", "WorstLatency", "IntervalMin", "IntervalMax",
        "LUT", "FF", "DSP", "BRAM_18K", "URAM", "AvailableLUT", "AvailableFF", "AvailableDSP",
        "AvailableBRAM_18K", "AvailableURAM",
    } <= set(found)  # fmt: skip
    assert found["Tool"].startswith("Yosys") and found["ClockEvidence"] == "estimated"
    assert 100 < int(found["LUT"]) < 5000 and found["AvailableLUT"] == "53200"
    assert int(found["IntervalMin"]) == 64 < int(found["BestLatency"])


SIDE = 12


@pytest.fixture(scope="module")
def network() -> Any:
    """Four small convolutions in HGQ2, random."""
    import keras
    from hgq.config import QuantizerConfigScope
    from hgq.layers import QConv2D
    from hgq.utils import trace_minmax

    keras.utils.set_random_seed(0)
    with QuantizerConfigScope(q_type="kif", place="datalane", overflow_mode="SAT", heterogeneous_axis=()):
        layers = [QConv2D(c, 3, activation="relu", name=f"conv{n}") for n, c in ((1, 2), (2, 3), (3, 2))]
        model = keras.Sequential([keras.layers.Input((SIDE, SIDE, 1)), *layers, QConv2D(1, 3, name="conv4")])
    x = np.random.default_rng(0).random((50, SIDE, SIDE, 1)).astype(np.float32)
    trace_minmax(model, x, verbose=False)
    return model


@pytest.fixture(scope="module")
def graph(network: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    import hls4ml

    made = hls4ml.converters.convert_from_keras_model(
        network, backend="Dwell", io_type="io_stream", output_dir=str(tmp_path_factory.mktemp("d") / "out")
    )
    made.compile()
    return made


def test_compiling_again_replaces_the_design(graph: Any) -> None:
    before = graph_design.design_of(graph).digest
    graph.compile()
    assert graph_design.design_of(graph).digest == before


def test_a_network_that_was_converted_wrongly_fails(graph: Any) -> None:
    model = graph_design.design_of(graph).qmodel()

    def change(node: Any) -> Any:
        if not isinstance(node, Conv2D) or node.weight.shape[-1] != 1:
            return node
        bias = node.bias.copy()
        bias[0] -= np.sign(bias[0]) or 1
        return replace(node, bias=bias)

    faulty = QModel("net", tuple(change(n) for n in model.nodes), model.tensors, model.input, model.output)
    source = network_of(graph)
    assert climb(model, source)["ok"]
    with pytest.raises(VerificationError) as caught:
        climb(faulty, source)
    assert caught.value.first_mismatch is not None


@pytest.mark.rtl
def test_predicting_by_the_verilog_proves_it_and_finds_an_edit(graph: Any, tmp_path: Path) -> None:
    x = np.random.default_rng(1).random((2, SIDE, SIDE, 1))
    golden = graph.predict(x)
    assert golden.dtype == np.float64
    assert np.array_equal(graph.predict(x, simulator="verilator"), golden)
    out = Path(graph.config.get_output_dir())
    kernel = next(p for p in sorted((out / "rtl").glob("*.v")) if "conv4" in p.name)
    good = kernel.read_text()
    kernel.write_text(f"{good}// another hand\n")
    try:
        with pytest.raises(DesignEditedError):
            graph.predict(x, simulator="verilator")
    finally:
        kernel.write_text(good)


def test_what_cannot_be_done_is_refused(graph: Any, network: Any, tmp_path: Path) -> None:
    import hls4ml

    with pytest.raises(ConfigError, match="no simulator 'ghdl'"):
        graph.predict(np.zeros((1, SIDE, SIDE, 1)), simulator="ghdl")
    with pytest.raises(ConfigError, match="is wanted"):
        graph.predict(np.zeros((1, SIDE - 1, SIDE, 1)))
    with pytest.raises(ConfigError, match="exports no IP"):
        graph.build(export=True)
    with pytest.raises(TypeError):
        graph.build(synthesis=True)
    made = hls4ml.converters.convert_from_keras_model(
        network, backend="Dwell", io_type="io_stream", output_dir=str(tmp_path)
    )
    with pytest.raises(ConfigError, match="no design yet"):
        made.predict(np.zeros((1, SIDE, SIDE, 1)))
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(ConfigError, match="something that is no design"):
        made.compile()
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]
    made.config.config["Part"] = "xcvu13p-flga2577-2-e"
    with pytest.raises(ConfigError, match="no board is known with the part") as caught:
        graph_design.board_of(made)
    assert "xc7z020clg400-1 (pynq-z2)" in caught.value.hint


@pytest.mark.parametrize(
    ("io_type", "model_config", "names", "style", "reuse"),
    [
        ("io_parallel", {"Strategy": "Latency", "ReuseFactor": 4}, {}, "unrolled", 1),
        ("io_parallel", {"Strategy": "Resource", "ReuseFactor": 4}, {}, "folded", [4, 4, 4, 4]),
        ("io_stream", {"Strategy": "Resource", "ReuseFactor": 2}, {}, "stream", [2, 2, 2, 2]),
        (
            "io_stream",
            {"Strategy": "Latency", "ReuseFactor": 1},
            {"conv2": {"Strategy": "Resource", "ReuseFactor": 8}},
            "stream",
            [1, 8, 1, 1],
        ),
    ],
)
def test_strategy_and_reuse_choose_the_style(
    graph: Any, io_type: str, model_config: dict[str, Any], names: dict[str, Any], style: str, reuse: Any
) -> None:
    from hls4ml.model.graph import HLSConfig

    hls = {"Model": {"Precision": "fixed<16,6>", **model_config}, "LayerName": names}
    config = HLSConfig({**graph.config.config, "IOType": io_type, "HLSConfig": hls})
    changed = SimpleNamespace(config=config, get_layers=graph.get_layers)
    model = graph_design.design_of(graph).qmodel()
    options = graph_options(changed, model, "pynq-z2")
    assert options.style == style and options.clock_mhz == 100.0
    convolutions = [n.name for n in model.nodes if isinstance(n, Conv2D)]
    wanted = reuse if isinstance(reuse, list) else [reuse] * 4
    assert [options.reuse_of(name) for name in convolutions] == wanted


def test_a_configuration_as_a_dict(network: Any, tmp_path: Path) -> None:
    import hls4ml

    config = hls4ml.converters.create_config(
        output_dir=str(tmp_path / "out"), backend="Dwell", io_type="io_stream", clock_period=8
    )
    config |= {
        "KerasModel": network,
        "HLSConfig": {"Model": {"Precision": "fixed<16,6>", "ReuseFactor": 1}},
    }
    made = hls4ml.converters.convert_from_config(config)
    made.compile()
    x = np.random.default_rng(2).random((3, SIDE, SIDE, 1)).astype(np.float32)
    assert np.array_equal(made.predict(x).reshape(3, 4, 4, 1), network.predict(x, verbose=0))
    assert Design.load(tmp_path / "out").clock_mhz == 125.0


def test_an_unknown_strategy_is_refused(graph: Any) -> None:
    from hls4ml.model.graph import HLSConfig

    hls = {"Model": {"Precision": "fixed<16,6>", "ReuseFactor": 1, "Strategy": "Unrolled"}}
    changed = SimpleNamespace(
        config=HLSConfig({**graph.config.config, "HLSConfig": hls}), get_layers=graph.get_layers
    )
    with pytest.raises(ConfigError, match="strategy 'unrolled' has no counterpart"):
        graph_options(changed, graph_design.design_of(graph).qmodel(), "pynq-z2")


def test_figures_of_the_report_follow_the_synthesis(graph: Any) -> None:
    design = graph_design.design_of(graph)
    have = {"lut": 1, "ff": 2, "dsp": 3, "bram36": 4}
    found = {**have, "bram36": 1.5, "fmax_mhz": 80.0, "evidence": "synthesized", "fmax_evidence": "estimated"}
    report = synthesis_report(design, {**found, "available": have, "tool": "Yosys"})
    assert report["EstimatedClockPeriod"] == "12.500" and report["TargetClockPeriod"] == "10.000"
    assert report["BRAM_18K"] == "3" and report["AvailableBRAM_18K"] == "8"
    assert int(report["BestLatency"]) == SIDE * SIDE - 1 + design.latency_cycles
    with pytest.raises(KeyError):
        synthesis_report(design, {**found, "available": have})
