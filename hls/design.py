"""A design on disk, as those see it who simulate, synthesize or report it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dwell.errors import ConfigError, DesignEditedError
from dwell.hls.qmodel import FixedPoint, QModel, load_model

DESIGN_JSON = "design.json"
FORMAT = "dwell-design-2"
LATENCY_OF_WINDOWS = (
    "clock edges from the edge that accepts the window's last pixel (s_axis handshake) to the edge at which "
    "the decision's m_axis handshake can complete, sink always ready"
)
LATENCY_OF_FRAMES = (
    "clock edges from the edge that accepts a frame's last beat (s_axis handshake) to the edge at which the "
    "m_axis handshake of its last result can complete, sink always ready"
)
_FOLDERS = ("rtl", "qmodel")
_HINT = "convert the network again"


@dataclass(frozen=True)
class StreamPort:
    """An AXI4-Stream data port that carries a tensor of `shape` in C order.

    A beat is `tdata_bits` wide and holds `elements` codes of `type`, packed from the lowest bit;
    `line_beats` beats lie from one TLAST to the next, 0 where lines may be of any length. A code stands
    for ``code * 2**-frac * scale + offset``, with one `scale` and `offset` or one for each channel.
    """

    type: FixedPoint
    shape: tuple[int, ...]
    tdata_bits: int
    elements: int
    line_beats: int
    scale: float | tuple[float, ...]
    offset: float | tuple[float, ...]
    layout: str


@dataclass(frozen=True)
class Design:
    """A set of Verilog files with its golden model, as `design.json` describes it.

    `latency_cycles`, `ii_cycles` (clocks a beat) and `frame_cycles` (clocks a frame; 0 where frames may be
    of any size) are predicted from the structure (see `latency_definition`), exactly or, where not
    `latency_exact`, as upper bounds. `layers` are the entries of `design.json`, `weights` describes what
    can be written over AXI4-Lite, `edited` names files that are not those that were built.
    """

    path: Path
    name: str
    top: str
    backend: str
    style: str
    board: str
    clock_mhz: float
    latency_cycles: int
    latency_exact: bool
    ii_cycles: int
    frame_cycles: int
    window: tuple[int, int]
    max_width: int
    input: StreamPort
    output: StreamPort
    layers: tuple[Mapping[str, Any], ...]
    provenance: Mapping[str, str]
    weights: Mapping[str, Any] | None = None
    notes: tuple[str, ...] = ()
    edited: tuple[str, ...] = ()

    @property
    def sources(self) -> tuple[Path, ...]:
        """The Verilog files, in an order that does not change."""
        return tuple(sorted((self.path / "rtl").glob("*.v")))

    @property
    def digest(self) -> str:
        """SHA-256 over everything in the design, `design.json` and later edits included."""
        whole = hashlib.sha256()
        for name, value in sorted(
            {**file_digests(self.path), DESIGN_JSON: _sha256(self.path / DESIGN_JSON)}.items()
        ):
            whole.update(f"{name} {value}\n".encode())
        return whole.hexdigest()

    def qmodel(self) -> QModel:
        """The golden model. Raises `ConfigError` if it cannot be read."""
        return load_model(self.path / "qmodel")

    @classmethod
    def load(cls, path: Path | str, allow_edited: bool = False) -> Design:
        """Read a design directory.

        Raises `ConfigError` for a directory that holds none, `DesignEditedError` for files that were
        changed, added or removed since it was built, unless `allow_edited`.
        """
        folder = Path(path)
        body = _read(folder / DESIGN_JSON)
        edited = _edited(folder, body)
        if edited and not allow_edited:
            more = f" and {len(edited) - 3} more" if len(edited) > 3 else ""
            raise DesignEditedError(
                f"the design was edited after it was built: {', '.join(edited[:3])}{more}",
                hint=f"{_HINT}, or pass --allow-edited to simulate it as it stands",
                place=str(folder),
            )
        try:
            return _parse(folder, body, edited)
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(
                f"{folder / DESIGN_JSON}: {type(error).__name__} {error}", hint=_HINT, place=str(folder)
            ) from error


def file_digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file under `rtl/` and `qmodel/`, by path relative to `folder`."""
    return {
        file.relative_to(folder).as_posix(): _sha256(file)
        for part in _FOLDERS
        for file in sorted((folder / part).rglob("*"))
        if file.is_file()
    }


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _read(file: Path) -> dict[str, Any]:
    try:
        body = json.loads(file.read_text())
    except FileNotFoundError as error:
        raise ConfigError(
            f"{file.parent} is not a design: it has no {DESIGN_JSON}",
            hint="give a directory that `dwell convert` or the stage `convert` wrote",
            place=str(file.parent),
        ) from error
    except (OSError, ValueError) as error:
        raise ConfigError(f"{file} cannot be read: {error}", hint=_HINT, place=str(file)) from error
    if not isinstance(body, dict) or body.get("format") != FORMAT:
        raise ConfigError(f"{file} is not of format {FORMAT}", hint=_HINT, place=str(file))
    return body


def _edited(folder: Path, body: Mapping[str, Any]) -> tuple[str, ...]:
    recorded = body.get("files")
    if not isinstance(recorded, dict) or not recorded:
        raise ConfigError(f"{folder / DESIGN_JSON} lists no files", hint=_HINT, place=str(folder))
    found = file_digests(folder)
    names = sorted(set(recorded) | set(found))
    return tuple(name for name in names if recorded.get(name) != found.get(name))


def _port(body: Mapping[str, Any]) -> StreamPort:
    kind = body["type"]
    return StreamPort(
        FixedPoint(bool(kind["signed"]), int(kind["width"]), int(kind["frac"])),
        tuple(int(n) for n in body["shape"]),
        int(body["tdata_bits"]),
        int(body["elements"]),
        int(body["line_beats"]),
        _numbers(body["scale"]),
        _numbers(body["offset"]),
        str(body["layout"]),
    )


def _numbers(value: object) -> float | tuple[float, ...]:
    if isinstance(value, list):
        return tuple(float(v) for v in value)
    if isinstance(value, int | float):
        return float(value)
    raise TypeError(f"{value!r} is not a number")


def _parse(folder: Path, body: Mapping[str, Any], edited: tuple[str, ...]) -> Design:
    rows, columns = body["window"]
    return Design(
        path=folder,
        name=str(body["name"]),
        top=str(body["top"]),
        backend=str(body["backend"]),
        style=str(body["style"]),
        board=str(body["board"]),
        clock_mhz=float(body["clock_mhz"]),
        latency_cycles=int(body["latency_cycles"]),
        latency_exact=bool(body["latency_exact"]),
        ii_cycles=int(body["ii_cycles"]),
        frame_cycles=int(body["frame_cycles"]),
        window=(int(rows), int(columns)),
        max_width=int(body["max_width"]),
        input=_port(body["input"]),
        output=_port(body["output"]),
        layers=tuple(body["layers"]),
        provenance=dict(body["provenance"]),
        weights=body["weights"],
        notes=tuple(str(note) for note in body.get("notes", ())),
        edited=edited,
    )
