"""The build: what runs, what is cached, what a failure leaves, and what a killed build leaves."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from dwell.artifact import Artifact


def _statuses(found: dict) -> dict[str, str]:
    return {stage["name"]: stage["status"] for stage in found["stages"]}


def _wait(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def _gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.mark.fast
def test_it_runs_then_caches(tiny) -> None:
    code, found = tiny.build()
    assert code == 0
    assert _statuses(found) == {"tiny_first": "ran", "tiny_second": "ran"}
    artifact = Artifact.load(Path(found["stages"][1]["artifact"]))
    assert artifact.file("two.txt").read_text() == "2.5 7\n2.5 7\n"
    assert artifact.manifest.metrics == {"threads": "2"}
    assert artifact.manifest.inputs == {
        "tiny_first": Artifact.load(Path(found["stages"][0]["artifact"])).manifest.digest
    }
    assert set(artifact.manifest.files) == {"two.txt"}
    assert (tiny.root / ".dwell/latest/tiny_second").resolve() == artifact.path
    assert "a line that belongs in the log" in (tiny.root / ".dwell/logs/tiny_second.log").read_text()

    code, again = tiny.build()
    assert code == 0
    assert _statuses(again) == {"tiny_first": "cached", "tiny_second": "cached"}
    assert [s["artifact"] for s in again["stages"]] == [s["artifact"] for s in found["stages"]]


def test_a_build_leaves_its_clutter_in_one_folder(tiny) -> None:
    tiny.build()
    assert sorted(p.name for p in tiny.root.iterdir()) == [".dwell", "dwell.toml"]
    artifacts = list((tiny.root / ".dwell/artifacts").iterdir())
    assert sorted(p.name.rsplit("-", 1)[0] for p in artifacts) == ["tiny_first", "tiny_second"]
    for artifact in artifacts:
        listed = set(Artifact.load(artifact).manifest.files) | {"manifest.json"}
        assert {p.name for p in artifact.iterdir()} == listed


def test_a_parameter_changes_only_what_depends_on_it(tiny) -> None:
    _, before = tiny.build()
    _, after = tiny.build("--set", "model.dose=9.0")
    assert _statuses(after) == {"tiny_first": "ran", "tiny_second": "ran"}
    assert before["stages"][0]["artifact"] != after["stages"][0]["artifact"]
    _, other = tiny.build("--set", "synthesize.tool=vivado")
    assert _statuses(other) == {"tiny_first": "cached", "tiny_second": "cached"}


def test_code_changes_the_digest(tiny) -> None:
    tiny.build()
    module = Path(tiny.environment["PYTHONPATH"]) / "tinyplug.py"
    module.write_text(module.read_text() + "\n# another thought\n")
    assert _statuses(tiny.build()[1]) == {"tiny_first": "ran", "tiny_second": "ran"}


@pytest.mark.fast
def test_a_dry_run_runs_nothing(tiny) -> None:
    code, found = tiny.build("--dry-run")
    assert code == 0
    assert _statuses(found) == {"tiny_first": "planned", "tiny_second": "planned"}
    assert not (tiny.root / ".dwell").exists()


@pytest.mark.fast
def test_a_failing_stage_is_told_as_its_error(tiny) -> None:
    tiny.steer("fail")
    code, found = tiny.build()
    assert code == 4
    assert _statuses(found) == {"tiny_first": "ran", "tiny_second": "failed"}
    error = found["error"]
    assert (error["code"], error["hint"], error["place"]) == ("verification", "look at it", "two.txt")
    assert error["first_mismatch"] == {"index": 3}
    assert not list((tiny.root / ".dwell/artifacts").glob("tiny_second*"))
    assert (tiny.root / ".dwell/failed/tiny_second/two.txt").exists()

    tiny.steer("fail", on=False)
    code, found = tiny.build()
    assert code == 0
    assert _statuses(found) == {"tiny_first": "cached", "tiny_second": "ran"}


def test_an_unexpected_exception_is_internal_and_its_traceback_is_in_the_log(tiny) -> None:
    tiny.steer("crash")
    done = tiny.dwell("build", "--until", "tiny_second")
    assert done.returncode == 70
    assert "Traceback" not in done.stdout + done.stderr
    log = tiny.root / ".dwell/logs/tiny_second.log"
    assert str(log) in done.stderr
    assert "a secret of the code" in log.read_text()
    assert "Traceback" in log.read_text()


def test_a_stage_that_is_killed_is_an_error(tiny) -> None:
    tiny.steer("die")
    code, found = tiny.build()
    assert code == 6
    assert _statuses(found) == {"tiny_first": "ran", "tiny_second": "failed"}
    assert "killed" in found["error"]["message"]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_stopped_build_leaves_no_process_and_nothing_half_written(tiny, number: signal.Signals) -> None:
    tiny.steer("sleep")
    building = tiny.start("build", "--until", "tiny_second")
    pids = tiny.steering / "pids"
    _wait(lambda: pids.exists() and len(pids.read_text().split()) == 2)
    below = [p.pid for p in psutil.Process(building.pid).children(recursive=True)]
    stage, sleeper = (int(p) for p in pids.read_text().split())
    assert {stage, sleeper} <= set(below)
    os.kill(building.pid, number)
    out, err = building.communicate(timeout=20)
    assert building.returncode == (-9 if number == signal.SIGKILL else 130)
    assert "Traceback" not in out + err
    for pid in below:
        _wait(lambda pid=pid: _gone(pid), 5.0)

    artifacts = tiny.root / ".dwell/artifacts"
    assert not list(artifacts.glob("tiny_*"))
    tiny.steer("sleep", on=False)
    code, found = tiny.build()
    assert code == 0
    assert _statuses(found) == {"tiny_first": "ran", "tiny_second": "ran"}
    assert not list(artifacts.glob(".tmp-*"))


@pytest.mark.fast
def test_a_killed_stage_process_takes_its_children_along(tiny) -> None:
    tiny.steer("sleep")
    building = tiny.start("build", "--until", "tiny_second", "--json")
    pids = tiny.steering / "pids"
    _wait(lambda: pids.exists() and len(pids.read_text().split()) == 2)
    stage, sleeper = (int(p) for p in pids.read_text().split())
    os.kill(stage, signal.SIGKILL)
    out, _ = building.communicate(timeout=20)
    assert building.returncode == 6
    assert _statuses(json.loads(out)) == {"tiny_first": "failed", "tiny_second": "skipped"}
    _wait(lambda: _gone(sleeper), 5.0)


def test_only_one_build_at_a_time(tiny) -> None:
    tiny.steer("sleep")
    building = tiny.start("build", "--until", "tiny_second")
    _wait((tiny.steering / "pids").exists)
    code, found = tiny.build()
    building.kill()
    building.communicate(timeout=20)
    assert code == 6
    assert "another build" in found["error"]["message"]


def test_an_edited_artifact_is_kept_aside_and_built_again(tiny) -> None:
    _, found = tiny.build()
    path = Path(found["stages"][0]["artifact"]) / "one.txt"
    path.write_text("mine\n")
    _, again = tiny.build()
    assert _statuses(again) == {"tiny_first": "ran", "tiny_second": "cached"}
    assert path.read_text() == "2.5 7\n"
    kept = list((tiny.root / ".dwell/edited").rglob("one.txt"))
    assert [p.read_text() for p in kept] == ["mine\n"]


def test_a_removed_artifact_is_built_again(tiny) -> None:
    _, found = tiny.build()
    shutil.rmtree(found["stages"][0]["artifact"])
    assert _statuses(tiny.build()[1]) == {"tiny_first": "ran", "tiny_second": "cached"}


@pytest.mark.fast
def test_unknown_and_broken_stages(tiny) -> None:
    done = tiny.dwell("build", "--until", "tiny_secnd", "--json")
    assert done.returncode == 2
    assert json.loads(done.stdout)["error"]["hint"] == "did you mean 'tiny_second'?"
    done = tiny.dwell("build", "--until", "tiny_broken", "--json")
    assert done.returncode == 2
    assert "tinyplug_missing" in json.loads(done.stdout)["error"]["message"]


def test_a_folder_with_spaces_and_braces(tiny) -> None:
    odd = tiny.root.parent / "a b {c} 'd'"
    tiny.root.rename(odd)
    tiny.root = odd
    code, found = tiny.build()
    assert code == 0, found
    assert _statuses(found) == {"tiny_first": "ran", "tiny_second": "ran"}
