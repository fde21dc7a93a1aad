"""Things that are built once: a directory per key, made by one process at a time, whole or absent."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from dwell.artifact import sweep_temporary, write_atomic_dir
from dwell.errors import ResourceError

KEPT = 24
"""Entries kept of a kind; the ones not used for longest go first."""


def cache_root() -> Path:
    """Where built simulators live: `$DWELL_CACHE`, else `dwell` in the user's cache folder."""
    if chosen := os.environ.get("DWELL_CACHE"):
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "dwell"


def cached(kind: str, key: str, make: Callable[[Path], None], *, wait_s: float = 900.0) -> Path:
    """The directory of `key` among the entries of `kind`, filled by `make(directory)` if it is not there.

    A second process waits for the first instead of building too. Nothing is left if `make` raises.
    Raises `ResourceError` when another process holds the lock for longer than `wait_s` seconds.
    """
    folder = cache_root() / kind
    entry = folder / key
    if not _fresh(entry):
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder / f"{key}.lock", wait_s):
            if not _fresh(entry):
                sweep_temporary(folder)
                with write_atomic_dir(entry) as directory:
                    make(directory)
                _prune(folder, keep=entry)
    return entry


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A folder for the files of one run. What a killed run left is removed by a later one."""
    folder = cache_root() / "scratch"
    folder.mkdir(parents=True, exist_ok=True)
    sweep_temporary(folder)
    # The name is that of a half-written artifact of this process, which is what the sweep looks for.
    directory = folder / f".tmp-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    directory.mkdir()
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def keep_log(log: Path) -> Path:
    """A copy of the log of a failed build, under `logs`, that outlives the removed directory."""
    folder = cache_root() / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / f"{log.parent.name.lstrip('.')[-40:]}.log"
    shutil.copyfile(log, kept)
    return kept


def _fresh(entry: Path) -> bool:
    """Whether the entry is there; being asked for makes it young again."""
    if not entry.is_dir():
        return False
    with contextlib.suppress(OSError):
        os.utime(entry)
    return True


@contextlib.contextmanager
def _locked(path: Path, wait_s: float) -> Iterator[None]:
    # The kernel drops the lock when its holder dies, however it dies; the empty file may stay.
    with path.open("a") as stream:
        limit = time.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > limit:
                    raise ResourceError(
                        f"another process has been building {path.stem[:12]} for {wait_s:.0f} s",
                        hint="wait for it, or end it",
                        place=str(path),
                    ) from None
                time.sleep(0.1)
        yield


def _prune(folder: Path, *, keep: Path) -> None:
    entries = [p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".") and p != keep]
    entries.sort(key=lambda p: p.stat().st_mtime, reverse=True)
    for old in entries[KEPT - 1 :]:
        shutil.rmtree(old, ignore_errors=True)
        old.with_name(old.name + ".lock").unlink(missing_ok=True)
