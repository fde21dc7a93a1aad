"""Scripts for AMD's tools and the reading of their reports: run with stand-ins, NOT with the real tools.

The stand-ins (`tests/fake_tools`) evaluate the Tcl with a real interpreter and write what the tools would.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dwell.errors import ConfigError, ResourceError, ToolFailedError, ToolNotFoundError, VerificationError
from dwell.hls.commands_synth import synthesize
from dwell.hls.design import Design
from dwell.hls.hls4ml.project import FORMAT, PROJECT_JSON
from dwell.hls.qmodel import FixedPoint, QModel, model_digest, save_model
from dwell.hls.qmodel.build import Builder
from dwell.hls.rtl import RtlOptions, write_design

pytest.importorskip("tkinter")  # the Tcl interpreter of the stand-ins

FAKE_TOOLS = Path(__file__).parents[2] / "fake_tools"
Install = Callable[[str, str], Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Put a stand-in on the PATH under a name; gives the log of its calls."""

    def put(tool: str, name: str) -> Path:
        folder, log = tmp_path / "bin", tmp_path / "calls.log"
        folder.mkdir(exist_ok=True)
        (folder / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" "{FAKE_TOOLS / tool}" "$@"\n')
        (folder / name).chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
        monkeypatch.setenv("FAKE_TOOL_LOG", str(log))
        return log

    return put


def small_model() -> QModel:
    build = Builder()
    at = build.input("x", (8, 8, 1), FixedPoint(False, 8, 8))
    weight = np.arange(-4, 5).reshape(3, 3, 1, 1)
    at = build.conv2d("conv", at, weight, 3, np.array([5]), 11)
    return build.finish("net", at, [])


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """What `write_project` leaves, as far as the tool looks at it, with hls4ml's own Tcl."""
    import hls4ml.model

    folder = tmp_path / "project"
    (folder / "firmware" / "weights").mkdir(parents=True)
    (folder / "tb_data").mkdir()
    for name in ("firmware/net.cpp", "net_test.cpp"):
        (folder / name).write_text("// C++\n")
    templates = Path(hls4ml.model.__file__).parents[1] / "templates"
    source = next(templates.glob("vitis/build_prj.tcl"), templates / "vivado" / "build_prj.tcl")
    (folder / "build_prj.tcl").write_text(source.read_text())
    (folder / "project.tcl").write_text(
        'set project_name "net"\nset backend "vitis"\nset part "xc7z020clg400-1"\nset clock_period 10.0\n'
        'set clock_uncertainty 27%\nset version "1.0.0"\nset maximum_size 4096\n'
    )
    model = small_model()
    save_model(model, folder / "qmodel")
    body = {"format": FORMAT, "name": "net", "qmodel_digest": model_digest(model)}
    (folder / PROJECT_JSON).write_text(json.dumps(body))
    return folder


def vitis(project: Path, **choice: bool) -> dict[str, object]:
    return synthesize({"design": str(project), "tool": "vitis_hls", **choice})


@pytest.mark.parametrize(
    ("name", "begin"), [("vitis_hls", "-f build_prj.tcl"), ("vitis-run", "--mode hls --tcl build_prj.tcl")]
)
def test_vitis_synthesizes_simulates_and_exports(
    install: Install, project: Path, name: str, begin: str
) -> None:
    log = install("vitis_hls", name)
    found = vitis(project, cosim=True, export=True)
    assert (found["lut"], found["ff"], found["dsp"], found["bram36"]) == (9876, 6100, 4, 4.5)
    assert found["fmax_mhz"] == 137.0 and found["clock_mhz"] == 100.0 and found["meets_clock"]
    assert found["latency_cycles"] == [1040, 1040] and found["interval_cycles"] == [1024, 1024]
    assert found["evidence"] == "estimated" and found["tool"] == "Vitis HLS 2024.1"
    cosim = found["cosim"]
    assert isinstance(cosim, dict) and cosim["latency_cycles"] == [1040, 1043] and cosim["mismatches"] == 0
    assert cosim["compared"] >= 200
    assert Path(str(found["ip"])).suffix == ".zip"
    assert json.loads((project / "synthesis.json").read_text()) == found
    calls = log.read_text().splitlines()
    assert f"vitis_hls {begin}" in calls
    steps = [line.split()[0] for line in calls if line.split()[0].endswith("_design")]
    assert steps == ["csynth_design", "cosim_design", "export_design"]
    assert "set_part xc7z020clg400-1" in calls and "create_clock -period 10.0 -name default" in calls


def test_vitis_does_only_what_is_asked(install: Install, project: Path) -> None:
    log = install("vitis_hls", "vitis_hls")
    found = vitis(project)
    assert found["cosim"] is None and found["ip"] is None
    steps = [line.split()[0] for line in log.read_text().splitlines() if "_design" in line]
    assert steps == ["csynth_design"]


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("exit", "exit status 1"),
        ("no_report", "net_csynth.xml cannot be read"),
        ("no_lut", "no AreaEstimates/Resources/LUT"),
        ("no_interval", "Interval-min"),
        ("undef", "'undef', not a whole number"),
        ("strange_unit", "not a unit of time"),
        ("silent_unit", "1040 clocks of 0.01 ns"),
        ("cosim_fail", "co-simulation of the Verilog: Fail"),
        ("short_result", "results where"),
        ("no_ip", "exported no IP"),
    ],
)
def test_a_fault_of_vitis_is_an_error_that_names_it(
    install: Install, project: Path, monkeypatch: pytest.MonkeyPatch, fault: str, words: str
) -> None:
    install("vitis_hls", "vitis_hls")
    monkeypatch.setenv("FAKE_TOOL_FAULT", fault)
    with pytest.raises(ToolFailedError) as caught:
        vitis(project, cosim=True, export=True)
    assert words in caught.value.hint
    assert caught.value.log_path.is_file() and not (project / "synthesis.json").exists()


def test_microseconds_are_read_as_such(
    install: Install, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("vitis_hls", "vitis_hls")
    monkeypatch.setenv("FAKE_TOOL_FAULT", "unit")
    found = vitis(project)
    assert found["fmax_mhz"] == 137.0 and found["clock_mhz"] == 100.0


def test_a_wrong_result_of_the_simulated_rtl_is_found(
    install: Install, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("vitis_hls", "vitis_hls")
    monkeypatch.setenv("FAKE_TOOL_FAULT", "wrong_result")
    with pytest.raises(VerificationError, match="another result in 1 of") as caught:
        vitis(project, cosim=True)
    assert caught.value.first_mismatch is not None and caught.value.first_mismatch["index"] == [3, 5]


def test_a_report_of_an_earlier_run_is_not_taken_for_a_new_one(
    install: Install, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("vitis_hls", "vitis_hls")
    vitis(project)
    monkeypatch.setenv("FAKE_TOOL_FAULT", "no_report")
    with pytest.raises(ToolFailedError):
        vitis(project)


def test_what_vitis_cannot_do_is_refused(
    install: Install, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("vitis_hls", "vitis_hls")
    with pytest.raises(ConfigError, match="does not place or route"):
        vitis(project, route=True)
    with pytest.raises(ConfigError, match="holds no hls4ml project"):
        vitis(tmp_path)
    with pytest.raises(ConfigError, match="are for Vitis HLS"):
        synthesize({"design": str(project), "tool": "yosys", "cosim": True})
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    with pytest.raises(ToolNotFoundError, match="vitis_hls is not installed"):
        vitis(project)


@pytest.fixture(scope="module")
def design(tmp_path_factory: pytest.TempPathFactory) -> Design:
    return write_design(small_model(), RtlOptions(), tmp_path_factory.mktemp("d") / "design")


@pytest.mark.parametrize("route", [False, True])
def test_vivado_synthesizes_and_routes(install: Install, design: Design, route: bool) -> None:
    log = install("vivado", "vivado")
    found = synthesize({"design": str(design.path), "tool": "vivado", "route": route})
    assert (found["lut"], found["ff"], found["dsp"], found["bram36"]) == (1234, 2345, 7, 1.5)
    assert found["slack_ns"] == 2.5 and found["fmax_mhz"] == 133.3 and found["meets_clock"]
    assert found["evidence"] == ("routed" if route else "synthesized")
    assert found["fmax_evidence"] == ("routed" if route else "estimated")
    assert found["tool"] == "Vivado 2024.1"
    calls = log.read_text()
    assert ("place_design\nroute_design" in calls) is route
    assert all(f"read_verilog {path}" in calls for path in design.sources)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("exit", "exit status 1"),
        ("no_report", "utilization.rpt is missing"),
        ("no_lut", "no row for lut"),
        ("unit", "no clock aclk with a period in ns"),
        ("clock", "period of 5.000 ns where 10.000 ns"),
        ("no_path", "no path was timed"),
    ],
)
def test_a_fault_of_vivado_is_an_error_that_names_it(
    install: Install, design: Design, monkeypatch: pytest.MonkeyPatch, fault: str, words: str
) -> None:
    install("vivado", "vivado")
    monkeypatch.setenv("FAKE_TOOL_FAULT", fault)
    with pytest.raises(ToolFailedError) as caught:
        synthesize({"design": str(design.path), "tool": "vivado"})
    assert words in caught.value.hint


def test_a_design_that_vivado_finds_too_large_is_refused(
    install: Install, design: Design, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("vivado", "vivado")
    monkeypatch.setenv("FAKE_TOOL_FAULT", "large")
    with pytest.raises(ResourceError, match="700 DSP of 220"):
        synthesize({"design": str(design.path), "tool": "vivado"})
