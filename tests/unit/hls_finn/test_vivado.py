"""FINN's own stitching, by a stand-in for Vivado that reads FINN's Tcl and checks that what it names exists."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import finn_networks
import pytest
from finn_room import PART, generate, needs_finn

from dwell.errors import ConfigError, ToolFailedError, ToolNotFoundError
from dwell.hls.finn.convert import FinnOptions, convert
from dwell.hls.finn.top import Core
from dwell.hls.finn.vivado_core import VIVADO, by_vivado, print_wrapped, vivado
from dwell.hls.frontends.network import network_from_file
from dwell.progress import reporter

pytest.importorskip("tkinter")  # the Tcl interpreter of the stand-in

FAKE_TOOLS = Path(__file__).parents[2] / "fake_tools"


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bin").mkdir()
    shim = tmp_path / "bin" / "vivado"
    shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{FAKE_TOOLS / "vivado"}" "$@"\n')
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", f"{shim.parent}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.fast
def test_without_vivado_nothing_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DWELL_VIVADO", raising=False)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ToolNotFoundError, match="vivado is not installed") as caught:
        vivado(reload=False)
    assert "leave out --stitch vivado" in caught.value.hint
    with pytest.raises(ConfigError, match="no writable weights"):
        vivado(reload=True)


@pytest.mark.fast
def test_the_core_is_the_wrapper_of_finn() -> None:
    links = ({"name": "in", "bits": 8, "layers": ["a"]}, {"name": "out", "bits": 16, "layers": ["a"]})
    text = print_wrapped(Core((), links, "in", "out"), "layers")
    assert "finn_design_wrapper" in text and "[7:0] s_data" in text and "[15:0] m_data" in text


_CELL = "module cell_a (\n    input wire ap_clk,\n    input wire in0_V_TVALID\n);\nendmodule\n"


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("get_bd_pins a/ap_clk", ""),
        ("get_bd_pins a/ap_clock", "no pin a/ap_clock"),
        ("add_files -norecurse missing.v", "no file missing.v"),
        ("create_bd_cell -type module -reference cell_b b", "no module cell_b"),
        ("get_bd_ports ap_clk", "no port ap_clk"),
        ("validate_bd_design", "a/in0_V is not connected"),
    ],
)
def test_the_stand_in_wants_what_is_named_to_exist(line: str, complaint: str, tmp_path: Path) -> None:
    (tmp_path / "cell.v").write_text(_CELL)
    script = f"add_files -norecurse cell.v\ncreate_bd_cell -type module -reference cell_a a\n{line}\n"
    (tmp_path / "make.tcl").write_text(script)
    command = [sys.executable, str(FAKE_TOOLS / "vivado"), "-mode", "batch", "-source", "make.tcl"]
    done = subprocess.run(command, cwd=tmp_path, check=False, timeout=60)
    log = (tmp_path / "vivado.log").read_text()
    assert (done.returncode == 0) == (not complaint) and complaint in log


@pytest.fixture(scope="module")
def stitched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("vivado")
    generate(finn_networks.export(finn_networks.pooled(), place / "net.onnx"), place / "work")
    return place / "work"


@needs_finn
@pytest.mark.slow
@pytest.mark.parametrize("fault", ["exit", "no_wrapper"])
def test_a_run_that_fails_says_so(
    fault: str, stitched: Path, tools: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_TOOL_FAULT", fault)
    core = Core.from_json(json.loads((stitched / "stitched.json").read_text()))
    depths = {str(link["name"]): 1 for link in core.queued}
    asked = {"part": PART, "clock_mhz": 100.0}
    with reporter(quiet=True) as report, pytest.raises(ToolFailedError) as caught:
        by_vivado(core, depths, asked, vivado(reload=False), stitched, report)
    assert caught.value.exit_code == 5 and caught.value.log_path.is_file()
    assert ("license error" in caught.value.tail) == (fault == "exit")
    assert "no wrapper HDL" in caught.value.tail


@needs_finn
@pytest.mark.rtl
@pytest.mark.slow
def test_it_becomes_a_design(tools: None, tmp_path: Path) -> None:
    path = finn_networks.export(finn_networks.pooled(), tmp_path / "net.onnx")
    model = network_from_file(path, None).reading("net").model
    (tmp_path / "work").mkdir()
    options = FinnOptions(PART, "pynq-z2", target_fps=200_000, stitch=VIVADO)
    design = convert(path, model, options, tmp_path / "design", tmp_path / "work")
    assert any("stand-in for Vivado alone" in note for note in design.notes)
    assert design.frame_cycles <= 1.05 * max(layer["cycles_estimate"] for layer in design.layers)
