"""What each board holds: a TOML file a board, read into a `Board`."""

from __future__ import annotations

import tomllib
from functools import partial
from importlib import resources

import pydantic

from dwell.errors import ConfigError


class _Part(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class Resources(_Part):
    """What the device holds. `bram36`: block RAMs of 36 kbit."""

    lut: int = pydantic.Field(gt=0)
    ff: int = pydantic.Field(gt=0)
    dsp: int = pydantic.Field(ge=0)
    bram36: int = pydantic.Field(ge=0)


class Clock(_Part):
    """The clock that a design runs on."""

    source: str
    default_mhz: float = pydantic.Field(gt=0)


class Board(_Part):
    """A board: device, resources, clock. `family` is the name Yosys has for the device's family."""

    name: str
    title: str
    part: str
    family: str
    resources: Resources
    clock: Clock


def read_board(text: str, *, place: str) -> Board:
    """A board from TOML. Raises `ConfigError` for a text that is not one; `place` says whose it is."""
    try:
        return Board.model_validate(tomllib.loads(text))
    except (tomllib.TOMLDecodeError, pydantic.ValidationError) as error:
        raise ConfigError(f"{place} does not describe a board: {error}", place=place) from error


def load_board(name: str) -> Board:
    """One of the boards that come with `dwell`. Raises `ConfigError` if there is none of that name."""
    file = resources.files(__package__) / f"{name}.toml"
    if not file.is_file():
        raise ConfigError(f"no board file {name}.toml", place=__package__ or "")
    return read_board(file.read_text(), place=f"{name}.toml")


#: Entry point of group `dwell.boards`: called, it gives the board.
pynq_z2 = partial(load_board, "pynq-z2")
