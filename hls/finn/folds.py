"""Folding files, FINN's own JSON of `PE` and `SIMD` by layer. Light to import: a project is planned with it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dwell.errors import ConfigError


def folding_file(folding: object, place: Path) -> Path | None:
    """`folding` as a file: a path as it stands, what a file holds written into `place`, None if there is none."""
    if not folding:
        return None
    if not isinstance(folding, Mapping):
        return Path(str(folding))
    path = place / "folding.json"
    path.write_text(json.dumps(folding))
    return path


def read_folding(path: Path) -> dict[str, Any]:
    """What a folding file holds: folds by layer. Raises `ConfigError` for a file that is none."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"the folding file {path.name} cannot be read: {error}",
            hint="FINN's own JSON is wanted: PE and SIMD by layer",
            place="convert.folding",
        ) from error
    if not isinstance(found, dict) or not all(isinstance(folds, dict) for folds in found.values()):
        raise ConfigError(
            f"the folding file {path.name} holds no folds by layer",
            hint='write {"MVAU_rtl_0": {"PE": 2, "SIMD": 5}}',
            place="convert.folding",
        )
    return found
