"""Built once, whole or not at all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from dwell.errors import ResourceError
from dwell.sim.verilated import cache
from dwell.sim.verilated.cache import cached


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DWELL_CACHE", str(tmp_path))
    return tmp_path


def test_two_at_once_build_once() -> None:
    made: list[int] = []
    found: list[Path] = []

    def make(directory: Path) -> None:
        made.append(1)
        time.sleep(0.3)
        (directory / "it").write_text("x")

    threads = [threading.Thread(target=lambda: found.append(cached("kind", "key", make))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert [p / "it" for p in found] == [found[0] / "it"] * 4
    assert (found[0] / "it").read_text() == "x"


def test_a_failure_leaves_nothing(root: Path) -> None:
    def make(directory: Path) -> None:
        (directory / "half").write_text("x")
        raise RuntimeError("broke")

    with pytest.raises(RuntimeError, match="broke"):
        cached("kind", "key", make)
    assert [p.name for p in (root / "kind").iterdir()] == ["key.lock"]


def test_a_killed_builder_leaves_nothing_that_counts(root: Path) -> None:
    program = (
        "import time\nfrom dwell.sim.verilated.cache import cached\n"
        "def make(d):\n    (d / 'half').write_text('x'); print('in', flush=True); time.sleep(300)\n"
        "cached('kind', 'key', make)\n"
    )
    builder = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, env=dict(os.environ))
    assert builder.stdout is not None
    assert builder.stdout.readline() == b"in\n"
    assert not (root / "kind" / "key").exists()
    builder.send_signal(signal.SIGKILL)
    builder.wait()
    builder.stdout.close()
    entry = cached("kind", "key", lambda directory: (directory / "whole").touch(), wait_s=5)
    assert [p.name for p in entry.iterdir()] == ["whole"]
    assert sorted(p.name for p in (root / "kind").iterdir()) == ["key", "key.lock"]


def test_a_lock_held_for_too_long_is_told() -> None:
    started, finish = threading.Event(), threading.Event()

    def make(directory: Path) -> None:
        started.set()
        finish.wait(20)

    holder = threading.Thread(target=lambda: cached("kind", "key", make))
    holder.start()
    started.wait(20)
    try:
        with pytest.raises(ResourceError, match="another process"):
            cached("kind", "key", make, wait_s=0.2)
    finally:
        finish.set()
        holder.join()


def test_old_entries_go(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "KEPT", 3)
    for index in range(5):
        entry = cached("kind", f"key{index}", lambda directory: None)
        os.utime(entry, (index, index))
    kept = sorted(p.name for p in (root / "kind").iterdir() if p.is_dir())
    assert len(kept) == 3
    assert "key4" in kept
    assert "key0" not in kept
