"""Lock files: every package of an environment with its exact version."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from dwell.errors import ConfigError, nearest

_PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==([^\s;#]+)$")
_INDEX = re.compile(r"^#\s*fallback-index:\s*(\S+)\s*$")
_BASE = re.compile(r"^#\s*builds-on:\s*(\S+)\s*$")


@dataclass(frozen=True)
class Lock:
    """A lock file. `pins` maps normalised names to versions; `fallback_index` is for what an index lacks.

    `base` is the environment whose packages are seen too, after its own; its lock enters the digest.
    """

    name: str
    path: Path
    digest: str
    pins: dict[str, str]
    fallback_index: str = ""
    base: Lock | None = None


def normalise(name: str) -> str:
    """A package's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def lock_folders() -> tuple[Path, ...]:
    """Where lock files are: `$DWELL_LOCKS` first, then those that come with dwell."""
    own = Path(str(resources.files("dwell.envs")))
    extra = os.environ.get("DWELL_LOCKS")
    return (Path(extra).expanduser().resolve(), own) if extra else (own,)


def lock_names() -> tuple[str, ...]:
    """The names of all environments that have a lock."""
    return tuple(sorted({path.stem for folder in lock_folders() for path in folder.glob("*.txt")}))


def read_lock(name: str, *, alone: bool = False) -> Lock:
    """The lock of an environment. Raises `ConfigError` for an unknown name or a line that pins nothing.

    `alone`: it may not build on another one.
    """
    for folder in lock_folders():
        path = folder / f"{name}.txt"
        if path.is_file():
            return parse_lock(name, path, alone=alone)
    raise ConfigError(f"there is no environment '{name}'", hint=nearest(name, lock_names()), place=name)


def parse_lock(name: str, path: Path, *, alone: bool = False) -> Lock:
    """Read one lock file: `package==version` lines and comments; `alone` as in `read_lock`."""
    text = path.read_text(encoding="utf-8")
    pins: dict[str, str] = {}
    index = base = ""
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        found = _INDEX.match(line)
        index = found.group(1) if found else index
        found = _BASE.match(line)
        base = found.group(1) if found else base
        if not line or line.startswith("#"):
            continue
        pin = _PIN.match(line)
        if pin is None:
            raise ConfigError(
                f"{path}, line {number}: '{line}' is not package==version",
                hint="a lock pins every package exactly",
                place=f"{path}:{number}",
            )
        pins[normalise(pin.group(1))] = pin.group(2)
    if base and not alone:
        under = read_lock(base, alone=True)
    elif base:
        raise ConfigError(
            f"'{name}' builds on '{base}', and another environment builds on it",
            hint="an environment builds on one that holds all it needs itself",
            place=str(path),
        )
    else:
        under = None
    facts = [f"{k}=={v}" for k, v in sorted(pins.items())]
    facts += [f"builds-on {under.name} {under.digest}"] if under else []
    digest = hashlib.sha256("\n".join(facts).encode()).hexdigest()
    return Lock(name, path, digest, pins, index, under)


def installed_in(site_folders: Iterable[Path]) -> dict[str, str]:
    """Normalised name to version of all that is installed in some site-packages folders."""
    found: dict[str, str] = {}
    for folder in site_folders:
        for info in folder.glob("*.dist-info"):
            name, _, version = info.name.removesuffix(".dist-info").partition("-")
            # pip writes METADATA early and RECORD last: without it the package is not whole
            if version and (info / "RECORD").exists():
                found.setdefault(normalise(name), version)
    return found


def missing_pins(lock: Lock, installed: dict[str, str]) -> list[str]:
    """The pins that an installation does not meet; a local version (`2.13.0+cpu`) meets its public one."""
    missing = []
    for name, version in lock.pins.items():
        have = installed.get(name, "")
        if version not in (have, have.partition("+")[0]):
            missing.append(f"{name}=={version}")
    return missing
