"""Being asked to stop, at any moment, without being torn out of what is being done."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """While it is entered, Ctrl-C and a polite kill only set a flag; so does the appearance of a file.

    Calling it says whether to stop. Signals are caught in the main thread only; elsewhere the file is all
    there is.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._asked = threading.Event()
        self._before: dict[signal.Signals, Any] = {}

    def __call__(self) -> bool:
        if not self._asked.is_set() and self._file is not None and self._file.exists():
            self._asked.set()
        return self._asked.is_set()

    def ask(self) -> None:
        """Ask to stop, from any thread."""
        self._asked.set()

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                self._before[number] = signal.signal(number, self._heard)
        return self

    def _heard(self, number: int, frame: FrameType | None) -> None:
        self._asked.set()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
