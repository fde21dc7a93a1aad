"""A Keras network as a `.keras` file that has the same bytes every time."""

from __future__ import annotations

import json
import tempfile
import zipfile
from pathlib import Path
from typing import Any

_ENTRIES = ("metadata.json", "config.json", "model.weights.h5")
_EPOCH = (1980, 1, 1, 0, 0, 0)


def write_keras(network: Any, path: Path) -> None:
    """Save `network` to `path` without the time of saving and the addresses of objects in memory."""
    with tempfile.TemporaryDirectory() as scratch:
        raw = Path(scratch) / "model.keras"
        network.save(raw)
        with zipfile.ZipFile(raw) as archive:
            parts = {name: archive.read(name) for name in _ENTRIES}
    metadata = json.loads(parts["metadata.json"])
    metadata.pop("date_saved", None)
    config = json.loads(parts["config.json"])
    _number_shared(config, {})
    parts["metadata.json"] = json.dumps(metadata).encode()
    parts["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name in _ENTRIES:
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), parts[name])


def _number_shared(value: Any, seen: dict[int, int]) -> None:
    """Keras tells shared objects apart by `id()`: number them in the order in which they occur instead."""
    if isinstance(value, dict):
        if isinstance(value.get("shared_object_id"), int):
            value["shared_object_id"] = seen.setdefault(value["shared_object_id"], len(seen))
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            _number_shared(part, seen)
