"""`dwell convert`, and the stages convert and emulate, on networks made here."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dwell.errors import ConfigError, UnsupportedLayerError, VerificationError
from dwell.hls.commands import convert
from dwell.hls.design import Design
from dwell.hls.frontends.qonnx import read_qonnx
from dwell.hls.frontends.qonnx_execute import execute_qonnx
from dwell.hls.qmodel import run_model
from dwell.hls.run_stages import run_convert, run_emulate
from dwell.hls.stages import CONVERT, EMULATE, SYNTHESIZE
from dwell.stage import StageContext


def arguments(model: Path, out: Path, **changed: Any) -> dict[str, Any]:
    given = {"model": str(model), "backend": "rtl", "board": "pynq-z2", "io": "stream", "reuse": 1}
    return {**given, "input_type": None, "out": str(out), **changed}


def test_a_file_becomes_a_design(onnx_net: Callable[..., Any], tmp_path: Path) -> None:
    path = onnx_net().save(tmp_path / "my net.onnx")
    said = convert(arguments(path, tmp_path / "out"))
    json.dumps(said)
    assert {"backend", "latency_cycles", "ii_cycles", "layers", "design"} <= set(said)
    assert said["backend"] == "rtl" and said["ii_cycles"] == 1 and said["latency_cycles"] > 0
    design = Design.load(said["design"])
    assert [layer["name"] for layer in said["layers"]] == ["conv1", "conv2"]
    frames = np.random.default_rng(0).random((3, 12, 12, 1))
    assert np.array_equal(run_model(design.qmodel(), frames), run_model(read_qonnx(path).model, frames))
    rung = json.loads((tmp_path / "out" / "rungs" / "2.json").read_text())
    assert rung["ok"] and rung["compared"] == said["rungs"]["2"] > 10_000


def test_a_file_becomes_an_hls4ml_project(brevitas_file: Path, tmp_path: Path) -> None:
    said = convert(arguments(brevitas_file, tmp_path / "out", backend="hls4ml"))
    assert said["latency_cycles"] is None and said["ii_cycles"] is None  # nobody has measured them
    assert (tmp_path / "out" / "firmware" / "net.cpp").is_file()
    assert sum(layer["kind"] == "Conv2D" for layer in said["layers"]) == 4
    assert "xc7z020clg400-1" in (tmp_path / "out" / "project.tcl").read_text()


@pytest.mark.parametrize(
    ("changed", "kind", "words"),
    [
        ({"backend": "vhdl"}, ConfigError, "no back end 'vhdl'"),
        ({"board": "pynq-z9"}, ConfigError, "pynq-z9"),
        ({"reuse": "0"}, ConfigError, "'0' is no reuse factor"),
        ({"reuse": "conv1=2,conv9=4"}, ConfigError, "no layer 'conv9' to reuse"),
        ({"style": "unrolled", "reuse": "4"}, ConfigError, "nothing to use twice"),
        ({"style": "systolic"}, ConfigError, "style 'systolic' is not known"),
        ({"io": "serial"}, ConfigError, "--io 'serial' is not known"),
        ({"io": "parallel", "pixels_per_clock": 4}, ConfigError, "takes no pixels"),
        ({"pixels_per_clock": 3}, ConfigError, "3 pixels a clock"),
        ({"io": "parallel", "reload": True}, ConfigError, "cannot be reloaded"),
        ({"output": "loudest"}, ConfigError, "output 'loudest' is not known"),
        ({"output": "class"}, ConfigError, "one output, and so no class"),
        ({"input_type": "int8"}, ConfigError, "'int8' is not a fixed-point type"),
        ({"input_type": "ufixed<6,0>"}, ConfigError, "quantizes its input to ufixed<8,0>"),
    ],
)
def test_wrong_options_are_refused_and_nothing_is_written(
    onnx_net: Callable[..., Any], tmp_path: Path, changed: dict[str, Any], kind: type[Exception], words: str
) -> None:
    path = onnx_net().save(tmp_path / "n.onnx")
    with pytest.raises(kind, match=words):
        convert(arguments(path, tmp_path / "out", **changed))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["n.onnx"]


def test_wrong_files_are_refused_and_nothing_is_written(onnx_net: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "n.pt").write_bytes(b"")
    with pytest.raises(ConfigError, match=r"no front end for \.pt"):
        convert(arguments(tmp_path / "n.pt", tmp_path / "out"))
    net = onnx_net()
    net.find("Relu_relu1").op_type = "Gelu"
    with pytest.raises(UnsupportedLayerError, match="Gelu"):
        convert(arguments(net.save(tmp_path / "n.onnx"), tmp_path / "out"))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "keep.txt").write_text("mine")
    with pytest.raises(ConfigError, match="exists and is not empty"):
        convert(arguments(onnx_net().save(tmp_path / "m.onnx"), tmp_path / "full"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["full", "m.onnx", "n.onnx", "n.pt"]


def quantized(path: Path, folder: Path, **spoil: int) -> Path:
    """A quantize artifact round `path`; `spoil` adds to the first code of a quantizer."""
    model = read_qonnx(path).model
    size = model.tensors[model.input].shape
    x = np.random.default_rng(0).integers(0, 256, (4, *size)).astype(np.float32) / 256
    found = execute_qonnx(path, x, [name for name, _ in model.quantizers])
    arrays = {"x": x, "y": found[""]}
    entries = []
    for name, tensor in model.quantizers:
        frac = model.tensors[tensor].type.frac
        codes = np.ldexp(found[name], frac).astype(np.int32)
        codes.flat[0] += spoil.get(name, 0)
        arrays[f"codes/{name}"] = codes
        entries.append({"name": name, "tensor": name, "frac": frac})
    folder.mkdir()
    np.savez(folder / "reference.npz", **arrays)
    (folder / "model.onnx").write_bytes(path.read_bytes())
    (folder / "frontend.json").write_text(json.dumps({"file": "model.onnx", "quantizers": entries}))
    return folder


PARAMS = {
    "name": "vacancies",
    "backend": "rtl",
    "style": "stream",
    "input_type": None,
    "clock_mhz": 100.0,
    "latency_cutoff": 4.0,
    "max_width": 64,
    "board": "pynq-z2",
}


def context(out: Path, **inputs: Path) -> StageContext:
    out.mkdir()
    return StageContext(inputs, PARAMS, out, 1, logging.getLogger("test"))


def test_the_stages_climb_rungs_two_and_three(brevitas_file: Path, tmp_path: Path) -> None:
    source = quantized(brevitas_file, tmp_path / "quantize")
    metrics = run_convert(context(tmp_path / "convert", quantize=source))
    design = Design.load(tmp_path / "convert")
    assert design.top == "vacancies" and metrics["latency_cycles"] == design.latency_cycles
    rung = json.loads((tmp_path / "convert" / "rungs" / "2.json").read_text())
    assert rung["ok"] and len(rung["detail"]) == 2 and metrics["rung2_compared"] == rung["compared"]
    done = run_emulate(context(tmp_path / "emulate", quantize=source, convert=tmp_path / "convert"))
    third = json.loads((tmp_path / "emulate" / "rungs" / "3.json").read_text())
    assert third["ok"] and third["compared"] == done["rung3_compared"] >= 10_000
    assert json.loads((tmp_path / "emulate" / "rung3.json").read_text()) == third
    json.dumps([dict(metrics), dict(done)])


def test_a_reference_that_differs_stops_the_stage(onnx_net: Callable[..., Any], tmp_path: Path) -> None:
    path = onnx_net().save(tmp_path / "n.onnx")
    source = quantized(path, tmp_path / "quantize", act1=1)
    with pytest.raises(VerificationError, match="act1: 1 of"):
        run_convert(context(tmp_path / "convert", quantize=source))
    assert list((tmp_path / "convert").iterdir()) == []


def test_the_stages_are_described() -> None:
    import importlib

    for stage in (CONVERT, EMULATE, SYNTHESIZE):
        module, _, function = stage.run.partition(":")
        assert callable(getattr(importlib.import_module(module), function))
        for name in stage.code:
            importlib.import_module(name)


@pytest.mark.slow
def test_the_command_line_takes_every_choice(onnx_net: Callable[..., Any], tmp_path: Path) -> None:
    path = onnx_net().save(tmp_path / "n.onnx")
    out = tmp_path / "out"
    words = [
        "--io",
        "stream",
        "--reuse",
        "conv1=9,conv2=4",
        "--multiplier",
        "lut",
        "--reload",
        "--output",
        "logits",
    ]
    command = [
        sys.executable,
        "-m",
        "dwell",
        "convert",
        str(path),
        "--backend",
        "rtl",
        "--out",
        str(out),
        "--json",
    ]
    done = subprocess.run([*command, *words], capture_output=True, text=True, timeout=300, check=False)
    said = json.loads(done.stdout)
    assert done.returncode == 0, said
    assert said["style"] == "stream" and said["estimate"]["evidence"] == "estimated"
    kernels = {layer["name"]: layer["kernel"] for layer in said["layers"]}
    assert kernels["conv1"]["reuse"] == 9 and kernels["conv2"]["reuse"] == 4
    assert {kernels[name]["multiplier"] for name in ("conv1", "conv2")} == {"lut"}
    for layer in said["layers"]:
        assert {
            "style",
            "kernel",
            "latency_cycles",
            "fifo_depth",
            "in_type",
            "weight_type",
            "out_type",
        } <= set(layer)
    assert Design.load(out).style == "stream"
