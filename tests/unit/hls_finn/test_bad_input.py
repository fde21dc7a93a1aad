"""What a user can get wrong with the back end `finn`, at the command line: named, with the remedy, nothing left."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import finn_branches
import finn_networks
import pytest
import torch
from finn_room import needs_finn

from dwell.errors import ToolNotFoundError
from dwell.hls.finn.novivado import prepare


def _refused(tmp_path: Path, network: Path, *more: str) -> tuple[int, str]:
    """Exit code and last words of a conversion, which leaves no folder, not even a half-written one."""
    out = tmp_path / "out" / "design"
    out.parent.mkdir()
    command = [sys.executable, "-m", "dwell", "convert", str(network), "--backend", "finn", "--out", str(out)]
    environment = {**os.environ, "PATH": os.pathsep.join(p for p in ("/usr/bin", "/bin"))}
    done = subprocess.run([*command, *more], capture_output=True, text=True, env=environment, timeout=300)
    assert list(out.parent.iterdir()) == []
    assert "Traceback" not in done.stdout + done.stderr
    return done.returncode, done.stderr


@needs_finn
@pytest.mark.slow
@pytest.mark.parametrize(
    ("network", "layer", "remedy"),
    [
        (finn_branches.averaged, "AveragePool_0", "maximum pooling, or a convolution with a stride"),
        (finn_branches.two_scales, "'node_add' of type Add", "share the quantizer"),
        (finn_networks.binary_activations, "MultiThreshold_1", "2 bits or more"),
        (finn_networks.wide_weights, "MVAU_0", "narrow_range=True"),
    ],
)
def test_a_layer_is_refused(
    network: Callable[[], torch.nn.Module], layer: str, remedy: str, tmp_path: Path
) -> None:
    code, said = _refused(tmp_path, finn_networks.export(network(), tmp_path / "net.onnx"))
    assert code == 3
    assert layer in said and remedy in said


@needs_finn
@pytest.mark.slow
def test_a_fold_that_does_not_divide(tmp_path: Path) -> None:
    folding = tmp_path / "folding.json"
    folding.write_text(json.dumps({"Defaults": {}, "MVAU_rtl_0": {"PE": 3}}))
    network = finn_networks.export(finn_networks.strided_cnn(), tmp_path / "net.onnx")
    code, said = _refused(tmp_path, network, "--folding", str(folding))
    assert code == 2
    assert "MVAU_rtl_0 has PE=3, which does not divide 4" in said and "choose one of 1, 2, 4" in said


def test_a_file_that_is_not_qonnx(tmp_path: Path) -> None:
    network = tmp_path / "net.onnx"
    network.write_bytes(b"nothing of the kind")
    code, said = _refused(tmp_path, network)
    assert code == 2
    assert "not an ONNX file" in said and "export_qonnx" in said


@pytest.mark.slow
def test_vivado_that_is_not_there(tmp_path: Path) -> None:
    network = finn_networks.export(finn_networks.strided_cnn(), tmp_path / "net.onnx")
    code, said = _refused(tmp_path, network, "--stitch", "vivado")
    assert code == 5
    assert "vivado is not installed" in said and "leave out --stitch vivado" in said


@pytest.mark.fast
def test_finn_that_is_missing_or_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    with pytest.raises(ToolNotFoundError, match="not installed") as caught:
        prepare(tmp_path)
    assert caught.value.hint == "dwell env sync finn" and caught.value.exit_code == 5
    monkeypatch.setattr(metadata, "version", lambda name: "1.5.0")
    with pytest.raises(ToolNotFoundError, match=r"FINN\+ 1\.5\.0 is installed, 1\.6\.1"):
        prepare(tmp_path)
