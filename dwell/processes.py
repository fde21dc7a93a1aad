"""Processes that never outlive their purpose: watch the one that asked, kill whole trees, leave none."""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import psutil

_PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True)
class ProcessIdentity:
    """A process for sure: its number, and its start so that a reused number is not taken for it."""

    pid: int
    started: float

    @classmethod
    def current(cls) -> ProcessIdentity:
        """This process."""
        return cls(os.getpid(), psutil.Process().create_time())

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> ProcessIdentity:
        """The identity that `to_json` wrote."""
        return cls(int(data["pid"]), float(data["started"]))

    def to_json(self) -> dict[str, Any]:
        """The identity as JSON."""
        return asdict(self)

    def alive(self) -> bool:
        """Whether that very process still runs; a zombie does not."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started) < 0.05
            return bool(same and process.status() != psutil.STATUS_ZOMBIE)
        except psutil.Error:
            return False


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends, so that `kill_descendants` finds it."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def kill_descendants(*, patience_s: float = 2.0) -> None:
    """Kill every process below this one, again until none is left or the patience is over."""
    deadline = time.monotonic() + patience_s
    while True:
        below = [p for p in psutil.Process().children(recursive=True) if _running(p)]
        if not below or time.monotonic() > deadline:
            return
        for process in below:
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(below, timeout=0.2)


def _running(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def kill_tree(pid: int) -> None:
    """Kill a process and all below it: they are stopped first, so that none can start another meanwhile."""
    stopped: dict[int, psutil.Process] = {}
    while True:
        new = [process for process in _tree(pid) if process.pid not in stopped]
        if not new:
            break
        for process in new:
            stopped[process.pid] = process
            with contextlib.suppress(psutil.Error):
                process.suspend()
    for process in stopped.values():
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs([p for p in stopped.values() if p.pid != pid], timeout=2.0)


def _tree(pid: int) -> list[psutil.Process]:
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)] if _running(root) else []
    except psutil.Error:
        return []


def when_it_dies(owner: ProcessIdentity, act: Callable[[], None]) -> None:
    """Call `act` from a thread of its own as soon as `owner` has ended, however it ended."""

    def watch() -> None:
        _wait_for_end(owner)
        act()

    threading.Thread(target=watch, name="watch-owner", daemon=True).start()


def _wait_for_end(owner: ProcessIdentity) -> None:
    try:
        descriptor = os.pidfd_open(owner.pid)
    except (AttributeError, OSError):
        descriptor = -1  # not Linux, or it is gone already
    # the number may have been reused between the owner's start and the opening
    if descriptor >= 0 and owner.alive():
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        poll.poll()
    while owner.alive():
        time.sleep(0.2)
