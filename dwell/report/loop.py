"""What the report shows of a run of `dwell bridge`, read from its record and the summary beside it.

The record is an HDF5 file whose layout the page on instruments states; it is read as such, with no room's
code. A record that its writer never closed, because it was killed, is read too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dwell.artifact import Manifest
from dwell.errors import ConfigError, ToolNotFoundError

FORMAT = "dwell-bridge-record-1"
#: The status of a record that was never closed.
CUT_OFF = "running"
_ROW_MISSING, _ROW_FILLED = 0, 2

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Sum:
    """`left = right + …` of counters, each with its name. `holds` is None where a part was never fetched."""

    left: tuple[str, int]
    right: tuple[tuple[str, int], ...]
    holds: bool | None


@dataclass(frozen=True)
class LastFrame:
    """The frame that is shown: codes (H, W) as the board saw them, with the events that it raised.

    `events` is (N, 3): line, pixel, ms after the frame's first event, in order of arrival. `visits` (M, 2)
    and `references` (K, 2) are where the run had taken spectra, as (line, pixel), since the stage last moved.
    `rows` of its lines were scanned or filled, `filled` of them filled.
    """

    number: int
    codes: NDArray[np.uint8]
    rows: int
    filled: int
    pitch_nm: float
    events: FloatArray
    visits: FloatArray
    references: FloatArray


@dataclass(frozen=True)
class Spectra:
    """Spectra (N, E) and (M, E) in counts over `energies_eV` (E,); windows by name as (low, high) in eV."""

    energies_eV: FloatArray
    events: FloatArray
    references: FloatArray
    windows_eV: Mapping[str, tuple[float, float]]
    comparison: Mapping[str, Any] | None


@dataclass(frozen=True)
class Loop:
    """One run. Latencies are empty where instrument and host share no clock."""

    name: str
    status: str
    started: str
    board: Mapping[str, Any]
    instrument: Mapping[str, Any]
    design_digest: str
    frame: LastFrame | None
    spectra: Spectra
    row_to_event_ms: FloatArray
    event_to_command_ms: FloatArray
    counters: Mapping[str, int]
    sums: tuple[Sum, ...]

    @property
    def cut_off(self) -> bool:
        """Whether its writer was killed, or still runs."""
        return self.status == CUT_OFF


def summary_of(record: Path) -> Path:
    """Where the summary of a record is."""
    return record.with_suffix(".json")


def newest_run(runs: Path) -> Path | None:
    """The newest record (`*.h5`) in a folder that has a summary; None where there is none."""
    found = [path for path in runs.glob("*.h5") if summary_of(path).is_file()]
    return max(found, key=lambda path: (path.stat().st_mtime_ns, path.name), default=None)


def collect_loop(record: Path) -> Loop:
    """Read a record and its summary. Raises `ConfigError` for a file that is none or lacks a part."""
    hint = "remove it and run `dwell bridge` again"
    try:
        summary = json.loads(summary_of(record).read_text())
        windows = {name: (float(low), float(high)) for name, (low, high) in summary["windows_eV"].items()}
        comparison = summary["sulphur"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        place = summary_of(record)
        raise ConfigError(
            f"{place} is not the summary of a run: {_said(error)}", hint=hint, place=str(place)
        ) from error
    try:
        with _open(record) as file:
            found = str(file.attrs.get("format", "none"))
            if found != FORMAT:
                raise ConfigError(
                    f"{record} is of format {found}, not {FORMAT}", hint=hint, place=str(record)
                )
            return _read(file, record.name, windows, comparison)
    except (OSError, KeyError, ValueError) as error:
        raise ConfigError(
            f"{record} cannot be read as the record of a run: {_said(error)}", hint=hint, place=str(record)
        ) from error


def design_digest(convert: Manifest) -> str:
    """The digest by which a board names a design, from the manifest of the artifact that holds it."""
    whole = hashlib.sha256()
    for name, digest in sorted(convert.files.items()):
        if name == "design.json" or name.startswith(("rtl/", "qmodel/")):
            whole.update(f"{name} {digest}\n".encode())
    return whole.hexdigest()


def _said(error: Exception) -> str:
    return f"it has no {error}" if isinstance(error, KeyError) else str(error)


def _open(record: Path) -> Any:
    try:
        import h5py
    except ImportError as error:
        raise ToolNotFoundError(
            "the record of a run needs the package 'h5py'", hint="run `dwell env sync build`"
        ) from error
    try:
        return h5py.File(record, "r")
    except OSError as error:
        if "truncated" in str(error):
            raise  # HDF5 would wait for the missing end for ever
        return h5py.File(record, "r", libver="latest", swmr=True)  # its writer runs, or was killed


def _read(
    file: Any,
    name: str,
    windows: Mapping[str, tuple[float, float]],
    comparison: Mapping[str, Any] | None,
) -> Loop:
    events, commands = file["events"][:], file["commands"][:]
    instrument = json.loads(file.attrs["instrument"])
    status = file["status"][0].decode(errors="replace")
    counts = file["counters"]
    counters = {k: int(n) for k, n in zip(json.loads(counts.attrs["names"]), counts[:], strict=True)}
    visits = commands[commands["reason"] == b"event"]
    clock = bool(instrument["shares_clock"])
    held = {"events": len(events), "spectra": len(file["spectra/counts"])}
    return Loop(
        name=name,
        status=status,
        started=str(file.attrs.get("started", "")),
        board=json.loads(file.attrs["board"]),
        instrument=instrument,
        design_digest=str(file.attrs["design_digest"]),
        frame=_last_frame(file["frames"], events, commands),
        spectra=_spectra(file["spectra"], commands, windows, comparison),
        row_to_event_ms=_span_ms(events["row_finished_s"], events["seen_s"], clock),
        event_to_command_ms=_span_ms(visits["event_seen_s"], visits["received_s"], clock),
        counters=counters,
        sums=_sums(counters, held, cut_off=status == CUT_OFF),
    )


def _span_ms(start_s: FloatArray, end_s: FloatArray, clock: bool) -> FloatArray:
    span: FloatArray = (end_s - start_s) * 1e3
    return span[np.isfinite(span)] if clock else np.zeros(0)


def _last_frame(frames: Any, events: NDArray[Any], commands: NDArray[Any]) -> LastFrame | None:
    """The last frame with every row; without one the last that was begun; None if none was."""
    states = frames["row_state"][:]
    if not len(states):
        return None
    begun = np.flatnonzero((states != _ROW_MISSING).any(axis=1))
    whole = np.flatnonzero((states != _ROW_MISSING).all(axis=1))
    if not len(begun):
        return None
    number = int(whole[-1] if len(whole) else begun[-1])
    pitch = float(frames["pixels"].attrs["pitch_nm"])
    mine = events[events["frame"] == number]
    arrived = (mine["seen_s"] - mine["seen_s"].min()) * 1e3 if len(mine) else np.zeros(0)
    taken = commands[commands["kind"] == b"spectrum"]
    moves = commands["sent_s"][commands["kind"] == b"stage"]
    if len(moves):
        taken = taken[taken["sent_s"] >= moves.max()]
    places = np.column_stack([taken["y_nm"], taken["x_nm"]]) / pitch - 0.5
    return LastFrame(
        number=number,
        codes=frames["pixels"][number],
        rows=int((states[number] != _ROW_MISSING).sum()),
        filled=int((states[number] == _ROW_FILLED).sum()),
        pitch_nm=pitch,
        events=np.column_stack([mine["line"], mine["pixel"], arrived]).astype(np.float64),
        visits=places[taken["reason"] == b"event"],
        references=places[taken["reason"] == b"reference"],
    )


def _spectra(
    spectra: Any,
    commands: NDArray[Any],
    windows: Mapping[str, tuple[float, float]],
    comparison: Mapping[str, Any] | None,
) -> Spectra:
    counts = spectra["counts"][:].astype(np.float64)

    def taken_for(reason: bytes) -> FloatArray:
        rows = commands["spectrum"][(commands["kind"] == b"spectrum") & (commands["reason"] == reason)]
        chosen: FloatArray = counts[rows[rows < len(counts)]]
        return chosen

    energies = spectra["energy_eV"][:].astype(np.float64)
    return Spectra(energies, taken_for(b"event"), taken_for(b"reference"), windows, comparison)


def _sums(counters: Mapping[str, int], held: Mapping[str, int], *, cut_off: bool) -> tuple[Sum, ...]:
    """What has to add up. The board's counters are fetched when a run ends: one that was cut off lacks them.

    `held` counts what the record holds.
    """
    made = []
    for left, right in (
        ("pixels_in", ("pixels_decided", "pixels_dropped")),
        ("triggers", ("events_recorded", "events_dropped")),
        ("board_events", ("events_recorded",)),
    ):
        terms = tuple((name, counters[name]) for name in right)
        holds = counters[left] == sum(value for _, value in terms)
        made.append(Sum((left, counters[left]), terms, None if cut_off else holds))
    for left, what in (("events_recorded", "events"), ("spectra", "spectra")):
        term = (f"{what} in the record", held[what])
        made.append(Sum((left, counters[left]), (term,), counters[left] == held[what]))
    return tuple(made)
