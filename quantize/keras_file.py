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
    """Save `network` to `path` without the time at which it was saved."""
    with tempfile.TemporaryDirectory() as scratch:
        raw = Path(scratch) / "model.keras"
        network.save(raw)
        with zipfile.ZipFile(raw) as archive:
            parts = {name: archive.read(name) for name in _ENTRIES}
    metadata = json.loads(parts["metadata.json"])
    metadata.pop("date_saved", None)
    parts["metadata.json"] = json.dumps(metadata, sort_keys=True).encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name in _ENTRIES:
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), parts[name])
