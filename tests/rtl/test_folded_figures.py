"""The networks of `bench/folded.py` within their limits: codes, clocks, resources."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from dwell.hls.rtl import write_design

pytestmark = [pytest.mark.rtl, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
TFC = ROOT.parent / "shared" / "data" / "tfc_2w2a.onnx"


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bench_folded", ROOT / "bench" / "folded.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["tfc", "vacancy", "small"])
def test_figures(bench: ModuleType, name: str, tmp_path: Path) -> None:
    if name == "tfc" and not TFC.is_file():
        pytest.skip(f"{TFC} is not there")
    case = bench.CASES[name](argparse.Namespace(tfc=TFC, clocks=392))
    assert case is not None
    model, options, limits = case
    design = write_design(model, options, tmp_path / name)
    assert bench.simulate(name, design, 1000, limits)
    assert bench.synthesize(name, design, limits)


def test_a_limit_that_is_passed_is_told(bench: ModuleType, tmp_path: Path) -> None:
    model, options, _ = bench.CASES["small"](argparse.Namespace())
    design = write_design(model, options, tmp_path / "d")
    assert not bench.synthesize("small", design, bench.Limits(lut=100))
    assert not bench.simulate("small", design, 20, bench.Limits(clocks_ratio=1.0))
