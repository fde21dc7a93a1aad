"""The library's assertions in simulation: kept by flattening, heard by the rungs; the fold that loses data."""

from __future__ import annotations

import json
from pathlib import Path

import finn_dense
import finn_networks
import numpy as np
import pytest
from finn_room import PART, needs_finn

from dwell.errors import VerificationError
from dwell.hls.design import Design
from dwell.hls.finn.checks import says
from dwell.hls.finn.convert import FinnOptions, convert
from dwell.hls.finn.flatten import flatten
from dwell.hls.frontends.network import network_from_file
from dwell.hls.rtl.design.write import library_files
from dwell.sim.beats import Beats
from dwell.sim.bench.plan import bench_frames
from dwell.sim.bench_rung import climb_bench
from dwell.sim.core_rung import climb_core
from dwell.sim.dut import load_dut
from dwell.sim.verilated import RunOptions, build_core, run_core

OVERFLOW = r"MVAU_rtl_0: Overflowing output queue\. \(mvu_vvu_axi\.sv:\d+\)"

LIBRARY = """
module part(input logic clk, input logic rst, input logic [7:0] d, output logic [7:0] q);
    always_ff @(posedge clk) begin
        if (!rst) begin
            assert (d != 7) else begin
                $error("%m: Seven is %0d.", d);
            end
        end
        q <= d;
    end
endmodule
"""
TOP = """
module layers(input wire ap_clk, input wire ap_rst_n, input wire [7:0] d, output wire [7:0] q);
    part layer_a_layer_a (.clk(ap_clk), .rst(!ap_rst_n), .d(d), .q(q));
endmodule
"""
OUTSIDE = """
module outside (
    input wire aclk, input wire aresetn,
    input wire [7:0] s_axis_tdata, input wire s_axis_tvalid, output wire s_axis_tready,
    input wire s_axis_tlast, input wire s_axis_tuser,
    output reg [7:0] m_axis_tdata, output reg m_axis_tvalid, input wire m_axis_tready,
    output reg m_axis_tlast, output reg m_axis_tuser
);
    wire [7:0] unused;
    assign s_axis_tready = aresetn & (~m_axis_tvalid | m_axis_tready);
    layers u_layers (
        .ap_clk(aclk), .ap_rst_n(aresetn & s_axis_tvalid & s_axis_tready), .d(s_axis_tdata), .q(unused)
    );
    always @(posedge aclk) begin
        if (!aresetn) m_axis_tvalid <= 1'b0;
        else if (s_axis_tready) m_axis_tvalid <= s_axis_tvalid;
        if (s_axis_tready) {m_axis_tdata, m_axis_tlast, m_axis_tuser} <= {s_axis_tdata, s_axis_tlast, s_axis_tuser};
    end
endmodule
"""


@pytest.fixture(scope="module")
def flat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("flat")
    (folder / "part.sv").write_text(LIBRARY)
    (folder / "layers.v").write_text(TOP)
    flatten([folder / "part.sv", folder / "layers.v"], "layers", folder / "flat.v")
    return folder / "flat.v"


def test_flattening_keeps_assertions(flat: Path) -> None:
    text = flat.read_text()
    assert text.count("dwell_check #(") == 1
    assert '.NAME("layer_a: Seven is #. (part.sv:5)")' in text
    assert "assert" not in text.replace("assertion", "")


@pytest.mark.fast
def test_a_place_without_words(tmp_path: Path) -> None:
    file = tmp_path / "a.sv"
    file.write_text("assert (x);\n")
    assert says(f"{file}:1.1-1.10") == "assertion failed (a.sv:1)"


@pytest.mark.rtl
def test_a_broken_assertion_is_told_once(flat: Path) -> None:
    outside = flat.parent / "outside.v"
    outside.write_text(OUTSIDE)
    check = [p for p in library_files() if p.stem == "dwell_check"]
    driver = build_core("outside", (outside, flat, *check), level="-O0")
    for values, told in ((np.arange(6), ()), (np.array([1, 7, 7, 2]), ("layer_a: Seven is #. (part.sv:5)",))):
        data = values.astype(np.uint8)[:, None]
        run = run_core(driver, Beats(data, np.zeros(len(data), np.uint8)), RunOptions(1, len(data), seed=1))
        assert (run.assertions, run.fault) == (told, "")


def eight_inputs(tmp_path: Path, *, guard: bool) -> Design:
    """A layer of 8 inputs, folded so that all of them go in at once."""
    network = finn_dense.export(finn_dense.dense((8, 16)), tmp_path / "net.onnx")
    folding = tmp_path / "folding.json"
    folding.write_text(json.dumps({"Defaults": {}, "MVAU_rtl_0": {"PE": 1, "SIMD": 8}}))
    work = tmp_path / "work"
    work.mkdir()
    options = FinnOptions(PART, "pynq-z2", folding=folding, guard=guard)
    model = network_from_file(network, None).reading("net").model
    return convert(network, model, options, tmp_path / "design", work)


@pytest.fixture(scope="module")
def unguarded(tmp_path_factory: pytest.TempPathFactory) -> Design:
    return eight_inputs(tmp_path_factory.mktemp("unguarded"), guard=False)


@needs_finn
@pytest.mark.rtl
@pytest.mark.slow
def test_the_fold_that_loses_data_is_noticed_by_the_core(unguarded: Design) -> None:
    dut = load_dut(unguarded.path)
    frames = bench_frames(dut, 1, 1)
    climb_core(dut, frames, seed=1, stalls=False)
    with pytest.raises(VerificationError, match=OVERFLOW):
        climb_core(dut, frames, seed=1, stalls=True)


@needs_finn
@pytest.mark.rtl
@pytest.mark.slow
def test_the_fold_that_loses_data_is_noticed_by_the_bench(unguarded: Design, tmp_path: Path) -> None:
    dut = load_dut(unguarded.path)
    frames = bench_frames(dut, 1, 1)
    with pytest.raises(VerificationError, match=OVERFLOW) as caught:
        climb_bench(dut, frames, seed=1, stalls=True, simulators=["verilator"], out=tmp_path)
    assert "decisions differ" in str(caught.value)


@needs_finn
@pytest.mark.rtl
@pytest.mark.slow
def test_a_first_convolution_loses_data_at_full_speed(tmp_path: Path) -> None:
    """FINN's own folding for it: the converter's run does not let it pass."""
    network = finn_networks.export(finn_networks.strided_cnn(), tmp_path / "cnn.onnx")
    model = network_from_file(network, None).reading("cnn").model
    work = tmp_path / "work"
    work.mkdir()
    options = FinnOptions(PART, "pynq-z2", target_fps=200_000, guard=False)
    with pytest.raises(VerificationError, match=OVERFLOW):
        convert(network, model, options, tmp_path / "design", work)


@needs_finn
@pytest.mark.rtl
@pytest.mark.slow
def test_guarded_nothing_is_lost(tmp_path: Path) -> None:
    design = eight_inputs(tmp_path, guard=True)
    assert any("MVAU_rtl_0: SIMD 8 made 4" in note for note in design.notes)
    dut = load_dut(design.path)
    result = climb_bench(
        dut, bench_frames(dut, 1, 1), seed=1, stalls=True, simulators=["verilator"], out=tmp_path / "out"
    )
    assert result.detail["phases"]["verilator"]["long_stalls"] > 0  # type: ignore[index]
