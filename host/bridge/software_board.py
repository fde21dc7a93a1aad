"""A board that is a program: the golden model's interpreter with the trigger's rule, on the host.

It decides exactly what the firmware decides (threshold, dead time, frame borders) and drops nothing. It says
nothing about time: `decision_us` is None. It is for instruments without a board and for tests of the bridge.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dwell.errors import ConfigError, DeviceError
from dwell.hls.qmodel import QModel, centre_of, is_fully_convolutional, model_digest, window_of
from dwell.host.bridge.board import BoardCounters, BoardInfo, Event
from dwell.host.bridge.row_stream import RowStream

_DETECTOR_BITS = 8


class SoftwareBoard:
    """Runs a fully convolutional `QModel` over a raster of rows. See `Board`."""

    def __init__(self, model: QModel, *, design_digest: str = "") -> None:
        """Raises `ConfigError` for a model that cannot take a scan pixel by pixel."""
        kind = model.tensors[model.input].type
        plain = (kind.signed, kind.width, kind.frac) == (False, _DETECTOR_BITS, _DETECTOR_BITS)
        if not is_fully_convolutional(model) or not plain or model.tensors[model.input].shape[-1] != 1:
            raise ConfigError(
                f"model '{model.name}' does not take a scan of 8-bit pixels",
                hint="a fully convolutional network with input type ufixed<8,0> and one channel does",
            )
        self._model = model
        self._stream = RowStream(model)
        self._info = BoardInfo(
            "software", "software", design_digest or model_digest(model), "", window_of(model), None, {}
        )
        self._shape: tuple[int, int] | None = None

    @property
    def info(self) -> BoardInfo:
        """See `Board`."""
        return self._info

    def start(self, lines: int, pixels: int, threshold: int, dead_time: int) -> None:
        """See `Board`."""
        window = self._info.window
        if lines < window[0] or pixels < window[1]:
            raise ConfigError(
                f"frames of {lines} lines of {pixels} pixels are smaller than the window {window}"
            )
        if dead_time < 0:
            raise ConfigError(f"a dead time of {dead_time} decisions is negative")
        self._shape, self._threshold, self._dead_time = (lines, pixels), threshold, dead_time
        self._stream.restart()
        self._frame, self._line, self._quiet = 0, 0, 0
        self._waiting: list[Event] = []
        self._counts = dict.fromkeys(BoardCounters().to_json(), 0)

    def send(self, rows: NDArray[np.uint8]) -> None:
        """See `Board`."""
        if self._shape is None:
            raise DeviceError("the board has not been started")
        lines, pixels = self._shape
        if rows.ndim != 2 or rows.shape[1] != pixels or rows.dtype != np.uint8:
            raise DeviceError(f"rows of shape {rows.shape} and type {rows.dtype}, not (n, {pixels}) uint8")
        at = 0
        while at < len(rows):
            part = rows[at : at + lines - self._line]
            self._take(part)
            at += len(part)

    def _take(self, part: NDArray[np.uint8]) -> None:
        assert self._shape is not None
        if self._line == 0:
            self._counts["frames"] += 1
        self._counts["pixels"] += part.size
        self._counts["pixels_decided"] += part.size
        scores = self._stream.push(part[:, :, None].astype(np.int64))[:, :, 0]
        if len(scores):
            self._decide(scores, max(0, self._line - self._info.window[0] + 1))
        self._line += len(part)
        if self._line == self._shape[0]:
            self._line, self._frame, self._quiet = 0, self._frame + 1, 0
            self._stream.restart()

    def _decide(self, scores: NDArray[np.int64], first_line: int) -> None:
        """The trigger's rule on decisions (n, m) whose first window starts at `first_line`, in raster
        order.
        """
        centre = centre_of(self._model)
        flat = scores.ravel()
        now = time.monotonic()
        fires = np.flatnonzero(flat >= self._threshold)
        ready = self._quiet  # decisions from here on that cannot trigger
        for index in fires:
            if index < ready:
                continue
            line, pixel = divmod(int(index), scores.shape[1])
            self._waiting.append(
                Event(self._frame, first_line + line + centre[0], pixel + centre[1], int(flat[index]), now)
            )
            ready = int(index) + 1 + self._dead_time
            self._counts["triggers"] += 1
        self._quiet = max(0, ready - flat.size)
        self._counts["decisions"] += flat.size

    def events(self) -> Sequence[Event]:
        """See `Board`."""
        waiting, self._waiting = self._waiting, []
        self._counts["events"] += len(waiting)
        return waiting

    def finish(self) -> Sequence[Event]:
        """See `Board`."""
        return self.events()

    def counters(self) -> BoardCounters:
        """See `Board`."""
        return BoardCounters(**self._counts)

    def close(self) -> None:
        """See `Board`."""
        self._shape = None
