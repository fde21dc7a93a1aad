"""The script behind the comparison page: designs measured, and what it does about one that is wrong."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import finn_comparison
import numpy as np
import pytest
from finn_comparison import main, reuse_factors, rtl_design, simulate

from dwell.environments.locate import locate
from dwell.environments.lock import read_lock
from dwell.hls.design import Design
from dwell.hls.qmodel import FixedPoint, Overflow, QModel, Rounding
from dwell.hls.qmodel.build import Builder
from dwell.hls.rtl import RtlOptions
from dwell.sim.dut import load_dut

needs_finn = pytest.mark.skipif(
    not locate(read_lock("finn")).ready, reason="environment finn: dwell env sync finn"
)


@pytest.fixture(scope="module")
def dense() -> QModel:
    """8-6-4, weights of 3 bits."""
    rng, build = np.random.default_rng(0), Builder()
    at = build.input("x", (8,), FixedPoint(True, 4, 0))
    for name, size in (("d1", 6), ("d2", 4)):
        weight = rng.integers(-3, 4, (build.tensor(at).shape[0], size))
        at = build.dense(name, at, weight, 0, np.zeros(size, dtype=np.int64), 0)
        if name == "d1":
            at = build.cast(
                "cast", build.relu("relu", at), [FixedPoint(False, 4, -2)], Rounding.TRN, Overflow.SAT
            )
    return build.finish("dense", at)


@pytest.mark.fast
@pytest.mark.parametrize(("clocks", "factors"), [(1, (1, 1)), (12, (12, 12)), (20, (16, 12)), (99, (48, 24))])
def test_reuse_factors_keep_up(dense: QModel, clocks: int, factors: tuple[int, int]) -> None:
    assert tuple(reuse_factors(dense, clocks).values()) == factors


def test_the_folding_whose_clocks_come_closest(dense: QModel, tmp_path: Path) -> None:
    assert rtl_design(dense, 12, tmp_path / "a").design.frame_cycles == 12
    assert rtl_design(dense, 30, tmp_path / "b").folds == "d1 24, d2 24"


@pytest.mark.rtl
def test_a_design_is_measured(dense: QModel, tmp_path: Path) -> None:
    design = rtl_design(dense, 24, tmp_path).design
    found = simulate(load_dut(design.path), 40)
    assert found.mismatches == 0 and found.frames > 40 and found.decisions == found.frames
    assert found.frame_cycles == design.frame_cycles == 24
    # A frame alone has to pass both layers.
    assert 48 < found.first <= found.last < 48 + 40


@pytest.mark.rtl
def test_a_wrong_weight_is_counted(dense: QModel, tmp_path: Path) -> None:
    design = rtl_design(dense, 24, tmp_path).design
    found = simulate(replace(load_dut(design.path), model=_other(dense)), 40)
    assert 0 < found.mismatches <= found.decisions


@pytest.mark.fast
def test_a_missing_file_is_left_out(tmp_path: Path) -> None:
    given = finn_comparison.parser().parse_args(["--only", "tfc", "--tfc", str(tmp_path / "none.onnx")])
    chosen, left_out = finn_comparison.cases(given, tmp_path)
    assert not chosen and "tfc_2w2a" in left_out[0]


@pytest.mark.fast
def test_a_page_without_its_json_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--again", "--page", str(tmp_path / "page.md")]) == 2
    assert "page.json is not there" in capsys.readouterr().err


@needs_finn
@pytest.mark.rtl
@pytest.mark.slow
def test_the_page_of_the_small_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DWELL_CACHE", raising=False)
    assert _run(tmp_path, monkeypatch) == 0
    (network,) = json.loads((tmp_path / "page.json").read_text())["networks"]
    (group,) = network["groups"]
    finn, rtl = group["finn"], group["rtl"]
    assert finn["mismatches"] == rtl["mismatches"] == 0 and finn["frames"] == rtl["frames"] > 20
    assert 0.8 < rtl["frame_cycles"] / finn["frame_cycles"] < 1.25
    assert group["hls4ml"]["frame_cycles"] <= finn["frame_cycles"] < finn["last"]
    text = (tmp_path / "page.md").read_text()
    assert f"| `finn` | 400,000/s | {finn['frame_cycles']:,} |" in text and "Not exact" not in text


@needs_finn
@pytest.mark.rtl
@pytest.mark.slow
def test_a_planted_fault_fails_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = finn_comparison.write_design

    def faulty(model: QModel, options: RtlOptions, out: Path) -> Design:
        return real(_other(model) if out.parent.name == "rtl" else model, options, out)

    monkeypatch.setattr(finn_comparison, "write_design", faulty)
    assert _run(tmp_path, monkeypatch) == 1
    assert "not exact: A strided convolutional network, rtl" in capsys.readouterr().out
    assert "**Not exact:**" in (tmp_path / "page.md").read_text()


def _run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setenv("DWELL_CACHE", str(folder))  # so that what the script sets is taken back
    arguments = ["--only", "small", "--rates", "400000", "--frames", "20", "--page", str(folder / "page.md")]
    return main(arguments)


def _other(model: QModel) -> QModel:
    """`model` with one weight of its last layer changed."""
    nodes: list[Any] = list(model.nodes)
    at = max(i for i, node in enumerate(nodes) if hasattr(node, "weight"))
    weight = nodes[at].weight.copy()
    place = tuple(np.argwhere(weight != 0)[0])
    weight[place] = 0
    nodes[at] = replace(nodes[at], weight=weight)
    return replace(model, nodes=tuple(nodes))
