"""The simulated microscope's process: started in its own environment, watched, and never left behind."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dwell.errors import ConfigError, DeviceError

_FOLDER = Path(__file__).parent / "microscope_server"
_TAIL_CHARACTERS = 1500
_LAUNCH = "import runpy, sys; sys.path.insert(0, sys.argv.pop(1)); runpy.run_module('microscope_server')"


class ServerProcess:
    """A running microscope. Its lifeline is its standard input: it ends when this process does, however that
    ends.

    It has a session of its own, so that Ctrl-C reaches the host alone, which then blanks the beam in good
    order.
    """

    def __init__(
        self, python: Path, request: Mapping[str, Any], log: Path, *, timeout_s: float = 60.0
    ) -> None:
        """Start and wait for the address. Raises `DeviceError` with the log's tail if none comes in time."""
        if not python.exists():
            raise ConfigError(
                f"there is no Python at {python}", hint="run `dwell env sync scope`", place=str(python)
            )
        self.log = log
        self._stopping = threading.Event()
        self._process = self._start(python, log)
        try:
            self.uri = self._greet(request, timeout_s)
        except BaseException:
            self.kill()
            raise

    @property
    def pid(self) -> int:
        """Its process number."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def describe_end(self) -> str:
        """How it ended, in a few words; empty while it runs."""
        code = self._process.poll()
        if code is None:
            return ""
        return (
            f"was killed by signal {signal.Signals(-code).name}"
            if code < 0
            else f"ended with exit code {code}"
        )

    def log_tail(self) -> str:
        """The end of what it has said."""
        with contextlib.suppress(OSError):
            return self.log.read_text(errors="replace")[-_TAIL_CHARACTERS:].strip()
        return ""

    def stop(self, *, patience_s: float = 5.0) -> None:
        """Cut the lifeline, so that it blanks the beam and ends; kill it if that takes too long."""
        with contextlib.suppress(OSError, ValueError):
            if self._process.stdin is not None:
                self._process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(patience_s)
        self.kill()

    def kill(self) -> None:
        """End it and everything it started, now."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError, ValueError):
                if pipe is not None:
                    pipe.close()
        self._stopping.set()

    def _start(self, python: Path, log: Path) -> subprocess.Popen[bytes]:
        """Start from a thread that lives as long as the server.

        The server asks the kernel to be killed when its parent dies, and to the kernel the parent is the
        thread that started it: a short-lived one would take the microscope with it.
        """
        log.parent.mkdir(parents=True, exist_ok=True)
        started: list[subprocess.Popen[bytes] | OSError] = []
        ready = threading.Event()

        def keep() -> None:
            try:
                with log.open("wb") as errors:
                    started.append(
                        subprocess.Popen(
                            [str(python), "-I", "-u", "-c", _LAUNCH, str(_FOLDER.parent)],
                            stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE,
                            stderr=errors,
                            start_new_session=True,
                        )
                    )
            except OSError as error:
                started.append(error)
            ready.set()
            self._stopping.wait()

        threading.Thread(target=keep, name="microscope-keeper", daemon=True).start()
        ready.wait()
        process = started[0]
        if isinstance(process, OSError):
            self._stopping.set()
            raise DeviceError(f"the microscope cannot be started: {process}", place=str(python)) from process
        return process

    def _greet(self, request: Mapping[str, Any], timeout_s: float) -> str:
        assert self._process.stdin is not None and self._process.stdout is not None
        line = json.dumps({"parent": os.getpid(), **request}).encode() + b"\n"
        try:
            self._process.stdin.write(line)
            self._process.stdin.flush()
            answer = _read_line(self._process.stdout.fileno(), timeout_s)
            return str(json.loads(answer)["uri"])
        except (OSError, ValueError, KeyError) as error:
            time.sleep(0.1)  # for the last words to reach the log
            end = self.describe_end() or f"gave no address within {timeout_s:g} s"
            tail = self.log_tail()
            raise DeviceError(
                f"the microscope {end}" + (f": {tail.splitlines()[-1]}" if tail else ""),
                hint=f"see {self.log}; `dwell doctor` shows whether its environment is whole",
                place=str(self.log),
            ) from error


def _read_line(descriptor: int, timeout_s: float) -> bytes:
    """A line from a pipe, in bounded time. Raises `TimeoutError` or `EOFError`, both of them wrong
    answers.
    """
    got = b""
    deadline = time.monotonic() + timeout_s
    while not got.endswith(b"\n"):
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([descriptor], [], [], left)[0]:
            raise TimeoutError("no answer in time")
        part = os.read(descriptor, 4096)
        if not part:
            raise ConnectionError("it ended")
        got += part
    return got
