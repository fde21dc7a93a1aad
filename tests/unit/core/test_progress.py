"""Progress: bars on a terminal and nowhere else; a run without any RTL test fails."""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dwell.progress import LineReporter, SilentReporter, reporter

pytestmark = pytest.mark.fast


def test_bars_only_on_a_terminal(tiny) -> None:
    primary, secondary = pty.openpty()
    done = subprocess.run(
        tiny.command("build", "--until", "tiny_first"),
        env={**tiny.environment, "TERM": "xterm"},
        stdout=subprocess.PIPE,
        stderr=secondary,
        cwd=tiny.root,
        check=True,
    )
    os.close(secondary)
    shown = os.read(primary, 100_000).decode()
    os.close(primary)
    assert "\x1b[" in shown
    assert "tiny_first" in shown
    assert "\x1b[" not in done.stdout.decode()

    plain = tiny.dwell("build", "--until", "tiny_second")
    assert "\x1b[" not in plain.stdout + plain.stderr
    assert "[tiny_second] started" in plain.stderr


def test_lines_are_few(capsys: pytest.CaptureFixture[str]) -> None:
    with reporter() as lines:
        assert isinstance(lines, LineReporter)
        lines.start("a")
        for step in range(1000):
            lines.update("a", step / 1000, "step")
        lines.end("a", "1.0 s")
    printed = capsys.readouterr()
    assert printed.err.splitlines() == ["[a] started", "[a] 1.0 s"]
    assert printed.out == ""


def test_quiet_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    with reporter(quiet=True) as silent:
        assert isinstance(silent, SilentReporter)
        silent.start("a")
        silent.note("b")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("others", "code"), [("", 1), ("\n@pytest.mark.rtl\ndef test_b():\n    pass\n", 0)])
def test_a_run_that_skips_every_rtl_test_fails(tmp_path: Path, others: str, code: int) -> None:
    shutil.copy(Path(__file__).parents[2] / "conftest.py", tmp_path / "conftest.py")
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n    rtl: x\n")
    test = 'import pytest\n@pytest.mark.rtl\ndef test_a():\n    pytest.skip("no simulator")\n'
    (tmp_path / "test_x.py").write_text(test + others)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout
