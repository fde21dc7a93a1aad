"""The process of one stage or command: `python -m dwell.stage_runner job.json`.

It owns a session, writes everything it prints into its log, tells its events in a file, and dies with all of
its descendants as soon as the build that asked for it is gone.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import platform
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, NoReturn

from dwell.artifact import Manifest, digest_files, write_atomic_dir
from dwell.errors import DwellError, InternalError, ResourceError
from dwell.jobs import EventWriter, Job
from dwell.processes import adopt_orphans, kill_descendants, when_it_dies
from dwell.stage import StageContext

_log = logging.getLogger("dwell.stage")


def main(arguments: list[str]) -> int:
    """Run the job in `arguments[0]`. Returns the exit code, that of the error if there is one."""
    job = Job.read(Path(arguments[0]))
    _own_session()
    _into_log(Path(job.log))
    adopt_orphans()
    when_it_dies(job.owned_by, _end_now)
    signal.signal(signal.SIGTERM, lambda *_: _end_now())
    events = EventWriter(Path(job.events))
    events.write("start")
    started = time.monotonic()
    try:
        value = _run(job, events)
        events.write("end", seconds=time.monotonic() - started, value=value)
        return 0
    except Exception as error:
        known = _as_known(error, Path(job.log))
        _log.error("%s failed:\n%s", job.name, traceback.format_exc())
        events.write("error", seconds=time.monotonic() - started, error=known.to_json())
        return known.exit_code
    finally:
        kill_descendants()


def _own_session() -> None:
    with contextlib.suppress(PermissionError):  # already the first process of its session
        os.setsid()


def _end_now() -> NoReturn:
    kill_descendants(patience_s=1.0)
    with contextlib.suppress(OSError):
        os.killpg(os.getpgrp(), signal.SIGKILL)
    os._exit(137)


def _into_log(path: Path) -> None:
    """Send standard output and error of this process and all it starts into the log."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    logging.basicConfig(
        level=logging.INFO,
        stream=sys.stderr,
        format="%(asctime)s %(levelname)-7s %(name)s: %(message)s",
        force=True,
    )


def _as_known(error: Exception, log: Path) -> DwellError:
    if isinstance(error, DwellError):
        return error
    if isinstance(error, MemoryError):
        return ResourceError("out of memory", hint="lower -j, or use a machine with more memory")
    if isinstance(error, OSError) and error.errno == 28:
        return ResourceError(
            f"no space left on the disk of {error.filename or 'the project'}",
            hint="make room and build again",
        )
    return InternalError(f"{type(error).__name__}: {error}", log=log)


def resolve(target: str) -> Callable[..., Any]:
    """The function that `"package.module:function"` names."""
    module, _, name = target.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return found


def _run(job: Job, events: EventWriter) -> Mapping[str, Any]:
    if job.kind == "command":
        return dict(resolve(job.run)(job.args))
    return _run_stage(job, events)


def _run_stage(job: Job, events: EventWriter) -> Mapping[str, Any]:
    out = Path(job.out)
    if out.is_dir() and not any(out.iterdir()):
        out.rmdir()  # Snakemake makes the folder of its target; an artifact is whole or absent
    started = time.monotonic()
    with write_atomic_dir(out) as directory:
        context = StageContext(
            inputs={name: Path(path) for name, path in job.inputs.items()},
            params=job.manifest["params"],
            out=directory,
            seed=job.manifest["seed"],
            log=logging.getLogger(f"dwell.{job.name}"),
            report_progress=events.progress,
        )
        try:
            metrics = dict(resolve(job.run)(context))
        except BaseException:
            _keep(directory, Path(job.failed))
            raise
        tools = dict(job.manifest["tools"])
        tools |= {"python": platform.python_version(), "dwell": metadata.version("dwell")}
        tools |= metrics.pop("tools", {})
        Manifest(
            **{**job.manifest, "tools": tools},
            metrics=metrics,
            wall_seconds=round(time.monotonic() - started, 3),
            files=digest_files(directory),
        ).write(directory)
    return metrics


def _keep(directory: Path, failed: Path) -> None:
    """Keep what a failed stage wrote (waves, a tool's log) where nobody takes it for an artifact."""
    shutil.rmtree(failed, ignore_errors=True)
    if any(directory.iterdir()):
        failed.parent.mkdir(parents=True, exist_ok=True)
        directory.rename(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
