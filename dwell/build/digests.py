"""What enters an artifact's digest: sources, parameters, outside files, the lock of the environment."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
from collections.abc import Iterable, Iterator
from pathlib import Path

from dwell.artifact import Artifact, file_digest
from dwell.errors import ConfigError

_IGNORED = {"__pycache__", ".mypy_cache", ".ruff_cache"}


def code_digest(names: Iterable[str]) -> str:
    """SHA-256 over the sources and data files of packages and modules, by name and content."""
    total = hashlib.sha256()
    for name in sorted(set(names)):
        total.update(f"{name} {_one_digest(name)}\n".encode())
    return total.hexdigest()


@functools.lru_cache(maxsize=256)
def _one_digest(name: str) -> str:
    total = hashlib.sha256()
    for relative, path in _sources(name):
        total.update(f"{relative} {file_digest(path)}\n".encode())
    return total.hexdigest()


def _sources(name: str) -> Iterator[tuple[str, Path]]:
    try:
        spec = importlib.util.find_spec(name)
    except ModuleNotFoundError:
        spec = None
    if spec is None or spec.origin is None:
        raise ConfigError(
            f"the code '{name}' that a stage names is not installed", hint="reinstall the package", place=name
        )
    origin = Path(spec.origin)
    if not spec.submodule_search_locations:
        yield origin.name, origin
        return
    for path in sorted(origin.parent.rglob("*")):
        relative = path.relative_to(origin.parent)
        hidden = any(part in _IGNORED or part.startswith(".") for part in relative.parts)
        if path.is_file() and path.suffix != ".pyc" and not hidden:
            yield relative.as_posix(), path


def outside_files(paths: Iterable[Path], root: Path, stage: str) -> list[list[str]]:
    """Name and SHA-256 of outside files, the name relative to the project where the file is inside it."""
    found = []
    for path in paths:
        full = path if path.is_absolute() else root / path
        if not full.is_file():
            raise ConfigError(
                f"stage '{stage}' needs the file {full}, which is not there",
                hint="mend its path in dwell.toml, or put the file there",
                place=str(full),
            )
        inside = full.resolve().is_relative_to(root)
        name = full.resolve().relative_to(root).as_posix() if inside else full.name
        found.append([name, file_digest(full)])
    return found


def edited_files(artifact: Artifact) -> list[str]:
    """The files of an artifact that are gone or not as they were written."""
    wrong = []
    for name, digest in artifact.manifest.files.items():
        path = artifact.path / name
        if not path.is_file() or file_digest(path) != digest:
            wrong.append(name)
    return wrong
