"""A quantized network as the `quantize` stage leaves it: its file, description and reference codes."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pydantic

from dwell.errors import ConfigError
from dwell.hls.frontends import Frontend, frontend_for
from dwell.hls.frontends.reading import Reading
from dwell.hls.qmodel import FixedPoint, QModel

Arrays: TypeAlias = Mapping[str, npt.NDArray[np.generic]]
DESCRIPTION = "frontend.json"
REFERENCE = "reference.npz"
_HINT = "build again from the quantize stage on"


class Quantizer(pydantic.BaseModel):
    """One quantizer: its name in `codes/<name>`, its place in the file, and its type."""

    model_config = pydantic.ConfigDict(frozen=True, extra="ignore")

    name: str
    tensor: str
    frac: int | None = None


class _Description(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(frozen=True, extra="ignore")

    file: str
    input_type: str | None = None
    quantizers: tuple[Quantizer, ...] = ()


@dataclass(frozen=True)
class QuantizedNetwork:
    """A network file with its front end. `places` maps quantizer names to tensors or layers of the file."""

    path: Path
    door: Frontend
    input_type: FixedPoint | None
    quantizers: tuple[Quantizer, ...]
    reference: Path | None

    def reading(self, name: str) -> Reading:
        """The integer graph, called `name`, and what rung 2 has to know about it."""
        names = {q.tensor: q.name for q in self.quantizers}
        return self.door.read(self.path, input_type=self.input_type, names=names).named(name)

    def read(self, name: str) -> QModel:
        """The integer graph alone, called `name`."""
        return self.reading(name).model

    def place(self, quantizer: str) -> str:
        """Where in the file a quantizer of the integer graph sits."""
        return next((q.tensor for q in self.quantizers if q.name == quantizer), quantizer)

    def frac(self, quantizer: str, default: int) -> int:
        """Fraction bits of the reference codes of a quantizer."""
        found = next((q.frac for q in self.quantizers if q.name == quantizer), None)
        return default if found is None else found


def network_from_file(path: Path, input_type: FixedPoint | None) -> QuantizedNetwork:
    """A bare model file. Raises `ConfigError` where there is no front end for it."""
    return QuantizedNetwork(path, frontend_for(path), input_type, (), None)


def network_from_artifact(folder: Path, input_type: FixedPoint | None = None) -> QuantizedNetwork:
    """What the `quantize` stage wrote; `input_type`, where given, goes before the one written there."""
    place = folder / DESCRIPTION
    try:
        said = _Description.model_validate_json(place.read_text())
    except (OSError, ValueError) as error:
        first = str(error).splitlines()[0]
        raise ConfigError(f"{place} cannot be read: {first}", hint=_HINT, place=str(place)) from error
    path = folder / said.file
    if Path(said.file).name != said.file:
        raise ConfigError(f"{place} names a file elsewhere: {said.file!r}", hint=_HINT, place=str(place))
    reference = folder / REFERENCE
    if not reference.is_file():
        raise ConfigError(f"{folder} has no {REFERENCE}", hint=_HINT, place=str(reference))
    if input_type is None and said.input_type is not None:
        input_type = FixedPoint.parse(said.input_type)
    return QuantizedNetwork(path, frontend_for(path), input_type, said.quantizers, reference)


def load_reference(path: Path) -> dict[str, npt.NDArray[np.generic]]:
    """The arrays of a `reference.npz`. Raises `ConfigError` for a missing or damaged file."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: np.asarray(archive[name]) for name in archive.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ConfigError(f"{path} cannot be read: {error}", hint=_HINT, place=str(path)) from error
