"""Residuals and maximum pooling through FINN+: its streamlining helped past forks, its HLS layers in our RTL."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import finn_branches
import finn_networks
import numpy as np
import numpy.typing as npt
import pytest
import torch
from finn_room import PART, generate, needs_finn
from rtl_lint import lint

from dwell.hls.finn.convert import FinnOptions, convert
from dwell.hls.finn.layers.cell import ADD, FORK, MAX, Kind, print_cell
from dwell.hls.finn.sizing import NEVER, Frame, measure_with, simulator
from dwell.hls.finn.top import Core
from dwell.hls.frontends.network import network_from_file
from dwell.hls.rtl.design.write import library_files

ADDED = {"LANES": 2, "A_BITS": 4, "A_SIGNED": 1, "B_BITS": 5, "B_SIGNED": 0, "OUT_BITS": 7}
LARGEST = {"LANES": 3, "BITS": 4, "SIGNED": 1, "BEATS": 4}


@pytest.mark.rtl
@pytest.mark.parametrize(
    ("kind", "parameters", "inputs", "outputs"),
    [
        (FORK, {"BITS": 12, "WAYS": 3}, [12], [12, 12, 12]),
        (ADD, ADDED, [8, 10], [14]),
        (MAX, LARGEST, [12], [12]),
        (MAX, LARGEST | {"BEATS": 1, "SIGNED": 0}, [12], [12]),
    ],
)
def test_cells_are_clean(
    kind: Kind, parameters: dict[str, int], inputs: list[int], outputs: list[int], tmp_path: Path
) -> None:
    cell = tmp_path / "layer.v"
    cell.write_text(print_cell("layer", kind, parameters, inputs, outputs))
    lint([cell, *kind.files], "layer")


def _played(files: dict[str, str], kinds: tuple[Kind, ...], data: npt.NDArray[np.uint8], place: Path, out: int,
            expected: int) -> npt.NDArray[np.uint8]:  # fmt: skip
    sources = [file for kind in kinds for file in kind.files]
    for name, text in files.items():
        sources.append(place / name)
        sources[-1].write_text(text)
    marks = np.zeros(len(data), dtype=np.uint8)
    played = simulator().play("harness", tuple(sources), data, marks, out, expected)
    assert played.fault == ""
    return played.data


_HARNESS = """module harness (
    input wire aclk, input wire aresetn,
    input wire [{in_bits}:0] s_axis_tdata, input wire s_axis_tvalid, output wire s_axis_tready,
    input wire s_axis_tlast, input wire s_axis_tuser,
    output wire [15:0] m_axis_tdata, output wire m_axis_tvalid, input wire m_axis_tready,
    output wire m_axis_tlast, output wire m_axis_tuser
);
    assign m_axis_tlast = 1'b0, m_axis_tuser = 1'b0;
    {cells}
endmodule
"""


@pytest.mark.rtl
def test_a_fork_and_an_addition(tmp_path: Path) -> None:
    """Beats forked, each way into the addition: lane by lane twice the value, with its sign."""
    cells = """wire [7:0] a, b; wire a_valid, a_ready, b_valid, b_ready;
    split u_fork (.ap_clk(aclk), .ap_rst_n(aresetn),
        .in0_V_TVALID(s_axis_tvalid), .in0_V_TREADY(s_axis_tready), .in0_V_TDATA(s_axis_tdata),
        .out0_V_TVALID(a_valid), .out0_V_TREADY(a_ready), .out0_V_TDATA(a),
        .out1_V_TVALID(b_valid), .out1_V_TREADY(b_ready), .out1_V_TDATA(b));
    sum u_add (.ap_clk(aclk), .ap_rst_n(aresetn),
        .in0_V_TVALID(a_valid), .in0_V_TREADY(a_ready), .in0_V_TDATA(a),
        .in1_V_TVALID(b_valid), .in1_V_TREADY(b_ready), .in1_V_TDATA(b),
        .out0_V_TVALID(m_axis_tvalid), .out0_V_TREADY(m_axis_tready), .out0_V_TDATA(m_axis_tdata));"""
    types = {"LANES": 2, "A_BITS": 4, "A_SIGNED": 1, "B_BITS": 4, "B_SIGNED": 0, "OUT_BITS": 6}
    files = {
        "harness.v": _HARNESS.format(in_bits=7, cells=cells),
        "split.v": print_cell("split", FORK, {"BITS": 8, "WAYS": 2}, [8], [8, 8]),
        "sum.v": print_cell("sum", ADD, types, [8, 8], [12]),
    }
    data = np.arange(256, dtype=np.uint8).reshape(-1, 1)
    got = _played(files, (FORK, ADD), data, tmp_path, 2, len(data)).view("<u2")[:, 0].astype(int)
    for lane in range(2):
        code = (data[:, 0].astype(int) >> (4 * lane)) & 15
        signed = np.where(code > 7, code - 16, code)
        assert (((got >> (6 * lane)) & 63) == ((signed + code) & 63)).all()


@pytest.mark.rtl
@pytest.mark.parametrize("signed", [0, 1])
def test_the_largest_of_each_window(signed: int, tmp_path: Path) -> None:
    cells = """pool u_pool (.ap_clk(aclk), .ap_rst_n(aresetn),
        .in0_V_TVALID(s_axis_tvalid), .in0_V_TREADY(s_axis_tready), .in0_V_TDATA(s_axis_tdata),
        .out0_V_TVALID(m_axis_tvalid), .out0_V_TREADY(m_axis_tready), .out0_V_TDATA(m_axis_tdata));"""
    files = {
        "harness.v": _HARNESS.format(in_bits=15, cells=cells),
        "pool.v": print_cell("pool", MAX, LARGEST | {"SIGNED": signed}, [12], [12]),
    }
    codes = np.random.default_rng(0).integers(0, 16, (200, 4, 3))
    words = (codes << np.array([0, 4, 8])).sum(axis=-1).astype("<u2").reshape(-1)
    got = _played(files, (MAX,), words.view(np.uint8).reshape(-1, 2), tmp_path, 2, 200).view("<u2")[:, 0]
    values = np.where((codes > 7) & (signed == 1), codes - 16, codes).max(axis=1) & 15
    assert (got == (values << np.array([0, 4, 8])).sum(axis=-1)).all()


@needs_finn
@pytest.mark.slow
@pytest.mark.parametrize(
    ("network", "layers"),
    [
        (finn_branches.Projected, {"DwellFork_rtl": 1, "DwellAdd_rtl": 1, "MVAU_rtl": 5}),
        (finn_branches.Eltwise, {"DwellFork_rtl": 1, "DwellAdd_rtl": 1, "MVAU_rtl": 3}),
        (finn_branches.FromTheInput, {"DwellFork_rtl": 1, "DwellAdd_rtl": 1, "MVAU_rtl": 2}),
        (finn_branches.Dense, {"DwellFork_rtl": 1, "DwellAdd_rtl": 1, "MVAU_rtl": 3}),
        (finn_branches.overlapping, {"DwellMaxPool_rtl": 2, "MVAU_rtl": 3}),
    ],
)
def test_execution_in_python_is_the_network(
    network: Callable[[], torch.nn.Module], layers: dict[str, int], tmp_path: Path
) -> None:
    path = finn_networks.export(network(), tmp_path / "net.onnx")
    made = generate(path, tmp_path / "out")
    assert made["execution"]["largest_difference"] <= 1e-5
    kinds = Counter(layer["kind"] for layer in made["layers"])
    assert {kind: kinds[kind] for kind in layers} == layers


@needs_finn
@pytest.mark.rtl
@pytest.mark.slow
@pytest.mark.parametrize(
    "network", [finn_branches.Residual, finn_branches.FromTheInput, finn_networks.pooled]
)
def test_it_becomes_a_design(network: Callable[[], torch.nn.Module], tmp_path: Path) -> None:
    """Converted, FIFOs sized (a join whose FIFOs are too shallow stands still), equal to the golden model."""
    path = finn_networks.export(network(), tmp_path / "net.onnx")
    model = network_from_file(path, None).reading("net").model
    (tmp_path / "work").mkdir()
    options = FinnOptions(PART, "pynq-z2", target_fps=200_000)
    design = convert(path, model, options, tmp_path / "design", tmp_path / "work")
    # FINN's estimate is of each layer alone: at a join, and round the padding of its branch, clocks come on top.
    assert design.frame_cycles <= 1.1 * max(layer["cycles_estimate"] for layer in design.layers)


@needs_finn
@pytest.mark.rtl
@pytest.mark.slow
def test_a_skip_connection_that_is_too_shallow_stands_still(tmp_path: Path) -> None:
    """The convolution waits for its lines, the fork for the way round it: the simulation says so."""
    path = finn_networks.export(finn_branches.Residual(), tmp_path / "net.onnx")
    model = network_from_file(path, None).reading("net").model
    work = tmp_path / "work"
    work.mkdir()
    design = convert(path, model, FinnOptions(PART, "pynq-z2", target_fps=200_000), tmp_path / "design", work)
    found = {layer["name"]: layer["fifo_depth"] for layer in design.layers}
    assert found["DwellFork_rtl_0"] > 16
    core = Core.from_json(json.loads((work / "stitched.json").read_text()))
    checks = [file for file in library_files() if file.stem == "dwell_check"]
    frame = Frame(in_beats=100, in_bytes=1, out_beats=27, out_bytes=2)
    measure = measure_with((work / "sizing" / "flat.v", *checks), "finn_core", core, frame)
    around = {"DwellFork_rtl_0", "Thresholding_rtl_1"}
    deep = {str(link["name"]): 64 for link in core.queued}
    assert measure(deep) < NEVER
    assert measure({**deep, **{str(q["name"]): 1 for q in core.queued if q["layers"][0] in around}}) == NEVER
