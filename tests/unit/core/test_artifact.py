"""Artifacts: whole or absent, also when the process that writes one is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dwell.artifact import Artifact, Manifest, digest_files, sweep_temporary, write_atomic_dir
from dwell.errors import ConfigError

pytestmark = pytest.mark.fast


def _manifest(**changes: object) -> Manifest:
    values: dict[str, object] = {
        "name": "x",
        "stage": "s",
        "digest": "d" * 64,
        "inputs": {},
        "params": {"a": [1, 2.5]},
        "code_digest": "c",
        "tools": {"python": "3.11"},
        "seed": 1,
    }
    return Manifest(**{**values, **changes})  # type: ignore[arg-type]


def test_a_directory_appears_whole(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    with write_atomic_dir(out) as folder:
        (folder / "a").write_text("1")
        assert not out.exists()
    assert (out / "a").read_text() == "1"
    assert [p.name for p in out.parent.iterdir()] == ["out"]


def test_an_error_leaves_nothing_and_keeps_the_old_one(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with write_atomic_dir(out) as folder:
        (folder / "a").write_text("old")
    with pytest.raises(ValueError, match="stop"), write_atomic_dir(out) as folder:
        (folder / "a").write_text("new")
        raise ValueError("stop")
    assert (out / "a").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    with write_atomic_dir(out) as folder:
        (folder / "b").write_text("new")
    assert [p.name for p in out.iterdir()] == ["b"]
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_killed_writer_leaves_no_artifact_and_is_swept(tmp_path: Path) -> None:
    code = (
        "import os, sys, pathlib, signal\n"
        "from dwell.artifact import write_atomic_dir\n"
        "with write_atomic_dir(pathlib.Path(sys.argv[1]) / 'out') as folder:\n"
        "    (folder / 'half').write_text('half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert not (tmp_path / "out").exists()
    assert len(list(tmp_path.iterdir())) == 1
    mine = tmp_path / f".tmp-{os.getpid()}-x-other"
    mine.mkdir()
    assert sweep_temporary(tmp_path) == 1
    assert list(tmp_path.iterdir()) == [mine]


def test_a_temporary_older_than_the_process_of_its_number_is_swept(tmp_path: Path) -> None:
    old = tmp_path / f".tmp-{os.getpid()}-x-other"
    old.mkdir()
    os.utime(old, (1.0, 1.0))
    assert sweep_temporary(tmp_path) == 1


def test_a_manifest_goes_around(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "f.txt").write_text("f")
    manifest = _manifest(files=digest_files(tmp_path), metrics={"m": 1.5})
    manifest.write(tmp_path)
    artifact = Artifact.load(tmp_path)
    assert artifact.manifest == manifest
    assert set(artifact.manifest.files) == {"sub/f.txt"}
    assert artifact.file("sub/f.txt").read_text() == "f"
    with pytest.raises(ConfigError) as caught:
        artifact.file("sub/g.txt")
    assert caught.value.hint == "did you mean 'sub/f.txt'?"


def test_what_is_no_artifact(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not an artifact"):
        Artifact.load(tmp_path)
    (tmp_path / "manifest.json").write_text('{"name": 1}')
    with pytest.raises(ConfigError, match="cannot be read"):
        Artifact.load(tmp_path)


def test_a_metric_that_is_no_number_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        _manifest(metrics={"m": float("nan")}).write(tmp_path)
