"""The model in a Keras file, where this process can load it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dwell.errors import ConfigError
from dwell.hls.frontends.keras_net import files
from dwell.hls.frontends.keras_net.ends import check_ends


def load_keras(path: Path) -> Any:
    """The model in a file. Raises `ConfigError` for one of Keras 2 outside the environment `qkeras`."""
    if not files.is_keras2(path):
        model = files.load_keras3(path)
    elif files.at_home():
        model = files.load_keras2(path)
    else:
        hint = "`dwell convert` reads it in the environment qkeras"
        raise ConfigError(f"{path.name}: written by Keras 2, not Keras 3", hint=hint, place=str(path))
    check_ends(model, path.name)
    return model
