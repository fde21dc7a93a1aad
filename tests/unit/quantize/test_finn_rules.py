"""`rules = "finn"`: what FINN has no RTL for is refused by name, before anything is trained."""

from __future__ import annotations

import dataclasses
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pydantic
import pytest

from dwell.commands import run_command
from dwell.environments.locate import locate
from dwell.environments.lock import read_lock
from dwell.errors import ConfigError
from dwell.hls.finn.golden import from_first_quantizer, to_last_sum
from dwell.hls.frontends.network import network_from_artifact
from dwell.hls.qmodel import run_codes
from dwell.progress import reporter
from dwell.quantize.finn_rules import check_rules
from dwell.quantize.job import Layer
from dwell.quantize.params import BrevitasParams

EXAMPLE = Path(__file__).parents[3] / "examples" / "vacancy-finn"
CHAIN = (Layer("conv1", 3, 1, 4, True), Layer("conv2", 3, 4, 1, False))


@pytest.mark.fast
def test_a_chain_of_convolutions_keeps_them() -> None:
    check_rules(CHAIN, (8, 8), (8, 8))


@pytest.mark.fast
def test_the_largest_sum_decides() -> None:
    wide = Layer("conv2", 3, 57, 1, False)  # 513 products of 127 * 255
    check_rules((wide,), (8,), (8,))
    with pytest.raises(ConfigError, match="'conv2' can have sums of 25 bits") as caught:
        check_rules((Layer("conv2", 3, 58, 1, False),), (8,), (8,))
    assert caught.value.place == "quantize.rules, conv2" and "fewer" in caught.value.hint


@pytest.mark.fast
def test_a_layer_of_one_product() -> None:
    with pytest.raises(ConfigError, match="'conv1' has one product a result"):
        check_rules((Layer("conv1", 1, 1, 4, True),), (4,), (8,))


@pytest.mark.fast
@pytest.mark.parametrize("bits", [1, [4, 1]])
def test_activations_of_one_bit(bits: Any) -> None:
    with pytest.raises(pydantic.ValidationError, match=re.escape("2 to 8 bits")):
        BrevitasParams.model_validate({"rules": "finn", "activation_bits": bits})
    BrevitasParams.model_validate({"activation_bits": bits})


def test_refused_before_training(built: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dwell.quantize.stages import run_quantize

    monkeypatch.setattr("dwell.quantize.finn_rules.LARGEST_SUM", 1000)
    context = built.context(tmp_path / "out", "brevitas", {"rules": "finn", "epochs": 1000})
    with pytest.raises(ConfigError, match="'conv1' can have sums"):
        run_quantize(context)


def test_the_file_is_for_frames_of_the_data(built: Any, tmp_path: Path) -> None:
    from dwell.models.vacancy.dataset import FrameSet
    from dwell.quantize.stages import run_quantize

    (tmp_path / "data").mkdir()
    for path in built.data.iterdir():
        scans = FrameSet.load(path)
        dataclasses.replace(scans, frames=scans.frames[:, :28, :28]).save(tmp_path / "data" / path.name)
    smaller = dataclasses.replace(built, data=tmp_path / "data")
    sides = {}
    for rules in ("any", "finn"):
        out = tmp_path / rules
        run_quantize(smaller.context(out, "brevitas", {"rules": rules, "epochs": 1}))
        with np.load(out / "reference.npz") as kept:
            sides[rules] = kept["x"].shape[1:3], kept["y"].shape[1:3]
    assert sides == {"any": ((32, 32), (22, 22)), "finn": ((28, 28), (18, 18))}
    quantizers = json.loads((tmp_path / "finn" / "frontend.json").read_text())["quantizers"]
    assert all(not q["signed"] and 2 <= q["width"] <= 8 for q in quantizers)


@pytest.mark.skipif(not locate(read_lock("finn")).ready, reason="environment finn: dwell env sync finn")
def test_finn_takes_it_without_a_difference(quantized: Any, tmp_path: Path) -> None:
    """The keys of examples/vacancy-finn, to FINN's integers; the widths are given to the layers that are here."""
    keys = tomllib.loads((EXAMPLE / "dwell.toml").read_text())["quantize"]
    asked = {key: keys[key] for key in ("rules", "activation_bits")}
    folder = quantized("brevitas", weight_bits=[8, 6, 8], **asked)[0]
    args = {"model": str(folder / "model.onnx"), "out": str(tmp_path), "part": "xc7z020clg400-1"}
    args |= {"clock_mhz": 100.0, "target_fps": 1000}
    with reporter(quiet=True) as report:
        made = run_command("finn", "dwell.hls.finn.generate:generate", args, report, environment="finn")
    assert made["execution"]["largest_difference"] == 0.0  # scales are powers of two: nothing is rounded
    assert all(layer["kind"].endswith("_rtl") for layer in made["layers"])
    products = [layer for layer in made["layers"] if layer["kind"] == "MVAU_rtl"]
    assert [p["weight_type"] for p in products] == ["INT8", "INT6", "INT8"]
    assert [p["in_type"] for p in products] == ["UINT8", "UINT6", "UINT6"]
    golden = to_last_sum(from_first_quantizer(network_from_artifact(folder).read("net"), 2.0**-8, 0.0))
    with np.load(tmp_path / "frames.npz") as arrays:
        assert np.array_equal(run_codes(golden, arrays["codes"]), arrays["y"])
    assert golden.tensors[golden.output].offset != 0.0  # the last bias is the host's
