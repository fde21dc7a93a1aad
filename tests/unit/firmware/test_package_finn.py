"""A network through FINN, into the shell and onto a simulated board."""

from __future__ import annotations

import json
from pathlib import Path

import finn_networks
import pytest
from board_overlays import overlay_of
from finn_room import PART, needs_finn

from dwell.environments.locate import locate
from dwell.environments.lock import read_lock
from dwell.hls.finn.convert import FinnOptions, convert
from dwell.hls.frontends.network import network_from_file
from dwell.sim.commands import simulate

pytestmark = [
    needs_finn,
    pytest.mark.rtl,
    pytest.mark.slow,
    pytest.mark.skipif(
        not locate(read_lock("board")).ready, reason="environment board: dwell env sync board"
    ),
]


def test_a_design_of_finns_on_a_simulated_board(tmp_path: Path) -> None:
    network = finn_networks.export(finn_networks.strided_cnn(), tmp_path / "cnn.onnx")
    (tmp_path / "work").mkdir()
    options = FinnOptions(PART, "pynq-z2", target_fps=200_000)
    model = network_from_file(network, None).reading("cnn").model
    design = convert(network, model, options, tmp_path / "design", tmp_path / "work")
    overlay = overlay_of(design, tmp_path / "overlay")
    said = json.loads((overlay / "overlay.json").read_text())
    assert said["kind"] == "frames"
    assert said["output"]["beats"] == said["output"]["result_beats"]  # one decision a frame
    found = simulate(
        {"design": str(design.path), "level": "board", "count": 60, "seed": 2, "stalls": True,
         "out": str(tmp_path / "run")}
    )  # fmt: skip
    assert (found["rung"], found["mismatches"]) == (6, 0)
    assert found["vectors"] >= 60
