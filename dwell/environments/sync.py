"""Making an environment from its lock: beside the old one, marked only when whole, its log kept."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import filelock

from dwell.environments.link import link_digest, link_into
from dwell.environments.locate import (
    MARKER,
    Environment,
    environment_path,
    environments_root,
    locate,
    site_packages,
)
from dwell.environments.lock import Lock, installed_in, missing_pins
from dwell.errors import ResourceError, ToolFailedError
from dwell.guard import guarded
from dwell.processes import kill_tree
from dwell.progress import Reporter

_TAIL_LINES = 15
BASE_LINK = "dwell-builds-on.pth"


@dataclass(frozen=True)
class Synced:
    """What a sync did: `made` is False where everything was there already."""

    environment: Environment
    seconds: float
    made: bool


def sync(lock: Lock, report: Reporter) -> Synced:
    """Make the environment of a lock, and first the one it builds on, if they are not whole already.

    Raises `ToolFailedError` naming the package that could not be installed, with the log's path and tail.
    """
    started = time.monotonic()
    if locate(lock).ready:
        return Synced(locate(lock), time.monotonic() - started, made=False)
    base = sync(lock.base, report).environment.site_packages if lock.base else None
    path = environment_path(lock)
    path.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(path.parent / f".{lock.name}.lock"):
        if not locate(lock).ready:  # another process may have made it while this one waited
            _make(lock, path, base, report)
            _settle(lock, path)
    return Synced(locate(lock), time.monotonic() - started, made=True)


def log_path(name: str) -> Path:
    """The log of an environment's last making."""
    return environments_root() / "logs" / f"{name}.log"


def _make(lock: Lock, path: Path, base: Path | None, report: Reporter) -> None:
    log = log_path(lock.name)
    log.parent.mkdir(parents=True, exist_ok=True)
    report.start(lock.name, "making the environment")
    try:
        if not _packages_whole(lock, path):
            log.write_text("")
            shutil.rmtree(path, ignore_errors=True)
            _run("venv", [sys.executable, "-I", "-m", "venv", "--without-pip", str(path)], log)
            _install(lock, path, log, report)
        report.update(lock.name, 1.0, "linking dwell")
        link_into(site_packages(path))
        if base is not None:
            (site_packages(path) / BASE_LINK).write_text(f"{base}\n")  # after its own: those go first
    except BaseException:
        report.end(lock.name, f"failed; log: {log}", ok=False)
        raise
    marker = {"name": lock.name, "lock": lock.digest, "source": link_digest(), "packages": len(lock.pins)}
    marker |= {"base": str(base)} if base else {}
    temporary = path / f"{MARKER}.new"
    temporary.write_text(json.dumps(marker, indent=1) + "\n")
    temporary.replace(path / MARKER)
    report.end(lock.name, f"{len(lock.pins)} packages in {path}")


def _packages_whole(lock: Lock, path: Path) -> bool:
    """Whether only the link to dwell is out of date: the marker is there, and so is every package."""
    return (path / MARKER).is_file() and not missing_pins(lock, installed_in([site_packages(path)]))


def _install(lock: Lock, path: Path, log: Path, report: Reporter) -> None:
    # this interpreter's pip installs into the other one: bootstrapping one there takes seconds
    command = [sys.executable, "-I", "-m", "pip", "--python", str(path / "bin" / "python")]
    command += ["install", "--no-deps", "--no-input"]
    command += ["--disable-pip-version-check", "--progress-bar", "off", "-r", str(lock.path)]
    with _count_packages(lock, path, report):
        try:
            _run("pip install", command, log)
        except ToolFailedError as error:
            if not lock.fallback_index or "No matching distribution" not in error.tail:
                raise
            report.note(f"[{lock.name}] trying again with {lock.fallback_index}")
            _run("pip install", [*command, "--extra-index-url", lock.fallback_index], log)
    missing = missing_pins(lock, installed_in([site_packages(path)]))
    if missing:
        raise ToolFailedError(
            f"pip install of {missing[0]}",
            log=log,
            tail="pip ended well, but did not install it",
            hint=f"see {log}",
        )


@contextlib.contextmanager
def _count_packages(lock: Lock, path: Path, report: Reporter) -> Iterator[None]:
    """Report what pip has unpacked so far, from a thread, while the block runs."""
    over = threading.Event()
    total = max(len(lock.pins), 1)

    def count() -> None:
        while not over.wait(0.3):
            here = len(lock.pins.keys() & installed_in([site_packages(path)]).keys())
            report.update(lock.name, here / total, f"{here}/{total} packages")

    thread = threading.Thread(target=count, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _run(tool: str, command: list[str], log: Path) -> None:
    """Run a command into the log. It and what it started are dead when this returns or raises."""
    with log.open("a") as stream:
        stream.write(f"$ {' '.join(command)}\n")
        stream.flush()
        process = subprocess.Popen(
            guarded(command),
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = process.wait()
        finally:
            kill_tree(process.pid)
    if code != 0:
        raise _failure(tool, log)


def _failure(tool: str, log: Path) -> ToolFailedError | ResourceError:
    text = log.read_text(errors="replace")
    tail = "\n".join(text.splitlines()[-_TAIL_LINES:])
    if "No space left on device" in tail:
        return ResourceError(
            "no space left on the disk", hint="make room, or set $DWELL_ENVS", place=str(log)
        )
    package = failing_package(text)
    return ToolFailedError(
        f"{tool} of {package}" if package else tool,
        log=log,
        tail=tail,
        hint=f"see {log}; is the package index within reach?",
        place=package,
    )


def failing_package(log_text: str) -> str:
    """The package that pip's output blames, or an empty string."""
    patterns = (
        r"No matching distribution found for (\S+)",
        r"Could not find a version that satisfies the requirement (\S+)",
        r"Failed to build (?:installable wheels for some pyproject\.toml based projects )?\(?([\w.-]+)",
        r"Failed building wheel for (\S+)",
        r"(?:Invalid|invalid) wheel.*?([\w.-]+\.whl)",
    )
    for pattern in patterns:
        found = re.findall(pattern, log_text)
        if found:
            return str(found[-1]).rstrip(".,")
    collecting = re.findall(r"^(?:Collecting|Processing|Downloading) (\S+)", log_text, re.MULTILINE)
    return Path(str(collecting[-1])).name if collecting and "Installing collected" not in log_text else ""


def _settle(lock: Lock, path: Path) -> None:
    """Point `NAME` at the new environment and remove older ones of that name."""
    link = path.parent / lock.name
    temporary = path.parent / f".{lock.name}.new"
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(path.name)
    if link.is_dir() and not link.is_symlink():
        shutil.rmtree(link)
    temporary.replace(link)
    for old in path.parent.glob(f"{lock.name}-*"):
        if old != path and re.fullmatch(rf"{re.escape(lock.name)}-[0-9a-f]{{12}}", old.name):
            shutil.rmtree(old, ignore_errors=True)
