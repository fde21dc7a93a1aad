"""The firmware as the bridge's board: simulated, or on a host over ssh. The same driver runs in both."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dwell.artifact import json_digest
from dwell.errors import ConfigError, DeviceError
from dwell.firmware.client import BoardClient
from dwell.firmware.links import open_board
from dwell.firmware.package.build import package_design
from dwell.hls.design import Design
from dwell.host.bridge.board import BoardCounters, BoardInfo, Event, Evidence


class FirmwareBoard:
    """Packages a design, loads it onto a board and drives it. See `Board`."""

    def __init__(self, design: Design, target: str, work: Path, evidence: Evidence) -> None:
        """`target` is a name that `dwell.firmware.links` knows. The overlay is kept under `work`.

        Raises `ConfigError` for a design whose firmware takes whole frames of codes, not a scan's pixels.
        """
        overlay = _overlay(design, work)
        described = json.loads((overlay / "overlay.json").read_text())
        if described["kind"] != "pixels":
            raise ConfigError(
                f"the bridge streams a scan's pixels; the overlay of '{design.name}' is of kind "
                f"{described['kind']}: it takes whole frames of {design.input.shape} only",
                hint="use a chain of valid convolutions of stride 1 in style 'stream'; drive this one from "
                "Python with the overlay's own dwell_board",
                place=str(design.path),
            )
        self._client: BoardClient = open_board(target, overlay)
        self._info = BoardInfo(
            name=target,
            evidence=evidence,
            design_digest=design.digest,
            build_digest=str(described["build_digest"]),
            window=design.window,
            decision_us=design.latency_cycles / design.clock_mhz,
            versions={"overlay": str(described["dwell"])},
        )
        self._max_width = design.max_width
        self._shape: tuple[int, int] | None = None
        self._line = 0
        self._handed = 0
        self._waiting: list[Event] = []

    @property
    def info(self) -> BoardInfo:
        """See `Board`."""
        return self._info

    def start(self, lines: int, pixels: int, threshold: int, dead_time: int) -> None:
        """See `Board`."""
        if pixels > self._max_width:
            raise ConfigError(
                f"lines of {pixels} pixels are longer than the design takes, {self._max_width}",
                hint="narrow the field, or build with a larger convert.max_width",
            )
        self._client.configure(threshold, dead_time, lines=lines, pixels=pixels)
        self._client.start_frame()
        self._client.clear()
        self._shape, self._line, self._handed, self._waiting = (lines, pixels), 0, 0, []

    def send(self, rows: NDArray[np.uint8]) -> None:
        """See `Board`."""
        if self._shape is None:
            raise DeviceError("the board has not been started")
        lines = self._shape[0]
        at = 0
        while at < len(rows):  # the driver takes rows of one frame at a time
            part = rows[at : at + lines - self._line]
            self._keep(self._client.send_rows(np.ascontiguousarray(part)))
            self._line = (self._line + len(part)) % lines
            at += len(part)

    def events(self) -> Sequence[Event]:
        """See `Board`."""
        waiting, self._waiting = self._waiting, []
        self._handed += len(waiting)
        return waiting

    def finish(self) -> Sequence[Event]:
        """See `Board`."""
        self._keep(self._client.events())
        return self.events()

    def counters(self) -> BoardCounters:
        """See `Board`. `events` are those handed over, as the host counts them."""
        found = self._client.counters()
        return BoardCounters(
            frames=found["frames"],
            pixels=found["pixels"],
            pixels_decided=found["pixels_decided"],
            pixels_dropped=found["pixels_dropped"],
            decisions=found["decisions"],
            triggers=found["triggers"],
            events=self._handed,
            events_dropped=found["events_dropped"],
        )

    def close(self) -> None:
        """See `Board`."""
        self._client.close()

    def _keep(self, records: NDArray[Any]) -> None:
        now = time.monotonic()
        self._waiting += [
            Event(int(r["frame"]), int(r["line"]), int(r["pixel"]), int(r["score"]), now) for r in records
        ]


def _overlay(design: Design, work: Path) -> Path:
    """The overlay of a design, packaged once for each design and board."""
    key = json_digest({"design": design.digest, "board": design.board})[:12]
    out = work / "overlays" / f"{design.name}-{key}"
    if not (out / "overlay.json").is_file():
        package_design(design, design.board, out)
    return out
