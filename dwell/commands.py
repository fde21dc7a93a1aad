"""Running one command of a room in the environment that holds its tools, as a process of its own."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dwell.environments.locate import Environment, locate
from dwell.environments.lock import read_lock
from dwell.environments.sync import sync
from dwell.errors import ResourceError, error_from_json
from dwell.guard import guarded
from dwell.jobs import EventReader, Job
from dwell.logs import new_log
from dwell.processes import ProcessIdentity, kill_tree
from dwell.progress import Reporter

#: How long a command that was asked to end by itself may take for it.
INTERRUPT_PATIENCE_S = 30.0


def ready_environment(name: str, report: Reporter) -> Environment:
    """The environment `name`, made if it is not there yet."""
    lock = read_lock(name)
    found = locate(lock)
    return found if found.ready else sync(lock, report).environment


def run_command(
    name: str,
    function: str,
    args: Mapping[str, Any],
    report: Reporter,
    *,
    environment: str = "build",
    interrupt: Callable[[], None] | None = None,
) -> dict[str, Any]:
    """Call `function` (`"package.module:name"`, a dict in, a dict out) in an environment.

    On Ctrl-C it is killed; or, where `interrupt` is given, that is called to make it end by itself, and it
    is killed on the second Ctrl-C or after `INTERRUPT_PATIENCE_S`. Its errors are raised here as the same
    classes; anything unexpected is an `InternalError` with its log.
    """
    python = ready_environment(environment, report).python
    log = new_log(name)
    with tempfile.TemporaryDirectory(prefix="dwell-") as folder:
        events = Path(folder) / "events"
        job = Job(
            kind="command",
            name=name,
            run=function,
            owner=ProcessIdentity.current().to_json(),
            events=str(events),
            log=str(log),
            args=dict(args),
        )
        return _run(job, python, job.write(Path(folder) / "job.json"), report, interrupt)


def _run(
    job: Job, python: Path, path: Path, report: Reporter, interrupt: Callable[[], None] | None
) -> dict[str, Any]:
    environment = {**os.environ, "PATH": f"{python.parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    environment |= {"PYTHONHASHSEED": "0", "PYTHONNOUSERSITE": "1", "MPLBACKEND": "Agg"}
    reader = EventReader(Path(job.events))
    report.start(job.name)
    with Path(job.log).open("w") as stream:
        process = subprocess.Popen(
            guarded([str(python), "-m", "dwell.stage_runner", str(path)]),
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
        try:
            last = _follow(process, reader, job.name, report)
        except KeyboardInterrupt:
            if interrupt is None:
                raise
            interrupt()
            last = _follow(process, reader, job.name, report, until=time.monotonic() + INTERRUPT_PATIENCE_S)
        finally:
            kill_tree(process.pid)
            process.wait()
    last = next(reversed(reader.read()), last)
    ok = last.get("event") == "end"
    report.end(job.name, f"{last.get('seconds', 0.0):.1f} s" if ok else "failed", ok=ok)
    if last.get("event") == "error":
        raise error_from_json(last["error"])
    if not ok:
        raise ResourceError(
            f"'{job.name}' ended without a word, as if it had been killed",
            hint=f"out of memory? its log is {job.log}",
            place=job.log,
        )
    return dict(last["value"])


def _follow(
    process: subprocess.Popen[bytes],
    reader: EventReader,
    name: str,
    report: Reporter,
    *,
    until: float = float("inf"),
) -> Mapping[str, Any]:
    """Report progress until the process ends or the time is over; the last event."""
    last: Mapping[str, Any] = {}
    while process.poll() is None and time.monotonic() < until:
        time.sleep(0.05)
        for last in reader.read():
            if last["event"] == "progress":
                report.update(name, last["fraction"], last["text"])
    return last
