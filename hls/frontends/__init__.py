"""From a source framework to the integer graph: one door for each kind of file."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from dwell.errors import ConfigError
from dwell.hls.qmodel import FixedPoint, QModel

Values: TypeAlias = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Frontend:
    """A door into `QModel`, as the entry-point group `dwell.frontends` names it.

    `reader` and `executor` are ``"module:function"``, imported on use, with the signatures of
    `dwell.hls.frontends.qonnx_walker.read_qonnx` and `dwell.hls.frontends.qonnx_execute.execute_qonnx`;
    `suffix` is the kind of file it takes.
    """

    name: str
    suffix: str
    reader: str
    executor: str

    def read(
        self, path: Path, *, input_type: FixedPoint | None = None, names: Mapping[str, str] | None = None
    ) -> QModel:
        """The integer graph of the network in `path`; see `reader` for what is raised."""
        model = _function(self.reader)(path, input_type=input_type, names=names)
        if not isinstance(model, QModel):
            raise TypeError(f"{self.reader} returned {type(model).__name__}, not a QModel")
        return model

    def execute(self, path: Path, frames: npt.ArrayLike, places: Sequence[str]) -> dict[str, Values]:
        """What the source framework computes at `places` (those `names` maps from); its output as ``""``.

        `frames` is (N, H, W, C) of the size the file was made for; values come back channels-last, (N, …).
        """
        found: dict[str, Values] = _function(self.executor)(path, frames, places)
        return found


def _function(reference: str) -> Any:
    module, _, name = reference.partition(":")
    return getattr(importlib.import_module(module), name)


QONNX = Frontend(
    "qonnx",
    ".onnx",
    "dwell.hls.frontends.qonnx_walker:read_qonnx",
    "dwell.hls.frontends.qonnx_execute:execute_qonnx",
)
KERAS = Frontend(
    "keras",
    ".keras",
    "dwell.hls.frontends.keras_file:read_keras",
    "dwell.hls.frontends.keras_file:execute_keras",
)


def frontend_for(path: Path) -> Frontend:
    """The door for a file, by its suffix. Raises `ConfigError` where there is none, or no file."""
    from dwell import plugins

    known = [p.value for p in plugins.load_group("dwell.frontends").values() if isinstance(p.value, Frontend)]
    doors = {door.suffix: door for door in (QONNX, KERAS, *known)}
    if not path.is_file():
        raise ConfigError(f"there is no network {path}", hint="give a model file", place=str(path))
    if path.suffix.lower() not in doors:
        hint = f"files that are read: {', '.join(sorted(doors))}"
        raise ConfigError(f"{path.name}: no front end for {path.suffix or 'it'}", hint=hint, place=str(path))
    return doors[path.suffix.lower()]
