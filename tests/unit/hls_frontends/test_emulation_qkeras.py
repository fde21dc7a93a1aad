"""hls4ml's Vitis projects of QKeras files, with the flow mended: exact where hls4ml as it comes is silently wrong."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from dwell.commands import ready_environment
from dwell.errors import UnsupportedLayerError
from dwell.hls.frontends.network import network_from_file
from dwell.hls.hls4ml.emulation import emulate
from dwell.hls.hls4ml.options import ProjectOptions
from dwell.hls.hls4ml.project import project_layers
from dwell.progress import SilentReporter

SCRIPT = Path(__file__).parent / "inside" / "qkeras_emulated.py"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("qkeras")
    python = ready_environment("qkeras", SilentReporter()).python
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [str(python), str(SCRIPT), str(folder)]
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.mark.parametrize(
    ("name", "io_type"),
    [
        # hls4ml's merge_linear_activation drops the type of a signed quantizer after a convolution
        pytest.param("signed", "io_parallel"),
        pytest.param("signed", "io_stream", marks=pytest.mark.slow),
        # hls4ml truncates a mean to the type of what it is a mean of
        pytest.param("mean", "io_parallel", marks=pytest.mark.slow),
        pytest.param("mean", "io_stream", marks=pytest.mark.slow),
    ],
)
def test_the_emulation_is_exact_from_the_build_environment(
    files: Path, tmp_path: Path, name: str, io_type: str
) -> None:
    network = network_from_file(files / f"{name}.h5", None)
    model = network.read("net")
    rung = emulate(model, network, ProjectOptions("net", io_type=io_type), tmp_path / "out", 3000)
    assert rung["ok"] and rung["compared"] >= 3000 and rung["detail"]["io_type"] == io_type
    assert (tmp_path / "out" / "build_prj.tcl").is_file()


def test_unsigned_bits_are_refused_where_hls4ml_takes_them_for_signed(files: Path, tmp_path: Path) -> None:
    network = network_from_file(files / "unsigned.h5", None)
    model = network.read("net")
    assert not model.tensors[dict(model.quantizers)["unsigned"]].type.signed  # the rtl back end has it right
    with pytest.raises(UnsupportedLayerError, match="keep_negative=False") as caught:
        project_layers(model, network, ProjectOptions("net"), tmp_path / "out")
    assert caught.value.layer == "unsigned" and "quantized_relu" in caught.value.hint


@pytest.mark.slow
def test_the_project_alone(files: Path, tmp_path: Path) -> None:
    network = network_from_file(files / "mean.h5", None)
    layers = project_layers(network.read("net"), network, ProjectOptions("net"), tmp_path / "out")
    assert "pool" in [layer["name"] for layer in layers]
    assert (tmp_path / "out" / "firmware" / "net.cpp").is_file()
