"""The script that the FINN tutorial shows: it trains, and leaves a file that the converter reads."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dwell.hls.frontends.network import network_from_file
from dwell.hls.gate import compare_frames
from dwell.hls.qmodel import run_model

PAGE = Path(__file__).parents[3] / "docs" / "tutorial" / "without-vivado-finn.md"


def script() -> str:
    (found,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return str(found)


@pytest.mark.fast
def test_it_is_short() -> None:
    compile(script(), str(PAGE), "exec")
    assert len(script().splitlines()) < 40


@pytest.mark.slow
def test_it_runs(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", script()], cwd=tmp_path, capture_output=True, text=True, timeout=600
    )
    right = re.search(r"right: (0\.\d+) of 1000", done.stdout)
    assert right is not None, done.stderr[-2000:]
    assert float(right[1]) > 0.8
    network = network_from_file(tmp_path / "mlp.onnx", None)
    reading = network.reading("mlp")
    with np.load(tmp_path / "samples.npz") as samples:
        assert compare_frames(reading, network, samples["x"][:50]).compared > 0
        best = run_model(reading.model, samples["x"]).argmax(1)
        assert (best == samples["y"]).mean() == pytest.approx(float(right[1]), abs=0.002)
