"""Where environments are, and whether they are whole."""

from __future__ import annotations

import json
import os
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import platformdirs

import dwell
from dwell.environments.link import link_digest
from dwell.environments.lock import Lock, installed_in, missing_pins

MARKER = "dwell-environment.json"
#: The name of the environment that the core itself runs in; it needs no making.
CORE = "core"


@dataclass(frozen=True)
class Environment:
    """An environment as it is now. `reason` says why it is not ready."""

    name: str
    python: Path
    path: Path
    lock_digest: str
    packages: int
    reason: str = ""

    @property
    def ready(self) -> bool:
        """Whether stages can run in it."""
        return not self.reason

    @property
    def site_packages(self) -> Path:
        """Its folder of installed packages."""
        if self.python == Path(sys.executable):
            return Path(sysconfig.get_path("purelib"))
        return site_packages(self.path)


def checkout() -> Path | None:
    """The source tree that this `dwell` is imported from, or None if it was installed from a wheel."""
    root = Path(dwell.__file__).resolve().parent.parent
    inside = (root / "pyproject.toml").is_file() and (root / "envs" / "__init__.py").is_file()
    return root if inside else None


def environments_root() -> Path:
    """`$DWELL_ENVS`, or `.envs` in the checkout, or the user's cache."""
    chosen = os.environ.get("DWELL_ENVS")
    if chosen:
        return Path(chosen).expanduser().resolve()
    root = checkout()
    return root / ".envs" if root is not None else Path(platformdirs.user_cache_dir("dwell")) / "envs"


def site_packages(environment: Path) -> Path:
    """The packages folder of a virtual environment made by this Python."""
    return environment / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"


def environment_path(lock: Lock) -> Path:
    """The folder of a lock's environment: a changed lock has another."""
    return environments_root() / f"{lock.name}-{lock.digest[:12]}"


def locate(lock: Lock) -> Environment:
    """A lock's environment: the running interpreter if it meets the lock, else the one under the root.

    One that builds on another hides some of its packages, so it is never the running one by chance.
    """
    running = installed_in({Path(p) for p in (sysconfig.get_path("purelib"), sysconfig.get_path("platlib"))})
    if lock.base is None and not missing_pins(lock, running):
        return Environment(lock.name, Path(sys.executable), Path(sys.prefix), lock.digest, len(lock.pins))
    path = environment_path(lock)
    return Environment(
        lock.name, path / "bin" / "python", path, lock.digest, len(lock.pins), _why_not_ready(path, lock)
    )


def _why_not_ready(path: Path, lock: Lock) -> str:
    again = f"run `dwell env sync {lock.name}`"
    if not path.is_dir():
        return f"not made yet: {again}"
    try:
        marker = json.loads((path / MARKER).read_text())
    except (OSError, ValueError):
        return f"its making was interrupted: {again}"
    if marker.get("source") != link_digest():
        return f"dwell was installed anew since: {again}"
    if not (path / "bin" / "python").exists():
        return f"its Python is gone: {again}"
    if lock.base is not None and missing_pins(lock.base, installed_in([Path(str(marker.get("base")))])):
        return f"'{lock.base.name}', which it builds on, has changed or is gone: {again}"
    return ""
