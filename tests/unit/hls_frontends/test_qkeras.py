"""QKeras networks in .h5 files, read and run in their own environment: exact at every quantizer, or refused."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from dwell.commands import ready_environment
from dwell.progress import SilentReporter

SCRIPT = Path(__file__).parent / "inside" / "qkeras_networks.py"
Results = dict[str, dict[str, Any]]
QUICK = (
    "float input",
    "signed after conv",
    "two quantizers",
    "auto_po2",
    "float scales",
    "lstm",
    "bernoulli",
    "code",
)


def made(folder: Path, *names: str) -> Results:
    """What became of the networks of these names, or of all."""
    python = ready_environment("qkeras", SilentReporter()).python
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [str(python), str(SCRIPT), str(folder), *names]
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found: Results = json.loads((folder / "results.json").read_text())
    return found


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Results]:
    folder = tmp_path_factory.mktemp("few")
    return folder, made(folder, *QUICK)


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return made(tmp_path_factory.mktemp("all"))


@pytest.mark.parametrize("name", [n for n in QUICK if n not in ("bernoulli", "code")])
def test_every_code_is_kerass(few: tuple[Path, Results], name: str) -> None:
    compared = few[1][name]["codes"]
    assert len(compared) >= 2 and min(compared.values()) >= 256, few[1][name]


def test_signed_bits_after_a_convolution_keep_their_type(few: tuple[Path, Results]) -> None:
    """hls4ml's merge_linear_activation drops it; so it does where one tensor has two quantizers."""
    assert "Cast" in few[1]["signed after conv"]["kinds"]
    assert len(few[1]["two quantizers"]["codes"]) == 4


def test_scales_that_are_no_powers_of_two_become_tables(few: tuple[Path, Results]) -> None:
    assert "Table" in few[1]["float scales"]["kinds"]
    assert any("taken on its grid" in note for note in few[1]["float scales"]["notes"])


def test_an_lstm_is_one_body_watched_in_every_step(few: tuple[Path, Results]) -> None:
    found = few[1]["lstm"]
    assert "Recurrent" in found["kinds"]
    parts = {name.rpartition(".")[2]: count for name, count in found["codes"].items() if "." in name}
    assert set(parts) == set("hcifgoa") and set(parts.values()) == {256 * 5 * 4}


def test_chance_and_code_are_refused(few: tuple[Path, Results]) -> None:
    assert "drawn at random" in few[1]["bernoulli"]["message"]
    assert "code inside the file" in few[1]["code"]["message"]


def test_the_build_environment_asks_the_other_one(few: tuple[Path, Results]) -> None:
    """`dwell.hls` in `build` reads and runs a QKeras file by processes of `qkeras`."""
    from dwell.hls.frontends.network import network_from_file
    from dwell.hls.gate import climb

    network = network_from_file(few[0] / "signed after conv.h5", None)
    reading = network.reading("net")
    assert climb(reading, network)["detail"]["Keras predict"]["codes"] == few[1]["signed after conv"]["codes"]


@pytest.mark.slow
def test_all_kinds_of_layers_and_quantizers(everything: Results) -> None:
    words = {
        "bernoulli": "drawn at random",
        "batch scale": "takes its scale from each batch",
        "float weights": "its kernel is not quantized",
        "no grid": "quantized_ulaw",
        "code": "code inside the file",
        "lstm, float state": "its state is not quantized",
        "lstm, float gates": "its activation hard_sigmoid is not quantized",
        "lstm, float kernel": "its kernel is not quantized",
        "border mean": "fewer pixels",
        "float between": "reaches a dense layer without a quantizer",
    }
    for name, what in words.items():
        assert what in everything[name].get("message", ""), (name, everything[name])
    exact = {name: found for name, found in everything.items() if name not in words}
    assert len(exact) >= 19
    for name, found in exact.items():
        assert "codes" in found and min(found["codes"].values()) >= 256, (name, found)
