"""The report of designs of every style and back end."""

from __future__ import annotations

from pathlib import Path

import pytest

from dwell.artifact import Manifest, digest_files
from dwell.hls.qmodel.random_models import RandomFamily, random_conv_model
from dwell.hls.rtl import RtlOptions, write_design
from dwell.report.commands import report
from dwell.report.design_page import layer_text


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (RtlOptions(), "no frame is stored"),
        (RtlOptions(style="unrolled"), "one every 1 clocks at full speed"),
        (RtlOptions(style="folded", reuse={"conv1": 6}), "clocks at full speed"),
        (RtlOptions(style="stream", reuse={"conv1": 6}), "no frame is stored"),
    ],
)
def test_a_design_of_any_style_has_a_page(options: RtlOptions, words: str, tmp_path: Path) -> None:
    convert = tmp_path / "sample" / ".dwell" / "latest" / "convert"
    convert.parent.mkdir(parents=True)
    design = write_design(
        random_conv_model(2, RandomFamily(kernels=(3, 2), channels=(2, 1))), options, convert
    )
    Manifest(
        name="sample", stage="convert", digest="1" * 64, inputs={}, params={}, code_digest="", tools={},
        seed=1, files=digest_files(convert),
    ).write(convert)  # fmt: skip
    page = tmp_path / "report.html"
    report({"directory": str(tmp_path / "sample"), "out": str(page)})
    text = page.read_text()
    assert words in text
    assert all(str(layer["name"]) in text for layer in design.layers)


@pytest.mark.fast
def test_a_layer_of_finns_says_its_folds_and_its_estimate() -> None:
    layer = {
        "name": "MVAU_rtl_0", "kind": "MVAU", "style": "folded", "kernel": {"kind": "finn", "PE": 4, "SIMD": 3},
        "in_type": "INT4", "weight_type": "INT4", "out_type": "INT9", "cycles_estimate": 192, "fifo_depth": 2,
        "latency_cycles": None, "lut_estimate": None,
    }  # fmt: skip
    text = layer_text(layer)
    assert text["kernel"] == "PE 4, SIMD 3"
    assert text["latency"] == "192 clocks a frame, estimated"
    assert (text["weight_type"], text["memory"]) == ("INT4", "FIFO of 2 behind it")
