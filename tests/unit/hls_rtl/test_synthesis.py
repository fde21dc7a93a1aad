"""Synthesis: counting, timing, limits, and Yosys itself on small designs."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import psutil
import pytest

from dwell.errors import (
    ConfigError,
    InternalError,
    NotBuiltYetError,
    ResourceError,
    ToolFailedError,
    ToolNotFoundError,
)
from dwell.hls.commands_synth import synthesize
from dwell.hls.design import Design
from dwell.hls.qmodel.random_models import RandomFamily, random_conv_model
from dwell.hls.rtl import RtlOptions, write_design
from dwell.hls.synthesis import (
    Cells,
    check_fits,
    count_cells,
    load_board,
    read_timing,
    synthesize_design,
    synthesize_sources,
)

STA = """
Latest arrival time in 'top' is 4000:
    4000 $auto$alu.slice[1].carry4 (CARRY4.CI->O)
           $abc$1
    3220 $auto$alu.slice[0].carry4 (CARRY4.S->CO)
    1900 u_mac (DSP48E1.A->P)
       0   \\aclk (<primary input>)
"""

MULTIPLIER = """
`default_nettype none
module mac (
    input wire aclk, input wire signed [15:0] a, input wire signed [15:0] b, output reg signed [31:0] y
);
    reg signed [15:0] left, right;
    always @(posedge aclk) begin
        left <= a;
        right <= b;
        y <= left * right;
    end
endmodule
"""


@pytest.fixture(scope="module")
def design(tmp_path_factory: pytest.TempPathFactory) -> Design:
    model = random_conv_model(2, RandomFamily(kernels=(3,), channels=(1,), input_width=4))
    return write_design(model, RtlOptions(max_width=64), tmp_path_factory.mktemp("s") / "design")


def test_cells_are_counted_by_what_they_take() -> None:
    cells = count_cells(
        {"LUT2": 10, "LUT6": 3, "INV": 2, "FDRE": 7, "FDSE": 1, "RAM32M": 3, "SRL16E": 4, "CARRY4": 9,
         "RAMB36E1": 3, "RAMB18E1": 1, "DSP48E1": 2, "MUXF7": 5}
    )  # fmt: skip
    assert cells == Cells(lut=10 + 3 + 2 + 12 + 4, ff=8, dsp=2, bram36=3.5, lutram=12, srl=4, carry4=9)


def test_an_unknown_cell_is_an_error() -> None:
    with pytest.raises(InternalError, match="URAM288"):
        count_cells({"LUT2": 1, "URAM288": 1})


def test_timing_is_read_and_routing_allowed_for() -> None:
    timing = read_timing(STA)
    assert timing.logic_ns == 4.0
    assert timing.fmax_mhz == pytest.approx(1000 / (2 * 4.1))
    assert timing.path == ("CARRY4.CI->O", "CARRY4.S->CO", "DSP48E1.A->P")


@pytest.mark.parametrize("text", ["", "Latest arrival time in 'top' is 0:"])
def test_no_timing_is_not_a_fast_design(text: str) -> None:
    with pytest.raises(ValueError, match=r"path|arrival"):
        read_timing(text)


def test_a_design_too_large_says_by_how_much() -> None:
    board = load_board("pynq-z2")
    check_fits(Cells(53_200, 106_400, 220, 140.0, 0, 0, 0), board)
    with pytest.raises(ResourceError, match=r"60000 LUT of 53200 .6800 too many.*140\.5 BRAM36") as caught:
        check_fits(Cells(60_000, 1, 0, 140.5, 0, 0, 0), board)
    assert caught.value.exit_code == 6


def test_the_board() -> None:
    board = load_board("pynq-z2")
    assert board.part == "xc7z020clg400-1"
    have = board.resources
    assert (have.lut, have.ff, have.dsp, have.bram36) == (53_200, 106_400, 220, 140)
    with pytest.raises(ConfigError, match="pynq-z9"):
        load_board("pynq-z9")


def test_vivado_that_is_not_installed(design: Design, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    monkeypatch.delenv("DWELL_VIVADO", raising=False)
    with pytest.raises(ToolNotFoundError, match="vivado"):
        synthesize({"design": str(design.path), "tool": "vivado"})


def test_what_is_not_there_yet_says_so(design: Design) -> None:
    with pytest.raises(NotBuiltYetError, match="place and route"):
        synthesize({"design": str(design.path), "tool": "yosys", "route": True})
    with pytest.raises(ConfigError, match="quartus"):
        synthesize_design(design, load_board("pynq-z2"), tool="quartus")


def test_memory_images_are_refused(tmp_path: Path) -> None:
    source = tmp_path / "rom.v"
    source.write_text('module rom; reg [7:0] m [0:3]; initial $readmemh("rom.hex", m); endmodule\n')
    with pytest.raises(ConfigError, match=r"rom\.v"):
        synthesize_sources([source], "rom", load_board("pynq-z2"))


def test_broken_verilog_fails_with_its_log(tmp_path: Path) -> None:
    source = tmp_path / "broken.v"
    source.write_text("module broken; assign x = ; endmodule\n")
    with pytest.raises(ToolFailedError) as caught:
        synthesize_sources([source], "broken", load_board("pynq-z2"), log=tmp_path / "log")
    assert "syntax error" in caught.value.tail
    assert caught.value.exit_code == 5


@pytest.mark.parametrize(
    "body",
    [
        "output wire y); missing u (.y(y)); endmodule",  # a module that is not there
        "input wire a, output wire y); assign y = a; assign y = ~a; endmodule",  # two drivers
        "output wire y); wire z; assign y = z; endmodule",  # no driver
    ],
)
def test_what_simulation_may_forgive_is_refused(tmp_path: Path, body: str) -> None:
    source = tmp_path / "top.v"
    source.write_text(f"module top ({body}\n")
    with pytest.raises(ToolFailedError):
        synthesize_sources([source], "top", load_board("pynq-z2"), log=tmp_path / "log")


def test_a_synthesis_that_takes_too_long_is_stopped(design: Design, tmp_path: Path) -> None:
    started = time.monotonic()
    with pytest.raises(ToolFailedError, match="yosys") as caught:
        synthesize_design(design, load_board("pynq-z2"), log=tmp_path / "log", timeout_s=0.5)
    assert time.monotonic() - started < 20
    assert "stopped after" in caught.value.hint
    assert not [
        p for p in psutil.Process().children(recursive=True) if "yosys_worker" in " ".join(p.cmdline())
    ]


def test_timing_goes_through_a_dsp(tmp_path: Path) -> None:
    source = tmp_path / "mac.v"
    source.write_text(MULTIPLIER)
    result = synthesize_sources([source], "mac", load_board("pynq-z2"), log=tmp_path / "log")
    assert result.cells.dsp == 1
    assert any(cell.startswith("DSP48E1.") for cell in result.timing.path)
    assert result.timing.logic_ns > 1.0


def test_a_design_through_yosys(design: Design, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DWELL_LOGS", str(tmp_path))
    found = synthesize({"design": str(design.path), "tool": "yosys", "route": False})
    assert found["dsp"] == 0
    assert 50 < found["lut"] < 1000
    assert found["ff"] > 50
    assert found["evidence"] == "synthesized" and found["fmax_evidence"] == "estimated"
    assert found["utilisation_percent"]["lut"] == pytest.approx(100 * found["lut"] / 53_200, abs=0.01)
    assert found["tool"].startswith("Yosys 0.")
    assert 50 < found["fmax_mhz"] < 500
