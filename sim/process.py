"""Child processes that end with their time limit or with this process, however that one dies.

Simulators and compilers start children of their own (make, g++, a simulator below cocotb). A watcher
between us and them leads their process group and kills all of it when the time is up or when the pipe to
us closes, which also happens when we are killed with SIGKILL.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

TIMED_OUT = 124
"""The watcher's exit status for a child that ran past its limit."""

CANNOT_START = 127
"""The watcher's exit status for a program that is not there."""

# Small and with `-S -E`, so that it starts in some 20 ms. It ignores Ctrl-C: its parent ends it by closing
# the pipe. Descriptor 0 is that pipe; the child gets an empty standard input.
_WATCHER = """
import os, select, signal, subprocess, sys
limit, argv = float(sys.argv[1]), sys.argv[2:]
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
try:
    child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, start_new_session=True)
except OSError as error:
    print(error, file=sys.stderr)
    sys.exit(127)
status = 143
try:
    end = os.pidfd_open(child.pid)
    ready, _, _ = select.select([0, end], [], [], limit)
    if end in ready:
        status = child.wait()
        status = 128 - status if status < 0 else status
    elif not ready:
        status = 124
finally:
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    child.wait()
sys.exit(status)
"""


@dataclass(frozen=True)
class Finished:
    """How a child ended: its exit status (128 + n after signal n) and whether the limit was passed."""

    status: int
    timed_out: bool


def run_child(
    argv: Sequence[str],
    *,
    log: Path,
    timeout_s: float,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    on_line: Callable[[str], None] | None = None,
) -> Finished:
    """Run `argv`, its output appended to `log`, at most `timeout_s` seconds.

    `on_line` sees each line of output as it comes. The whole process group is killed when the limit is
    passed, when this call is left by an exception, and when this process dies.
    """
    command = [sys.executable, "-S", "-E", "-c", _WATCHER, str(timeout_s), *argv]
    with log.open("ab") as sink:
        watcher = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            env=dict(env) if env is not None else None,
        )
        assert watcher.stdin is not None and watcher.stdout is not None
        try:
            for line in watcher.stdout:
                sink.write(line)
                if on_line is not None:
                    on_line(line.decode(errors="replace").rstrip("\n"))
            status = watcher.wait()
        finally:
            watcher.stdin.close()
            watcher.wait()
            watcher.stdout.close()
    return Finished(status, timed_out=status == TIMED_OUT)


def log_tail(log: Path, lines: int = 20) -> str:
    """The last `lines` lines of a log, empty if there is none."""
    if not log.is_file():
        return ""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


def usable_cpus() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0))
