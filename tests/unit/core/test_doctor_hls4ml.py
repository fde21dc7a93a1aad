"""`dwell doctor` asks hls4ml itself whether it has registered our back end."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from dwell.doctor import diagnose, hls4ml_backend_reason

pytest.importorskip("hls4ml")


def entry() -> dict[str, object]:
    return next(p for p in diagnose()["plugins"] if p["group"] == "hls4ml.backends" and p["name"] == "dwell")


def test_the_back_end_is_registered() -> None:
    assert hls4ml_backend_reason("dwell", Path(sys.executable)) == ""
    assert entry()["ok"]


def test_a_plug_in_that_hls4ml_only_warns_of_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The module imports here, in this process; in hls4ml's it does not.
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['dwell.hls.hls4ml.backend'] = None\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    found = entry()
    assert not found["ok"]
    assert "hls4ml has not registered it" in str(found["reason"])
    assert "hls4ml.backend" in str(found["reason"])


def test_an_hls4ml_that_cannot_be_asked_is_reported(tmp_path: Path) -> None:
    assert "cannot be asked" in hls4ml_backend_reason("dwell", tmp_path / "python")
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\necho 'No module named hls4ml' >&2\nexit 1\n")
    broken.chmod(0o755)
    assert "cannot be imported: No module named hls4ml" in hls4ml_backend_reason("dwell", broken)
