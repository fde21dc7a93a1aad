"""The programmable logic as a loaded library: `model.cpp` and a Verilated overlay, called through ctypes."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dwell.sim.verilated.build import build_library

FRAMES_ENGINE, EVENTS_ENGINE = 0, 1
SHELL_PORT, WEIGHTS_PORT = 0, 1
FAULTS = {"none": 0, "frames": 1, "decisions": 2, "events": 3}
"""Planted faults: the stream or engine that never completes."""

_POINTER, _U32, _U64, _INT = ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint64, ctypes.c_int
_FUNCTIONS: dict[str, tuple[Any, list[Any]]] = {
    "board_new": (_POINTER, [_POINTER, _U64, _U64, _U32, _U32, _U32, _U64]),
    "board_delete": (None, [_POINTER]),
    "board_run": (None, [_POINTER, _U64]),
    "board_clocks": (_U64, [_POINTER]),
    "board_pulses": (_U64, [_POINTER]),
    "board_pulse_clocks": (_U64, [_POINTER]),
    "board_pauses": (None, [_POINTER, _U32, _U32, _U64]),
    "board_fault": (None, [_POINTER, _U32]),
    "board_write": (_INT, [_POINTER, _U32, _U32, _U32]),
    "board_read": (_INT, [_POINTER, _U32, _U32, ctypes.POINTER(_U32)]),
    "board_dma_write": (None, [_POINTER, _U32, _U32, _U32]),
    "board_dma_read": (_U32, [_POINTER, _U32, _U32]),
    "board_poll": (None, [_POINTER, _U32, _U32, _U32]),
}


@dataclass(frozen=True)
class Streams:
    """Bytes of a pixel's and of a decision's beat, bits of the DMAs' length field."""

    pixel_bytes: int
    decision_bytes: int
    length_bits: int


def build_overlay(
    rtl: Path, top: str, *, weights: bool = False, progress: Callable[[str], None] | None = None
) -> Path:
    """The library of the overlay whose Verilog is in `rtl`; built once. Raises `ToolFailedError`.

    `weights` says that its top has a port for them.
    """
    driver = resources.files("dwell.sim.board").joinpath("model.cpp").read_bytes()
    if weights:
        driver = b"#define DWELL_WEIGHTS\n" + driver
    return build_library(top, sorted(rtl.glob("*.v")), driver, progress=progress)


class Logic:
    """A running overlay with its DMA engines and `memory` (uint8) at physical address `base`."""

    def __init__(
        self, library: Path, memory: npt.NDArray[np.uint8], base: int, streams: Streams, seed: int
    ) -> None:
        self._lib = ctypes.CDLL(str(library))
        for name, (result, arguments) in _FUNCTIONS.items():
            function = getattr(self._lib, name)
            function.restype, function.argtypes = result, arguments
        self._memory = memory  # kept: the library holds a pointer into it
        self._word = _U32()
        self._board = self._lib.board_new(
            memory.ctypes.data, base, memory.size,
            streams.pixel_bytes, streams.decision_bytes, streams.length_bits, seed,
        )  # fmt: skip

    def close(self) -> None:
        """Free the model."""
        if self._board:
            self._lib.board_delete(self._board)
            self._board = None

    def run(self, clocks: int) -> None:
        """Let so many clocks pass."""
        self._lib.board_run(self._board, clocks)

    @property
    def clocks(self) -> int:
        """Clocks since the library was loaded."""
        return int(self._lib.board_clocks(self._board))

    @property
    def pulses(self) -> tuple[int, int]:
        """Pulses on the trigger pin, and their clocks in all."""
        return int(self._lib.board_pulses(self._board)), int(self._lib.board_pulse_clocks(self._board))

    def pause(self, gap_percent: int, stall_percent: int, seed: int) -> None:
        """random idle clocks before beats, and stalls of the memory behind the receiving engines."""
        self._lib.board_pauses(self._board, gap_percent, stall_percent, seed)

    def plant(self, fault: str) -> None:
        """Plant one of `FAULTS`."""
        self._lib.board_fault(self._board, FAULTS[fault])

    def write(self, port: int, offset: int, value: int) -> int:
        """One AXI4-Lite write to `SHELL_PORT` or `WEIGHTS_PORT`; its response, or -1."""
        return int(self._lib.board_write(self._board, port, offset, value))

    def read(self, port: int, offset: int) -> tuple[int, int]:
        """One AXI4-Lite read; response (or -1) and value."""
        response = self._lib.board_read(self._board, port, offset, ctypes.byref(self._word))
        return int(response), int(self._word.value)

    def dma_write(self, engine: int, offset: int, value: int) -> None:
        """Write a register of a DMA engine."""
        self._lib.board_dma_write(self._board, engine, offset, value)

    def dma_read(self, engine: int, offset: int) -> int:
        """Read a register of a DMA engine."""
        return int(self._lib.board_dma_read(self._board, engine, offset))

    def poll(self, engine: int, offset: int, clocks: int) -> None:
        """Let up to `clocks` pass while the channel at `offset` is busy."""
        self._lib.board_poll(self._board, engine, offset, clocks)
