"""Overlays: what is in them, the same every time, and designs that cannot be packaged."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import xml.etree.ElementTree as Xml
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from board_overlays import small_design

from dwell.errors import ConfigError, DesignEditedError
from dwell.firmware.commands import package
from dwell.firmware.package.build import package_design
from dwell.firmware.package.plan import plan_shell
from dwell.firmware.package.top import top_module
from dwell.hls.design import Design
from dwell.hls.qmodel import FixedPoint, run_codes


@pytest.fixture(scope="module")
def design(tmp_path_factory: pytest.TempPathFactory) -> Design:
    return small_design(tmp_path_factory.mktemp("firmware") / "design")


@pytest.fixture(scope="module")
def overlay(design: Design, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return package_design(design, "pynq-z2", tmp_path_factory.mktemp("firmware") / "overlay").path


def test_the_result_lists_every_file(design: Design, tmp_path: Path) -> None:
    found = package({"design": str(design.path), "board": "pynq-z2", "out": str(tmp_path / "o")})
    present = sorted(
        p.relative_to(tmp_path / "o").as_posix() for p in (tmp_path / "o").rglob("*") if p.is_file()
    )
    assert found["files"] == present
    assert re.fullmatch("[0-9a-f]{64}", found["build_digest"])
    name = design.name
    for needed in (f"{name}.bit", f"{name}.hwh", f"{name}.core", "vivado/build.tcl", "dwell_board/board.py"):
        assert needed in present


def test_packaging_twice_gives_the_same_bytes(design: Design, overlay: Path, tmp_path: Path) -> None:
    again = package_design(design, "pynq-z2", tmp_path / "again").path
    files = [p for p in sorted(overlay.rglob("*")) if p.is_file()]
    assert files
    for file in files:
        assert file.read_bytes() == (again / file.relative_to(overlay)).read_bytes(), file.name


def test_nothing_in_it_knows_where_it_was_made(overlay: Path) -> None:
    for file in overlay.rglob("*"):
        if file.is_file():
            assert str(overlay).encode() not in file.read_bytes(), file.name


def test_the_bit_says_what_it_is_not(overlay: Path) -> None:
    raw = next(overlay.glob("*.bit")).read_bytes()
    assert b"DWELL SIMULATION ONLY, NOT A BITSTREAM" in raw
    assert b"\xaa\x99\x55\x66" not in raw  # the word without which a device configures nothing
    assert "NEVER RUN" in (overlay / "vivado" / "build.tcl").read_text()


def test_the_hand_off_file_is_whole(overlay: Path, design: Design) -> None:
    root = Xml.parse(next(overlay.glob("*.hwh"))).getroot()
    ranges = {r.get("INSTANCE"): int(r.get("BASEVALUE") or "", 16) for r in root.iter("MEMRANGE")}
    assert ranges == {"frames_dma": 0x40400000, "events_dma": 0x40410000, "trigger": 0x43C00000}
    assert {m.get("INSTANCE") for m in root.iter("MODULE")} == {*ranges, "processing_system7_0"}


def test_the_digest_covers_network_shell_and_driver(design: Design, overlay: Path, tmp_path: Path) -> None:
    digest = json.loads((overlay / "overlay.json").read_text())["build_digest"]
    assert f"128'h{digest[:32]}" in (overlay / "rtl" / f"{design.name}_overlay.v").read_text()
    copy = Path(shutil.copytree(design.path, tmp_path / "design"))
    kernel = next((copy / "rtl").glob("*_conv1.v"))
    kernel.write_text(kernel.read_text() + "\n")
    with pytest.raises(DesignEditedError):
        package({"design": str(copy), "board": "pynq-z2", "out": str(tmp_path / "o")})
    other = package(
        {"design": str(copy), "board": "pynq-z2", "out": str(tmp_path / "o"), "allow_edited": True}
    )
    assert other["build_digest"] != digest


def test_self_test_vectors_are_golden(design: Design, overlay: Path) -> None:
    vectors = np.load(overlay / "self_test.npz")
    golden = run_codes(design.qmodel(), vectors["pixels"].astype(np.int64)[..., None])[..., 0]
    assert np.array_equal(vectors["scores"], golden)
    assert len(np.unique(golden)) > 3


# ---- what cannot be


def test_an_unknown_board(design: Design, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no board 'pynq-z3'") as raised:
        package_design(design, "pynq-z3", tmp_path / "o")
    assert "pynq-z2" in raised.value.hint
    assert not (tmp_path / "o").exists()


def test_a_board_without_an_address_for_the_weights(
    design: Design, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dwell.firmware import boards
    from dwell.firmware.package import build

    board = boards.pynq_z2()
    assert board.system is not None
    addresses = {name: at for name, at in board.system.addresses.items() if name != "weights"}
    system = board.system.model_copy(update={"addresses": addresses})
    poor = board.model_copy(update={"system": system})
    monkeypatch.setattr(build, "load_plugin", lambda *args, **options: lambda: poor)
    package_design(design, "poor", tmp_path / "o")
    with pytest.raises(ConfigError, match="board 'poor' has no address for 'weights'"):
        package_design(replace(design, weights={"address_bits": 9}), "poor", tmp_path / "o")


def test_a_folder_that_holds_something_else(design: Design, overlay: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ConfigError, match="is no overlay"):
        package_design(design, "pynq-z2", tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_pixel_designs_the_shell_cannot_carry(design: Design) -> None:
    with pytest.raises(ConfigError, match="scales by channel"):
        plan_shell(replace(design, output=replace(design.output, scale=(0.5,))))
    with pytest.raises(ConfigError, match="24 bits fits no DMA"):
        plan_shell(replace(design, input=replace(design.input, tdata_bits=24)))
    with pytest.raises(ConfigError, match="one signed score"):
        plan_shell(replace(design, output=replace(design.output, shape=(5, 5, 2))))
    with pytest.raises(ConfigError, match="wider than 32"):
        wide = replace(design.output, type=FixedPoint(True, 40, 0), tdata_bits=40)
        plan_shell(replace(design, output=wide))


def test_frame_designs_the_shell_cannot_carry(design: Design) -> None:
    fixed = replace(design, max_width=0)

    def output(**changes: object) -> Design:
        return replace(fixed, output=replace(fixed.output, **changes))  # type: ignore[arg-type]

    with pytest.raises(ConfigError, match="4 decisions come in one beat") as raised:
        plan_shell(output(shape=(4, 8, 2), elements=8))
    assert "one pixel a clock" in raised.value.hint
    with pytest.raises(ConfigError, match="3 elements does not divide a decision of 4"):
        plan_shell(output(shape=(4,), elements=3))
    for kind in (FixedPoint(True, 33, 0), FixedPoint(False, 32, 0)):
        with pytest.raises(ConfigError, match="the trigger takes 32 bits with a sign"):
            plan_shell(output(type=kind))
    with pytest.raises(ConfigError, match="places are numbered in 16 bits"):
        plan_shell(output(shape=(70000, 2, 1), elements=1))
    with pytest.raises(ConfigError, match="a beat of its output takes 1025 bits"):
        plan_shell(output(shape=(64,), elements=64, tdata_bits=1024))
    with pytest.raises(ConfigError, match="a beat of its input takes 1032 bits"):
        plan_shell(replace(fixed, input=replace(fixed.input, shape=(129,), elements=129, tdata_bits=1032)))
    with pytest.raises(ConfigError, match="a frame of 262144 beats of 8 bits finds no room"):
        plan_shell(replace(fixed, input=replace(fixed.input, shape=(512, 512, 1), elements=1)))


def test_the_tap_holds_two_frames_where_memory_allows(design: Design) -> None:
    def places(shape: tuple[int, ...], bits: int = 8) -> int:
        port = replace(design.input, shape=shape, elements=1, tdata_bits=bits)
        return 1 << plan_shell(replace(design, max_width=0, input=port)).tap_log2

    assert places((1,)) == 16
    assert places((28, 28, 1)) == 2048
    assert places((128, 128, 1), 16) == 32768  # one frame and a little


@pytest.mark.parametrize(("width", "beat"), [(5, 8), (7, 8), (8, 16), (15, 16), (16, 32), (31, 32), (32, 64)])
def test_a_decision_has_room_for_its_mask_bit(design: Design, width: int, beat: int) -> None:
    bits = 8 * -(-width // 8)
    bits = {24: 24}.get(bits, bits)
    output = replace(design.output, type=FixedPoint(True, width, 0), tdata_bits=bits)
    assert plan_shell(replace(design, output=output)).decision_bits == beat


def test_a_module_in_both_network_and_shell(design: Design, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(design.path, tmp_path / "design"))
    (copy / "rtl" / "mine.v").write_text("module dwell_trigger; endmodule\n")
    with pytest.raises(ConfigError, match="dwell_trigger is in the design and in the shell"):
        package_design(Design.load(copy, allow_edited=True), "pynq-z2", tmp_path / "o")


# ---- the Verilog


@pytest.mark.rtl
def test_verilator_has_nothing_to_say(overlay: Path, design: Design) -> None:
    from dwell.sim.toolchain import find_verilator

    tool = find_verilator()
    files = [str(p) for p in sorted((overlay / "rtl").glob("*.v"))]
    command = [*tool.tool.command, "--lint-only", "-Wall", "--top-module", f"{design.name}_overlay", *files]
    done = subprocess.run(command, env=tool.environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.strip() == ""


@pytest.mark.rtl
def test_verilator_does_complain_about_a_fault(overlay: Path, design: Design, tmp_path: Path) -> None:
    from dwell.sim.toolchain import find_verilator

    tool = find_verilator()
    copy = Path(shutil.copytree(overlay / "rtl", tmp_path / "rtl"))
    (copy / "dwell_tap.v").write_text(
        (copy / "dwell_tap.v").read_text().replace("[15:0] line;", "[14:0] line;")
    )
    files = [str(p) for p in sorted(copy.glob("*.v"))]
    command = [*tool.tool.command, "--lint-only", "-Wall", "--top-module", f"{design.name}_overlay", *files]
    done = subprocess.run(command, env=tool.environment(), capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "WIDTH" in done.stderr


@pytest.mark.rtl
def test_icarus_takes_it(overlay: Path, design: Design, tmp_path: Path) -> None:
    if shutil.which("iverilog") is None:
        pytest.skip("iverilog is not installed")
    files = [str(p) for p in sorted((overlay / "rtl").glob("*.v"))]
    command = [
        "iverilog",
        "-g2005",
        "-Wall",
        "-s",
        f"{design.name}_overlay",
        "-o",
        str(tmp_path / "x"),
        *files,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    shell = [line for line in done.stderr.splitlines() if "/dwell_" in line and "timescale" not in line]
    assert shell == []


@pytest.mark.rtl
def test_yosys_takes_it_without_latches(overlay: Path, design: Design, tmp_path: Path) -> None:
    ys = pytest.importorskip("pyosys.libyosys", reason="pyosys is not installed")
    module = ys.Design()
    for path in sorted((overlay / "rtl").glob("*.v")):
        ys.run_pass(f"read_verilog {path}", module)
    log = tmp_path / "log"
    ys.run_pass(f"hierarchy -check -top {design.name}_overlay", module)
    ys.run_pass(f"tee -q -o {log} proc", module)
    ys.run_pass("select -assert-none t:$dlatch", module)
    ys.run_pass("check -assert", module)


def test_the_fusesoc_core_names_files_that_are_there(overlay: Path, design: Design) -> None:
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    text = (overlay / f"{design.name}.core").read_text()
    assert text.startswith("CAPI=2:\n")
    core = yaml.safe_load(text.partition("\n")[2])
    files = core["filesets"]["rtl"]["files"]
    assert sorted(files) == sorted(p.relative_to(overlay).as_posix() for p in (overlay / "rtl").glob("*.v"))
    assert core["targets"]["lint"]["toplevel"] == f"{design.name}_overlay"


def test_the_vivado_script_is_whole(overlay: Path) -> None:
    text = (overlay / "vivado" / "build.tcl").read_text()
    for left, right in ("{}", "[]"):
        assert text.count(left) == text.count(right)
    for name in re.findall(r"\$here/\.\./(rtl/\S+)", text):
        assert (overlay / name).is_file()
    assert len(re.findall(r"\$here/\.\./rtl/", text)) == len(list((overlay / "rtl").glob("*.v")))
    assert "\\\\" not in text  # a doubled backslash would not continue a line


def test_the_top_is_thin(design: Design) -> None:
    text = top_module(plan_shell(design), "0" * 64)
    assert "always" not in text
    assert "assign" not in text
