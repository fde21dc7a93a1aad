"""The command line: one JSON object and nothing else, exit codes, never a traceback."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from dwell.cli import run
from dwell.commands import run_command
from dwell.errors import InternalError, VerificationError
from dwell.progress import SilentReporter

pytestmark = pytest.mark.fast


@pytest.fixture(autouse=True)
def _logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DWELL_LOGS", str(tmp_path / "logs"))


def _error(capsys: pytest.CaptureFixture[str]) -> dict:
    printed = capsys.readouterr()
    assert "Traceback" not in printed.out + printed.err
    found = json.loads(printed.out)
    assert set(found) == {"error"}
    return found["error"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["build", "--frob", "--json"],
        ["bild", "--json"],
        ["env", "--json"],
        ["build", "-j", "0", "--json"],
        ["simulate", "--json"],
        ["simulate", ".", "--level", "moon", "--json"],
        ["convert", "m.onnx", "--json"],
    ],
)
def test_bad_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 2
    error = _error(capsys)
    assert error["code"] == "usage"
    assert "--help" in error["hint"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["build", "/nowhere", "--json"],
        ["simulate", "/nowhere", "--json"],
        ["synthesize", "/nowhere", "--json"],
        ["convert", "/nowhere.onnx", "--backend", "rtl", "--out", "x", "--json"],
        ["report", "/nowhere", "--json"],
        ["env", "sync", "biuld", "--json"],
        ["init", "x", "--model", "vacany", "--json"],
    ],
)
def test_missing_files_and_names(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 2
    error = _error(capsys)
    assert error["code"] == "config"
    assert error["hint"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["sweep", "project", "--trials", "3"],
        ["data", "import", "file.dm4"],
    ],
)
def test_what_is_not_built_yet_says_so(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*arguments, "--json"]) == 1
    assert _error(capsys)["code"] == "not-built-yet"
    assert run(arguments) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "not built yet" in printed.err
    assert "hint" in printed.err


def test_init_makes_a_project_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["init", str(tmp_path / "mine"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["files"] == [str(tmp_path / "mine" / "dwell.toml")]
    assert run(["init", str(tmp_path / "mine"), "--json"]) == 2
    assert "is there already" in _error(capsys)["message"]


def test_doctor_gives_reasons(tiny) -> None:
    done = tiny.dwell("doctor", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert {"tools", "environments", "plugins"} <= set(found)
    for entry in [*found["tools"], *found["environments"], *found["plugins"]]:
        assert entry["ok"] or entry["reason"]
    broken = next(p for p in found["plugins"] if p["name"] == "tiny_broken")
    assert "No module named 'tinyplug_missing'" in broken["reason"]
    assert found["ok"] is False
    assert next(p for p in found["plugins"] if p["name"] == "tiny_first")["ok"]
    text = tiny.dwell("doctor").stdout
    assert "tinyplug_missing" in text
    assert "Something required is missing." in text


def test_an_unexpected_exception_keeps_its_traceback_in_a_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> None:
        raise RuntimeError("oh")

    monkeypatch.setattr("dwell.cli.environment.diagnose", broken)
    assert run(["doctor", "--json"]) == 70
    error = _error(capsys)
    assert error["message"] == "RuntimeError: oh"
    assert "Traceback" in Path(error["log_path"]).read_text()


def test_a_room_command_runs_in_its_own_process(tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", tiny.environment["PYTHONPATH"])

    def call(args: dict) -> dict:
        return run_command("echo", "tinyplug:echo", args, SilentReporter(), environment="core")

    assert call({"say": [1, 2]}) == {"said": [1, 2]}
    with pytest.raises(VerificationError, match="not equal") as caught:
        call({"fail": True})
    assert caught.value.first_mismatch == {"index": 1}
    with pytest.raises(InternalError, match="KeyError") as internal:
        call({})
    assert internal.value.log_path is not None
    log = internal.value.log_path.read_text()
    assert "said on standard output" in log
    assert "Traceback" in log


def test_output_to_a_closed_pipe_is_no_error() -> None:
    command = f"{sys.executable} -m dwell doctor --json | head -c 10"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.stdout == '{\n  "dwell'
    assert done.stderr == ""


def test_human_errors_go_to_standard_error(tiny) -> None:
    tiny.steer("fail")
    done = tiny.dwell("build", "--until", "tiny_second")
    assert done.returncode == 4
    assert "first mismatch: index = 3" in done.stderr
    assert "hint: look at it" in done.stderr
    assert "tiny_second" in done.stdout
    assert "failed" in done.stdout
