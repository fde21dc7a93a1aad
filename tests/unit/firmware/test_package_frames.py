"""Overlays of designs of fixed frames: a vector in a beat, a vector in several, a map."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import xml.etree.ElementTree as Xml
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from board_overlays import map_design, overlay_of, vector_design
from rtl_lint import lint

from dwell.hls.design import Design
from dwell.hls.qmodel import run_codes
from dwell.hls.rtl import RtlOptions


@dataclass(frozen=True)
class Case:
    """A design and what its overlay has to say."""

    make: Callable[[Path], Design]
    source_bits: int
    decision_bits: int
    beats: tuple[int, int]  # of a frame: in, out
    result_beats: int
    positions: tuple[int, int]


def folded_beats(folder: Path) -> Design:
    """A decision of 60 classes, in two beats."""
    return vector_design(folder, classes=60, options=RtlOptions(style="folded", reuse=6))


def reloadable(folder: Path) -> Design:
    """A decision of five classes; its weights can be written."""
    return vector_design(folder, options=RtlOptions(style="folded", reuse=7, reload=True))


CASES = {
    "vector": Case(vector_design, 32, 64, (1, 1), 1, (1, 1)),
    "beats": Case(folded_beats, 32, 512, (1, 2), 2, (1, 1)),
    "weights": Case(reloadable, 32, 64, (1, 1), 1, (1, 1)),
    "map": Case(map_design, 16, 64, (108, 20), 1, (4, 5)),
}


@pytest.fixture(scope="module", params=CASES)
def packed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """(case, design, overlay)"""
    folder, case = tmp_path_factory.mktemp(request.param), CASES[request.param]
    design = case.make(folder / "design")
    return case, design, overlay_of(design, folder / "overlay")


def test_the_description(packed: Any) -> None:
    case, design, overlay = packed
    said = json.loads((overlay / "overlay.json").read_text())
    assert said["format"] == "dwell-overlay-2"
    assert said["kind"] == "frames"
    assert said["weights"] == ({**design.weights, "region": "weights"} if design.weights else None)
    assert not {"pixel", "score", "decision_bits", "window", "max_line"} & set(said)
    for side, port in (("input", design.input), ("output", design.output)):
        tensor = said[side]
        assert (tensor["shape"], tensor["elements"]) == (list(port.shape), port.elements)
        assert (tensor["width"], tensor["frac"]) == (port.type.width, port.type.frac)
        assert (tensor["signed"], tensor["tdata_bits"]) == (port.type.signed, port.tdata_bits)
        assert (tensor["scale"], tensor["offset"]) == (port.scale, port.offset)
    assert (said["input"]["beats"], said["output"]["beats"]) == case.beats
    assert said["output"]["result_beats"] == case.result_beats
    assert (said["input"]["dma_bits"], said["output"]["dma_bits"]) == (case.source_bits, case.decision_bits)
    assert case.decision_bits > design.output.tdata_bits


def test_the_dma_is_as_wide_as_the_top(packed: Any) -> None:
    case, design, overlay = packed
    root = Xml.parse(next(overlay.glob("*.hwh"))).getroot()
    dma = next(m for m in root.iter("MODULE") if m.get("INSTANCE") == "frames_dma")
    values = {p.get("NAME"): p.get("VALUE") for p in dma.iter("PARAMETER")}
    assert values["c_m_axis_mm2s_tdata_width"] == str(case.source_bits)
    assert values["c_s_axis_s2mm_tdata_width"] == str(case.decision_bits)
    assert int(values["c_m_axi_s2mm_data_width"] or 0) >= case.decision_bits
    assert int(values["c_m_axi_mm2s_data_width"] or 0) >= case.source_bits
    top = (overlay / "rtl" / f"{design.name}_overlay.v").read_text()
    assert f"[{case.source_bits - 1}:0] s_axis_tdata," in top
    assert f"[{case.decision_bits - 1}:0] m_axis_tdata," in top
    lines, pixels = case.positions
    for name, value in (("FRAMES", 1), ("OUTPUT_LINES", lines), ("OUTPUT_PIXELS", pixels)):
        assert f".{name}({value})" in top
    tcl = (overlay / "vivado" / "build.tcl").read_text()
    assert re.search(rf"c_m_axis_mm2s_tdata_width {case.source_bits}\b", tcl)


def test_weights_have_a_block_and_a_region(packed: Any) -> None:
    _, design, overlay = packed
    root = Xml.parse(next(overlay.glob("*.hwh"))).getroot()
    blocks = {m.get("INSTANCE"): m.get("VLNV") for m in root.iter("MODULE")}
    ranges = {r.get("INSTANCE"): r for r in root.iter("MEMRANGE")}
    top = (overlay / "rtl" / f"{design.name}_overlay.v").read_text()
    tcl = (overlay / "vivado" / "build.tcl").read_text()
    for left, right in ("{}", "[]"):
        assert tcl.count(left) == tcl.count(right)
    if not design.weights:
        assert "weights" not in blocks and "weights" not in ranges
        assert "s_axil_weights" not in top and "dwell_weights weights" not in tcl
        return
    assert blocks["weights"] == "dwell:firmware:dwell_weights:1.0"
    region = ranges["weights"]
    assert int(region.get("BASEVALUE") or "", 16) == 0x44000000
    size = int(region.get("HIGHVALUE") or "", 16) - 0x44000000 + 1
    bits = design.weights["address_bits"]
    assert size == max(0x1000, 1 << bits)
    assert f"[{bits - 1}:0] s_axil_weights_awaddr" in top
    assert ".s_axil_wdata(s_axil_weights_wdata)" in top
    assert "-reference dwell_weights weights" in tcl
    assert "frames_dma/S_AXI_LITE events_dma/S_AXI_LITE trigger/s_axil weights/s_axil" in tcl
    # What the block has on its plain side is what the top takes.
    block = (overlay / "rtl" / "dwell_weights.v").read_text()
    names = set(re.findall(r"\bs_axil_weights_(\w+)\b", top.partition(");")[0]))
    assert names == set(re.findall(r"wire .*\bweights_(\w+)", block.partition(");")[0]))


def test_self_test_vectors_are_golden(packed: Any) -> None:
    _, design, overlay = packed
    vectors = np.load(overlay / "self_test.npz")
    assert vectors["codes"].shape[1:] == design.input.shape
    golden = run_codes(design.qmodel(), vectors["codes"].astype(np.int64))
    assert np.array_equal(vectors["scores"], golden)
    assert len(np.unique(golden)) > 3


@pytest.mark.rtl
def test_verilator_has_nothing_to_say(packed: Any) -> None:
    _, design, overlay = packed
    lint(sorted((overlay / "rtl").glob("*.v")), f"{design.name}_overlay")


@pytest.mark.rtl
def test_icarus_and_yosys_take_it(packed: Any, tmp_path: Path) -> None:
    _, design, overlay = packed
    if shutil.which("iverilog") is None:
        pytest.skip("iverilog is not installed")
    ys = pytest.importorskip("pyosys.libyosys", reason="pyosys is not installed")
    files = [str(p) for p in sorted((overlay / "rtl").glob("*.v"))]
    command = ["iverilog", "-g2005", "-s", f"{design.name}_overlay", "-o", str(tmp_path / "x"), *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    module = ys.Design()
    for path in files:
        ys.run_pass(f"read_verilog {path}", module)
    ys.run_pass(f"hierarchy -check -top {design.name}_overlay", module)
    ys.run_pass("proc", module)
    ys.run_pass("select -assert-none t:$dlatch", module)
    ys.run_pass("check -assert", module)
