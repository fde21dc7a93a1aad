"""An artifact: a directory that is whole or absent, with a manifest that says how it came to be."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pydantic

from dwell.errors import ConfigError, nearest

MANIFEST = "manifest.json"
_TEMPORARY = ".tmp-"


class Manifest(pydantic.BaseModel):
    """`manifest.json`: digests of what went in, what came out, and by which tools."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="constants")

    name: str
    stage: str
    digest: str
    inputs: dict[str, str]
    params: dict[str, Any]
    code_digest: str
    tools: dict[str, str]
    seed: int
    metrics: dict[str, Any] = {}
    wall_seconds: float = 0.0
    files: dict[str, str] = {}

    def write(self, directory: Path) -> None:
        """Write `manifest.json` into `directory`, keys sorted."""
        text = json.dumps(self.model_dump(mode="json"), indent=1, sort_keys=True, allow_nan=False)
        (directory / MANIFEST).write_text(text + "\n")


@dataclass(frozen=True)
class Artifact:
    """A finished artifact directory."""

    path: Path
    manifest: Manifest

    @classmethod
    def load(cls, directory: Path) -> Artifact:
        """Read `directory`. Raises `ConfigError` if there is no readable manifest in it."""
        directory = Path(directory)
        path = directory / MANIFEST
        try:
            manifest = Manifest.model_validate_json(path.read_text())
        except (FileNotFoundError, NotADirectoryError) as error:
            raise ConfigError(
                f"{directory} is not an artifact: it has no {MANIFEST}",
                hint="give an artifact directory, such as .dwell/latest/convert",
                place=str(directory),
            ) from error
        except (pydantic.ValidationError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"{path} cannot be read as a manifest",
                hint="remove the directory and build again",
                place=str(path),
            ) from error
        return cls(directory, manifest)

    def file(self, name: str) -> Path:
        """The path of a file in the artifact. Raises `ConfigError` if it is absent."""
        path = self.path / name
        if not path.exists():
            hint = nearest(name, self.manifest.files) or "remove the directory and build again"
            raise ConfigError(
                f"artifact {self.path.name} has no file '{name}'", hint=hint, place=str(self.path)
            )
        return path


def write_rung(directory: Path, rung: Mapping[str, Any]) -> None:
    """Write what a rung of the ladder found, `rungs/<n>.json`, into an artifact; `n` is its own `rung`."""
    folder = directory / "rungs"
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(rung, indent=1, sort_keys=True, allow_nan=False)
    (folder / f"{rung['rung']}.json").write_text(text + "\n")


def file_digest(path: Path) -> str:
    """SHA-256 of a file's contents, as hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def json_digest(value: object) -> str:
    """SHA-256 of a JSON value in canonical form."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def digest_files(directory: Path) -> dict[str, str]:
    """SHA-256 of every file under `directory` but the manifest, by relative POSIX path."""
    found = {}
    for path in sorted(p for p in directory.rglob("*") if p.is_file() and not p.is_symlink()):
        name = path.relative_to(directory).as_posix()
        if name != MANIFEST:
            found[name] = file_digest(path)
    return found


@contextlib.contextmanager
def write_atomic_dir(out: Path) -> Iterator[Path]:
    """Give a new directory beside `out`; when the block ends well it becomes `out`, else it is removed.

    An existing `out` is replaced. What a killed process left is removed by `sweep_temporary`.
    """
    out = Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.parent / f"{_TEMPORARY}{os.getpid()}-{uuid.uuid4().hex[:8]}-{out.name}"
    temporary.mkdir()
    try:
        yield temporary
        _replace(temporary, out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _replace(new: Path, out: Path) -> None:
    # rename(2) takes an empty directory's place but not a full one's: the old one steps aside first.
    if out.is_dir() and any(out.iterdir()):
        old = new.with_name(new.name + "-old")
        out.rename(old)
        new.rename(out)
        shutil.rmtree(old, ignore_errors=True)
    else:
        new.rename(out)


def sweep_temporary(parent: Path) -> int:
    """Remove the temporary directories in `parent` whose process is dead. Returns how many."""
    swept = 0
    for path in parent.glob(f"{_TEMPORARY}*"):
        if not _has_owner(path):
            shutil.rmtree(path, ignore_errors=True)
            swept += 1
    return swept


def _has_owner(path: Path) -> bool:
    try:
        pid = int(path.name.removeprefix(_TEMPORARY).split("-", 1)[0])
        # a process younger than the directory only has the number of the one that made it
        return bool(psutil.Process(pid).create_time() <= path.stat().st_mtime)
    except (ValueError, OSError, psutil.Error):
        return False
