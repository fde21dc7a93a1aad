"""Boards: what is on them, as plain TOML files beside this module."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

from dwell.errors import ConfigError, nearest


@dataclass(frozen=True)
class Board:
    """A board of the PYNQ kind. Addresses are physical, `resources` counts what the device has."""

    name: str
    title: str
    part: str
    device: str
    package: str
    speed_grade: str
    processing_system: str
    clock_mhz: float
    memory_base: int
    memory_bytes: int
    addresses: Mapping[str, int]
    pins: Mapping[str, str]
    io_standard: str
    vivado_board_part: str
    resources: Mapping[str, int]


def board_names() -> tuple[str, ...]:
    """The names of all boards."""
    folder = resources.files(__name__)
    return tuple(sorted(f.name.removesuffix(".toml") for f in folder.iterdir() if f.name.endswith(".toml")))


def load_board(name: str) -> Board:
    """The board of a name. Raises `ConfigError` for an unknown one."""
    file = resources.files(__name__).joinpath(f"{name}.toml")
    if not file.is_file():
        raise ConfigError(f"there is no board '{name}'", hint=nearest(name, board_names()), place="--board")
    body = tomllib.loads(file.read_text())
    return Board(name=name, **body)
