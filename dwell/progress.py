"""Telling a person how it goes: bars on a terminal, lines elsewhere, always on standard error."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

_LINE_EVERY_S = 10.0


class Reporter(Protocol):
    """Something that shows how several named things go at once."""

    def start(self, name: str, text: str = "") -> None:
        """A thing begins."""

    def update(self, name: str, fraction: float, text: str = "") -> None:
        """A thing has come so far, from 0 to 1."""

    def end(self, name: str, text: str, *, ok: bool = True) -> None:
        """A thing is over."""

    def note(self, text: str) -> None:
        """A line to be read."""


class SilentReporter:
    """Shows nothing."""

    def start(self, name: str, text: str = "") -> None:
        """Nothing."""

    def update(self, name: str, fraction: float, text: str = "") -> None:
        """Nothing."""

    def end(self, name: str, text: str, *, ok: bool = True) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """Nothing."""


class LineReporter:
    """Plain lines for logs and pipes: beginnings, ends, and a sign of life every ten seconds."""

    def __init__(self) -> None:
        self._last: dict[str, float] = {}

    def start(self, name: str, text: str = "") -> None:
        """One line."""
        self._last[name] = time.monotonic()
        self._say(name, text or "started")

    def update(self, name: str, fraction: float, text: str = "") -> None:
        """One line, unless there was one just before."""
        now = time.monotonic()
        if now - self._last.get(name, 0.0) >= _LINE_EVERY_S:
            self._last[name] = now
            self._say(name, f"{fraction:4.0%} {text}".rstrip())

    def end(self, name: str, text: str, *, ok: bool = True) -> None:
        """One line."""
        self._say(name, text)

    def note(self, text: str) -> None:
        """One line."""
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()

    def _say(self, name: str, text: str) -> None:
        self.note(f"[{name}] {text}")


class BarReporter:
    """Rich bars on a terminal."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            SpinnerColumn(finished_text=" "),
            TextColumn("[bold]{task.fields[name]}"),
            BarColumn(bar_width=30),
            TextColumn("{task.description}", markup=False),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> BarReporter:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def start(self, name: str, text: str = "") -> None:
        """A new bar."""
        self._tasks[name] = self._progress.add_task(text, name=name, total=None)

    def update(self, name: str, fraction: float, text: str = "") -> None:
        """Move the bar."""
        task = self._tasks.get(name)
        if task is not None:
            self._progress.update(task, total=1.0, completed=fraction, description=text[:60])

    def end(self, name: str, text: str, *, ok: bool = True) -> None:
        """Take the bar away and leave a line."""
        task = self._tasks.pop(name, None)
        if task is not None:
            self._progress.remove_task(task)
        mark = "[green]✔[/]" if ok else "[red]✘[/]"
        self._progress.console.print(f"{mark} [bold]{name}[/] {text}", highlight=False)

    def note(self, text: str) -> None:
        """A line above the bars."""
        self._progress.console.print(text, highlight=False, markup=False)


@contextlib.contextmanager
def reporter(*, quiet: bool = False) -> Iterator[Reporter]:
    """The reporter that suits where standard error goes; `quiet` keeps to bars on a terminal."""
    console = Console(stderr=True)
    if console.is_terminal:
        with BarReporter(console) as bars:
            yield bars
    elif quiet:
        yield SilentReporter()
    else:
        yield LineReporter()
