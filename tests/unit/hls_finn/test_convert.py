"""Networks through FINN+: its layers in RTL against the golden model, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import finn_networks
import numpy as np
import pytest
from finn_room import PART, generate, needs_finn

from dwell.errors import VerificationError
from dwell.hls.finn.agreement import check_integers
from dwell.hls.finn.convert import FinnOptions, convert
from dwell.hls.finn.golden import from_first_quantizer
from dwell.hls.frontends.network import network_from_file

pytestmark = needs_finn


@pytest.fixture(scope="module")
def strided(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finn_networks.export(finn_networks.strided_cnn(), tmp_path_factory.mktemp("cnn") / "cnn.onnx")


def test_execution_in_python_is_the_network(strided: Path, tmp_path: Path) -> None:
    made = generate(strided, tmp_path / "out")
    assert made["execution"]["largest_difference"] <= 1e-5
    assert [layer["kind"] for layer in made["layers"]].count("MVAU_rtl") == 3
    assert made["ports"]["input"]["width"] == 4
    assert sorted(p.name for p in (tmp_path / "out" / "checkpoints").iterdir())[0].startswith("final")


@pytest.mark.rtl
@pytest.mark.slow
def test_a_strided_network_becomes_a_design(strided: Path, tmp_path: Path) -> None:
    model = network_from_file(strided, None).reading("cnn").model
    work = tmp_path / "work"
    work.mkdir()
    options = FinnOptions(PART, "pynq-z2", target_fps=200_000)
    design = convert(strided, model, options, tmp_path / "design", work)
    estimate = json.loads((tmp_path / "design/finn/report/estimate_network_performance.json").read_text())
    assert design.frame_cycles <= 1.05 * estimate["max_cycles"]
    assert design.backend == "finn"
    # folds that FINN chose itself, one of which loses data
    assert any(note.startswith("MVAU_rtl_0: SIMD 9 made 3 and PE 1 made 4") for note in design.notes)
    assert design.frame_cycles <= 500, "200,000 frames a second were asked for, at 100 MHz"
    kind = design.input.type
    assert (kind.signed, kind.width) == (True, 4)


@pytest.mark.slow
def test_a_fold_that_loses_data_is_changed(strided: Path, tmp_path: Path) -> None:
    folding = tmp_path / "folding.json"
    folding.write_text(json.dumps({"Defaults": {}, "MVAU_rtl_0": {"PE": 1, "SIMD": 9}}))
    made = generate(strided, tmp_path / "out", folding=str(folding))
    assert made["remarks"] == [
        "MVAU_rtl_0: SIMD 9 made 3, for with SIMD = MW the library's output queue can overflow"
    ]


def test_integers_that_differ_are_noticed(strided: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    made = generate(strided, out)
    model = network_from_file(strided, None).reading("cnn").model
    golden = from_first_quantizer(model, made["input_scale"], made["input_offset"])
    check_integers(golden, out)
    with np.load(out / "frames.npz") as arrays:
        changed = dict(arrays)
    changed["y"][1].flat[0] += 1
    np.savez(out / "frames.npz", **changed)
    with pytest.raises(VerificationError) as caught:
        check_integers(golden, out)
    assert caught.value.first_mismatch["frame"] == 1
