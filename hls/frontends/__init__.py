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
from dwell.hls.frontends.reading import Reading
from dwell.hls.qmodel import FixedPoint, QModel

Values: TypeAlias = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Frontend:
    """A door into `QModel`, as the entry-point group `dwell.frontends` names it.

    `reader` and `executor` are ``"module:function"``, imported on use, with the signatures of
    `dwell.hls.frontends.qonnx.read_qonnx` and `dwell.hls.frontends.qonnx_execute.execute_qonnx`; a reader may
    also give a `QModel` alone, whose output then is the file's. `suffix` is the kind of file it takes.
    """

    name: str
    suffix: str
    reader: str
    executor: str

    def read(
        self, path: Path, *, input_type: FixedPoint | None = None, names: Mapping[str, str] | None = None
    ) -> Reading:
        """The integer graph of the network in `path`; see `reader` for what is raised."""
        found = _function(self.reader)(path, input_type=input_type, names=names)
        if isinstance(found, QModel):
            return Reading(found)
        if not isinstance(found, Reading):
            raise TypeError(f"{self.reader} returned {type(found).__name__}, not a QModel")
        return found

    def execute(
        self,
        path: Path,
        frames: npt.ArrayLike,
        places: Sequence[str],
        orders: Mapping[str, tuple[int, ...]] | None = None,
    ) -> dict[str, Values]:
        """What the source framework computes at `places` (those `names` maps from); its output as ``""``.

        `frames` is (N, H, W, C) of the size the file was made for; values come back channels-last, (N, …), or as
        `orders` of the reading says.
        """
        more = (orders,) if orders else ()
        found: dict[str, Values] = _function(self.executor)(path, frames, places, *more)
        return found


def _function(reference: str) -> Any:
    module, _, name = reference.partition(":")
    return getattr(importlib.import_module(module), name)


QONNX = Frontend(
    "qonnx",
    ".onnx",
    "dwell.hls.frontends.qonnx:read_qonnx",
    "dwell.hls.frontends.qonnx_execute:execute_qonnx",
)
KERAS = Frontend(
    "keras",
    ".keras",
    "dwell.hls.frontends.keras_file:read_keras",
    "dwell.hls.frontends.keras_file:execute_keras",
)
KERAS_H5 = Frontend("keras_h5", ".h5", KERAS.reader, KERAS.executor)


def frontend_for(path: Path) -> Frontend:
    """The door for a file, by its suffix. Raises `ConfigError` where there is none, or no file."""
    from dwell import plugins

    known = [p.value for p in plugins.load_group("dwell.frontends").values() if isinstance(p.value, Frontend)]
    doors = {door.suffix: door for door in (QONNX, KERAS, KERAS_H5, *known)}
    if not path.is_file():
        raise ConfigError(f"there is no network {path}", hint="give a model file", place=str(path))
    if path.suffix.lower() not in doors:
        hint = f"files that are read: {', '.join(sorted(doors))}"
        raise ConfigError(f"{path.name}: no front end for {path.suffix or 'it'}", hint=hint, place=str(path))
    return doors[path.suffix.lower()]
