"""Designs on disk: reading, and refusing what was edited."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from dwell.errors import ConfigError, DesignEditedError
from dwell.hls.design import Design
from dwell.hls.qmodel import model_digest, window_of
from dwell.hls.qmodel.random_models import RandomFamily, random_conv_model
from dwell.hls.rtl import RtlOptions, write_design

SMALL = RandomFamily(kernels=(3, 2), channels=(2, 1))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_design(
        random_conv_model(2, SMALL), RtlOptions(), tmp_path_factory.mktemp("built") / "design"
    ).path


@pytest.fixture
def folder(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built, tmp_path / "design"))


def test_what_was_written_is_read(folder: Path) -> None:
    design = Design.load(folder)
    model = design.qmodel()
    assert design.top == model.name == "random2"
    assert design.window == window_of(model) == (4, 4)
    assert design.input.type == model.tensors[model.input].type
    assert design.output.tdata_bits % 8 == 0
    assert design.provenance["source_digest"] == model_digest(model)
    assert folder / "rtl" / "random2.v" in design.sources


def test_a_changed_constant_is_refused(folder: Path) -> None:
    file = folder / "rtl" / "random2_conv1.v"
    file.write_text(file.read_text().replace("SUBTRACT(0)", "SUBTRACT(1)", 1))
    with pytest.raises(DesignEditedError, match=r"random2_conv1\.v") as caught:
        Design.load(folder)
    assert caught.value.exit_code == 4
    assert "--allow-edited" in caught.value.hint
    assert Design.load(folder, allow_edited=True).edited == ("rtl/random2_conv1.v",)


def test_a_file_too_many_or_too_few_is_refused(folder: Path) -> None:
    (folder / "rtl" / "extra.v").write_text("module extra; endmodule\n")
    with pytest.raises(DesignEditedError, match=r"extra\.v"):
        Design.load(folder)
    (folder / "rtl" / "extra.v").unlink()
    (folder / "rtl" / "dwell_cast.v").unlink()
    with pytest.raises(DesignEditedError, match=r"dwell_cast\.v"):
        Design.load(folder)


def test_an_edited_golden_model_is_refused(folder: Path) -> None:
    with (folder / "qmodel" / "qmodel.json").open("a") as stream:
        stream.write(" ")
    with pytest.raises(DesignEditedError, match=r"qmodel\.json"):
        Design.load(folder)


def test_many_edits_are_counted(folder: Path) -> None:
    for file in (folder / "rtl").glob("dwell_*.v"):
        file.write_text(file.read_text() + "\n")
    with pytest.raises(DesignEditedError, match="more"):
        Design.load(folder)


def test_no_design_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not a design"):
        Design.load(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", '{"format": "other"}', '{"format": "dwell-design-1"}'])
def test_a_damaged_description(folder: Path, text: str) -> None:
    (folder / "design.json").write_text(text)
    with pytest.raises(ConfigError):
        Design.load(folder)


def test_a_missing_key_is_named(folder: Path) -> None:
    body = json.loads((folder / "design.json").read_text())
    del body["latency_cycles"]
    (folder / "design.json").write_text(json.dumps(body))
    with pytest.raises(ConfigError, match="latency_cycles"):
        Design.load(folder)


def test_a_second_design_in_the_same_place(folder: Path) -> None:
    with pytest.raises(ConfigError, match="already holds"):
        write_design(random_conv_model(2, SMALL), RtlOptions(), folder)
