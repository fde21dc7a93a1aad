"""The example projects of other front ends and back ends: their files hold, and a build climbs rungs 1 to 5."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dwell.build.plan import make_plan
from dwell.environments.locate import locate
from dwell.environments.lock import read_lock
from dwell.project import load_project

FINN = pytest.mark.skipif(not locate(read_lock("finn")).ready, reason="environment finn: dwell env sync finn")
EXAMPLES = Path(__file__).parents[3] / "examples"


@pytest.mark.parametrize(("name", "environment"), [("vacancy-qkeras", "qkeras"), ("vacancy-hgq2", "build")])
def test_stages_that_touch_the_model_file_run_where_its_framework_is(name: str, environment: str) -> None:
    plan = make_plan(load_project(EXAMPLES / name))
    found = {planned.name: planned.lock.name for planned in plan.stages}
    assert {found[stage] for stage in ("quantize", "convert", "emulate")} == {environment}
    assert {found[stage] for stage in ("train", "evaluate", "simulate_core", "simulate_bench")} == {"build"}


@pytest.mark.slow
@pytest.mark.rtl
@pytest.mark.parametrize("name", ["vacancy-qkeras", "vacancy-hgq2", pytest.param("vacancy-finn", marks=FINN)])
def test_a_build_climbs_every_rung(name: str, tmp_path: Path) -> None:
    shutil.copytree(EXAMPLES / name, tmp_path / name, ignore=shutil.ignore_patterns(".dwell"))
    fewer = [
        "--set",
        "simulate.vectors=2000",
        "--set",
        "model.sets.train_specimens=40",
        "--set",
        "quantize.epochs=1",
    ]
    if name == "vacancy-finn":
        # its design is for frames of the data's size, and from small ones little is learnt
        fewer += ["--set", "model.sets.frame_px=24", "--set", "accept.max_metric_drop=1.0"]
    rungs = {}
    for until in ("evaluate", "emulate", "simulate_core", "simulate_bench"):
        command = [
            sys.executable,
            "-m",
            "dwell",
            "build",
            str(tmp_path / name),
            "--until",
            until,
            "--json",
            *fewer,
        ]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        for stage in json.loads(done.stdout)["stages"]:
            for path in (Path(stage["artifact"]) / "rungs").glob("*.json"):
                rungs[path.stem] = json.loads(path.read_text())
    assert {"1", "2", "3", "4", "5"} <= set(rungs)
    assert all(rung["ok"] in (True, None) and rung["mismatches"] == 0 for rung in rungs.values()), rungs
    assert all(rungs[number]["compared"] > 0 for number in ("1", "2", "4", "5"))
