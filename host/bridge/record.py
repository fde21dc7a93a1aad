"""The record of a run: one HDF5 file with units, digests, rows, events, commands, spectra and counters.

What happens gathers in memory and is written four times a second, so that the loop seldom waits for the
disk. A reader may open the file at any time (single writer, multiple readers); after a `kill -9` all but the
last `FLUSH_S` is there. `open_record` reads a file of either kind.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dwell.errors import ConfigError, ResourceError, ToolNotFoundError
from dwell.host.bridge.board import Event
from dwell.host.bridge.commands import TakeSpectrum
from dwell.host.bridge.headroom import Headroom
from dwell.host.instruments.protocol import Row, Spectrum

FORMAT = "dwell-bridge-record-1"
FLUSH_S = 0.25
ROW_MISSING, ROW_SCANNED, ROW_FILLED = 0, 1, 2
_STATUS_BYTES = 160
EVENT_TYPE = np.dtype(
    [
        ("frame", "<u4"),
        ("line", "<u2"),
        ("pixel", "<u2"),
        ("score", "<i4"),
        ("valid", "?"),
        ("row_finished_s", "<f8"),
        ("seen_s", "<f8"),
    ]
)
COMMAND_TYPE = np.dtype(
    [
        ("kind", "S16"),
        ("reason", "S16"),
        ("x_nm", "<f8"),
        ("y_nm", "<f8"),
        ("dwell_ms", "<f8"),
        ("event", "<i8"),
        ("event_seen_s", "<f8"),
        ("first_event_seen_s", "<f8"),
        ("sent_s", "<f8"),
        ("received_s", "<f8"),
        ("finished_s", "<f8"),
        ("spectrum", "<i8"),
    ]
)
_TABLE_CHUNK = 256
_OVERHEAD = 1 << 16  # bytes of HDF5's own for one write


class _Table:
    """A dataset that grows, and what is to be appended to it at the next write."""

    def __init__(self, data: Any) -> None:
        self._data = data
        self._written = 0
        self._waiting: list[Any] = []

    def append(self, value: Any) -> int:
        """Its row in the dataset."""
        self._waiting.append(value)
        return self._written + len(self._waiting) - 1

    def coming(self) -> int:
        """Bytes that `write` may add to the file, at most."""
        if not self._waiting:
            return 0
        chunk = int(np.prod(self._data.chunks))
        each = int(np.prod(self._data.shape[1:]))
        return (len(self._waiting) * each + 2 * chunk) * int(self._data.dtype.itemsize)

    def write(self) -> None:
        """Append what waits."""
        if not self._waiting:
            return
        values, self._waiting = np.array(self._waiting, self._data.dtype), []
        self._data.resize(self._written + len(values), axis=0)
        self._data[self._written :] = values
        self._written += len(values)


@dataclass(frozen=True)
class RecordHeader:
    """What is known before the run: sizes, and attributes for the file's root (JSON values)."""

    lines: int
    pixels: int
    pitch_nm: float
    energies_eV: NDArray[np.float64]
    counters: tuple[str, ...]
    attributes: Mapping[str, Any]


class Recorder:
    """Writes one record; used by one thread. Raises `ResourceError` when the disk is full, before anything
    is lost.
    """

    def __init__(self, path: Path, header: RecordHeader) -> None:
        """Create the file. Raises `ResourceError` if it cannot be written, `ConfigError` if it exists."""
        self.path = path
        self._header = header
        h5py = _h5py()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # The first format with single-writer mode: a newer one would shut out readers with an older HDF5.
            self._file = h5py.File(path, "x", libver=("v110", "v110"))
        except FileExistsError as error:
            raise ConfigError(
                f"{path} exists", hint="give another name; a record is never overwritten", place=str(path)
            ) from error
        except OSError as error:
            raise ResourceError(f"the record {path} cannot be written: {error}", place=str(path)) from error
        try:
            self._layout(header)
            self._file.flush()
            self._headroom = Headroom(path, self._size())
        except BaseException as error:
            with contextlib.suppress(Exception):
                self._file.close()
            path.unlink(missing_ok=True)
            if isinstance(error, OSError):
                raise ResourceError(
                    f"the record {path} cannot be written: {error}", place=str(path)
                ) from error
            raise
        self._file.swmr_mode = True
        self._rows: list[tuple[int, int, NDArray[np.uint8], float, int]] = []
        self._flushed_s = time.monotonic()
        self._closed = False

    def _layout(self, header: RecordHeader) -> None:
        f, lines, pixels = self._file, header.lines, header.pixels
        f.attrs["format"] = FORMAT
        f.attrs["time_unit"] = "s, monotonic clock of the host"
        for name, value in header.attributes.items():
            f.attrs[name] = (
                value if isinstance(value, str | int | float) else json.dumps(value, sort_keys=True)
            )
        frames = f.create_group("frames")
        self._pixels = frames.create_dataset(
            "pixels",
            (0, lines, pixels),
            "u1",
            maxshape=(None, lines, pixels),
            chunks=(1, min(lines, 64), pixels),
        )
        self._pixels.attrs.update(
            {"unit": "detector codes of 1/256 of full scale", "pitch_nm": header.pitch_nm}
        )
        self._row_s = frames.create_dataset(
            "row_finished_s", (0, lines), "<f8", maxshape=(None, lines), chunks=(1, lines), fillvalue=np.nan
        )
        self._row_s.attrs["unit"] = "s"
        self._row_state = frames.create_dataset(
            "row_state", (0, lines), "u1", maxshape=(None, lines), chunks=(1, lines)
        )
        self._row_state.attrs["meaning"] = "0 missing, 1 scanned, 2 lost on the way and filled with zeros"
        events = f.create_dataset("events", (0,), EVENT_TYPE, maxshape=(None,), chunks=(_TABLE_CHUNK,))
        events.attrs["unit"] = "line and pixel of the window's middle; score code; s"
        commands = f.create_dataset("commands", (0,), COMMAND_TYPE, maxshape=(None,), chunks=(_TABLE_CHUNK,))
        commands.attrs["unit"] = "nm from the field's upper left corner; ms; s; event and spectrum are rows"
        spectra = f.create_group("spectra")
        energies = header.energies_eV
        spectra.create_dataset("energy_eV", data=energies).attrs["unit"] = "eV"
        counts = spectra.create_dataset(
            "counts", (0, len(energies)), "<f4", maxshape=(None, len(energies)), chunks=(16, len(energies))
        )
        counts.attrs["unit"] = "counts"
        self._events, self._commands, self._spectra = _Table(events), _Table(commands), _Table(counts)
        self._counters = f.create_dataset("counters", (len(header.counters),), "<i8")
        self._counters.attrs["names"] = json.dumps(list(header.counters))
        self._status = f.create_dataset("status", (1,), f"S{_STATUS_BYTES}")
        self._status[0] = b"running"

    def _size(self) -> int:
        return int(self._file.id.get_filesize())

    def row(self, row: Row, codes: NDArray[np.uint8], *, filled: bool = False) -> None:
        """One row (W,) of detector codes, rows in raster order; `filled` marks one that was lost on the
        way.
        """
        state = ROW_FILLED if filled else ROW_SCANNED
        self._rows.append((row.frame, row.line, codes, np.nan if filled else row.finished_s, state))

    def event(self, event: Event, *, valid: bool, row_finished_s: float) -> int:
        """One event; its row in the table. `row_finished_s` is when the window's last row was scanned."""
        return self._events.append(
            (event.frame, event.line, event.pixel, event.score, valid, row_finished_s, event.seen_s)
        )

    def spectrum(self, command: TakeSpectrum, event: int, sent_s: float, spectrum: Spectrum) -> int:
        """One spectrum and the command that took it; the spectrum's row."""
        index = self._spectra.append(spectrum.counts)
        seen, first = (x.seen_s if x is not None else np.nan for x in (command.event, command.first_event))
        self._commands.append(
            (
                b"spectrum",
                command.reason.encode(),
                command.x_nm,
                command.y_nm,
                command.dwell_ms,
                event,
                seen,
                first,
                sent_s,
                spectrum.received_s,
                spectrum.finished_s,
                index,
            )
        )
        return index

    def command(self, kind: str, x: float, y: float, sent_s: float) -> None:
        """Any other command; `x` and `y` are what it carries."""
        nan = float("nan")
        self._commands.append((kind.encode(), b"", x, y, nan, -1, nan, nan, sent_s, nan, nan, -1))

    def tick(self, counters: Mapping[str, int]) -> None:
        """Write what has gathered, with the counters, if it is time."""
        if time.monotonic() - self._flushed_s >= FLUSH_S:
            self._headroom.ensure(self._size(), self._coming())
            self._write(counters)

    def _coming(self) -> int:
        """Bytes that the next write may add to the file, at most."""
        tables = sum(table.coming() for table in (self._events, self._commands, self._spectra))
        frames = len({row[0] for row in self._rows}) * self._header.lines * (self._header.pixels + 9)
        return tables + frames + _OVERHEAD

    def _write(self, counters: Mapping[str, int]) -> None:
        for table in (self._events, self._commands, self._spectra):
            table.write()
        self._write_rows()
        self._counters[:] = [counters[name] for name in self._header.counters]
        self._file.flush()
        self._flushed_s = time.monotonic()

    def _write_rows(self) -> None:
        rows, self._rows = self._rows, []
        for frame, group in itertools.groupby(rows, key=lambda row: row[0]):
            part = list(group)
            span = slice(part[0][1], part[-1][1] + 1)
            if frame >= self._pixels.shape[0]:
                for data in (self._pixels, self._row_s, self._row_state):
                    data.resize(frame + 1, axis=0)
            self._pixels[frame, span] = np.stack([row[2] for row in part])
            self._row_s[frame, span] = [row[3] for row in part]
            self._row_state[frame, span] = [row[4] for row in part]

    def close(self, status: str, counters: Mapping[str, int]) -> None:
        """End the record with a status (`complete`, or why it stopped) and the last counters."""
        if self._closed:
            return
        self._closed = True
        self._status[0] = status.encode()[:_STATUS_BYTES]
        self._write(counters)  # into what is reserved: a full disk does not stop it
        size = self._size()
        self._file.close()
        self._headroom.close(max(size, 0))

    def __enter__(self) -> Recorder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        if not self._closed:
            self.close(
                f"stopped: {error}" if error is not None else "complete",
                dict.fromkeys(self._header.counters, 0),
            )


@dataclass(frozen=True)
class Record:
    """A record read back. Arrays as in the file; `status` is `running` if its writer was killed."""

    attributes: dict[str, Any]
    pixels: NDArray[np.uint8]
    row_finished_s: NDArray[np.float64]
    row_state: NDArray[np.uint8]
    events: NDArray[Any]
    commands: NDArray[Any]
    energies_eV: NDArray[np.float64]
    spectra: NDArray[np.float32]
    counters: dict[str, int]
    status: str

    def spectra_for(self, reason: str) -> NDArray[np.float32]:
        """Spectra (N, E) taken for `event` or `reference`."""
        chosen = (self.commands["kind"] == b"spectrum") & (self.commands["reason"] == reason.encode())
        rows = self.commands["spectrum"][chosen]
        found: NDArray[np.float32] = self.spectra[rows[rows < len(self.spectra)]]
        return found


def open_record(path: Path) -> Record:
    """Read a record, finished or not. Raises `ConfigError` for a file that is none."""
    h5py = _h5py()
    hint = "give a file that `dwell bridge` wrote"
    try:
        try:
            stream = h5py.File(path, "r")
        except OSError as error:
            if "truncated" in str(error):
                raise  # HDF5 would wait for the missing end for ever
            stream = h5py.File(path, "r", libver="latest", swmr=True)  # its writer runs, or was killed
        with stream as f:
            if f.attrs.get("format") != FORMAT:
                raise ConfigError(f"{path} is not of format {FORMAT}", hint=hint, place=str(path))
            return _read(f)
    except (OSError, KeyError) as error:
        raise ConfigError(
            f"{path} cannot be read as a record: {error}", hint=hint, place=str(path)
        ) from error


def _read(f: Any) -> Record:
    names = json.loads(f["counters"].attrs["names"])
    return Record(
        attributes={k: v.item() if isinstance(v, np.generic) else v for k, v in f.attrs.items()},
        pixels=f["frames/pixels"][:],
        row_finished_s=f["frames/row_finished_s"][:],
        row_state=f["frames/row_state"][:],
        events=f["events"][:],
        commands=f["commands"][:],
        energies_eV=f["spectra/energy_eV"][:],
        spectra=f["spectra/counts"][:],
        counters=dict(zip(names, (int(n) for n in f["counters"][:]), strict=True)),
        status=f["status"][0].decode(errors="replace"),
    )


def _h5py() -> Any:
    try:
        import h5py
    except ImportError as error:
        raise ToolNotFoundError(
            "the record needs the package 'h5py'", hint="run `dwell env sync build`"
        ) from error
    return h5py
