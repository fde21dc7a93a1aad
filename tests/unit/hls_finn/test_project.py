"""A project whose back end is FINN: its keys, what its stages are given, and the rung that it has not."""

from __future__ import annotations

import dataclasses
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dwell.build.plan import _plan_stage, make_plan
from dwell.errors import ConfigError
from dwell.hls.backends import check_keys
from dwell.hls.finn.folds import folding_file
from dwell.hls.qmodel import FixedPoint
from dwell.hls.qmodel.build import Builder
from dwell.hls.run_stages import run_emulate
from dwell.hls.stages import CONVERT
from dwell.project import Project, ProjectFileError, load_project
from dwell.stage import StageContext

pytestmark = pytest.mark.fast
EXAMPLE = Path(__file__).parents[3] / "examples" / "vacancy-finn"
FOLDS = {"Defaults": {}, "MVAU_rtl_0": {"PE": 2, "SIMD": 5}}


def project(folder: Path, convert: str) -> Project:
    text = f'[project]\nname = "x"\n[model]\nname = "vacancy"\n[convert]\nbackend = {convert}\n'
    (folder / "dwell.toml").write_text(text)
    return load_project(folder)


def test_the_example_is_planned() -> None:
    asked = load_project(EXAMPLE)
    params = CONVERT.params(asked)
    assert params["backend"] == "finn" and params["target_fps"] is None
    assert params["folding"] == json.loads((EXAMPLE / "folding.json").read_text())
    assert CONVERT.also(asked) == ("finn",)
    assert "style" not in params and "reuse" not in params
    assert CONVERT.also(load_project(EXAMPLE.parent / "vacancy")) == ()


def test_the_environment_of_finn_is_made_first_and_counts() -> None:
    asked = load_project(EXAMPLE)
    before = {planned.name: planned for planned in make_plan(asked, "quantize").stages}
    planned = _plan_stage(asked, CONVERT, before)
    assert [lock.name for lock in planned.also] == ["finn"]
    alone = dataclasses.replace(CONVERT, also=lambda project: ())
    assert _plan_stage(asked, alone, before).digest != planned.digest


def test_folds_are_what_the_file_holds(tmp_path: Path) -> None:
    (tmp_path / "f.json").write_text(json.dumps(FOLDS))
    params = CONVERT.params(project(tmp_path, '"finn"\nfolding = "f.json"'))
    written = folding_file(params["folding"], tmp_path)
    assert written is not None and json.loads(written.read_text()) == FOLDS
    assert folding_file(str(tmp_path / "f.json"), tmp_path) == tmp_path / "f.json"
    assert folding_file(None, tmp_path) is None


@pytest.mark.parametrize("text", [None, "{", "[1]", '{"MVAU_rtl_0": 3}'])
def test_a_folding_file_that_is_none(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "f.json").write_text(text)
    with pytest.raises(ConfigError, match=r"f\.json") as caught:
        CONVERT.params(project(tmp_path, '"finn"\nfolding = "f.json"'))
    assert caught.value.place == "convert.folding"


@pytest.mark.parametrize(
    ("convert", "named"),
    [
        ('"finn"\nreuse = 4', "'reuse' is for backend = \"rtl\""),
        ('"finn"\nstyle = "stream"', "'style' is for"),
        ('"finn"\nmax_width = 64', "'max_width' is for"),
        ('"rtl"\ntarget_fps = 1000', "'target_fps' is for backend = \"finn\""),
        ('"rtl"\nfolding = "f.json"', "'folding' is for"),
        ('"finn"\nfolding = "f.json"\ntarget_fps = 5', "both decide the folds"),
    ],
)
def test_keys_of_the_other_back_end(tmp_path: Path, convert: str, named: str) -> None:
    with pytest.raises(ProjectFileError, match=named):
        project(tmp_path, convert)


@pytest.mark.parametrize(
    ("backend", "args", "option"),
    [
        ("finn", {"reuse": "4"}, "--reuse"),
        ("finn", {"pixels_per_clock": 2}, "--pixels-per-clock"),
        ("finn", {"output": "class"}, "--output"),
        ("rtl", {"target_fps": 5}, "--target-fps"),
        ("hls4ml", {"folding": "f.json"}, "--folding"),
        ("finn", {"target_fps": 5, "folding": "f.json"}, "--folding"),
    ],
)
def test_options_of_the_other_back_end(backend: str, args: dict[str, Any], option: str) -> None:
    defaults = {"io": "auto", "style": None, "reuse": "1", "pixels_per_clock": 1, "output": "logits"}
    check_keys(backend, defaults)
    with pytest.raises(ConfigError, match=option) as caught:
        check_keys(backend, defaults | args)
    assert caught.value.place == option


def test_a_design_of_finn_has_no_rung_3(tmp_path: Path) -> None:
    from dwell.hls.rtl.design.styles import build
    from dwell.hls.rtl.design.write import write_netlist
    from dwell.hls.rtl.options import RtlOptions

    model = Builder()
    model.input("x", (2,), FixedPoint(False, 2, 0))
    model.dense("y", "x", np.array([[1], [-1]]), 0, [0], 0)
    graph, options = model.finish("tiny", "y"), RtlOptions(style="unrolled")
    write_netlist(graph, build(graph, options), options, tmp_path / "design", backend="finn", tools={})
    out = tmp_path / "out"
    out.mkdir()
    inputs = {"convert": tmp_path / "design", "quantize": tmp_path / "nothing"}
    params = {"name": "tiny", "clock_mhz": 100.0, "board": "pynq-z2"}
    found = run_emulate(StageContext(inputs, params, out, 1, logging.getLogger("test")))
    assert found["rung3_applicable"] is False and found["rung3_compared"] == 0
    rung = json.loads((out / "rungs" / "3.json").read_text())
    assert rung["ok"] is None and "no C++" in rung["reason"]
