"""Carrying out a plan: environments first, then Snakemake over one process a stage, watched to the end."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock

from dwell.artifact import sweep_temporary
from dwell.build.plan import Plan, PlannedStage
from dwell.build.snakefile import snakefile, snakemake_command
from dwell.build.watch import Outcome, Watcher
from dwell.environments.locate import CORE, locate
from dwell.environments.sync import sync
from dwell.errors import DwellError, InternalError, ResourceError
from dwell.guard import guarded
from dwell.jobs import Job
from dwell.processes import ProcessIdentity, kill_tree
from dwell.progress import Reporter

_LOOK_EVERY_S = 0.1


@dataclass(frozen=True)
class BuildResult:
    """What became of each stage, and the first error if there was one."""

    outcomes: tuple[Outcome, ...]
    error: DwellError | None
    seconds: float


def build(plan: Plan, *, cores: int, report: Reporter) -> BuildResult:
    """Run what is pending in a plan. A failing stage is in the result; what keeps all from running raises."""
    started = time.monotonic()
    work = plan.project.work
    with _only_one(work):
        sweep_temporary(plan.artifacts)
        watcher = Watcher(plan, report)
        if plan.pending:
            _set_aside_edited(plan, report)
            pythons = _environments(plan, report)
            jobs = _write_jobs(plan, watcher)
            text = snakefile(plan, jobs, pythons)
            _run(snakemake_command(work, text, cores), work, watcher)
        _link_latest(plan)
    outcomes, error = watcher.outcomes()
    return BuildResult(outcomes, error, time.monotonic() - started)


@contextmanager
def _only_one(work: Path) -> Iterator[None]:
    """The right to build this project; the lock ends with its process, however that ends."""
    work.mkdir(parents=True, exist_ok=True)
    _write_gitignore(work)
    lock = filelock.FileLock(work / "build.lock")
    try:
        lock.acquire(timeout=1.0)
    except filelock.Timeout as error:
        raise ResourceError(
            "another build of this project is running", hint="wait for it, or stop it", place=str(work)
        ) from error
    try:
        yield
    finally:
        lock.release()


def _write_gitignore(work: Path) -> None:
    path = work / ".gitignore"
    if not path.exists():
        path.write_text("*\n")


def _set_aside_edited(plan: Plan, report: Reporter) -> None:
    """Move artifacts that somebody changed out of the way, so that the changes are not lost."""
    for planned in plan.pending:
        if planned.path.is_dir() and planned.edited:
            aside = plan.project.work / "edited" / planned.path.name
            shutil.rmtree(aside, ignore_errors=True)
            aside.parent.mkdir(parents=True, exist_ok=True)
            planned.path.rename(aside)
            report.note(
                f"[{planned.name}] {planned.edited[0]} was changed after it was built; "
                f"kept at {aside}, building again"
            )
        else:
            shutil.rmtree(planned.path, ignore_errors=True)


def _environments(plan: Plan, report: Reporter) -> dict[str, Path]:
    """The Python of each environment that a pending stage needs, made if it is not there yet."""
    pythons = {}
    for lock in (lock for planned in plan.pending for lock in (planned.lock, *planned.also)):
        if lock.name not in pythons:
            ready = locate(lock)
            if not ready.ready and lock.name != CORE:
                ready = sync(lock, report).environment
            if not ready.ready:
                raise ResourceError(f"the environment '{lock.name}' is not ready: {ready.reason}")
            pythons[lock.name] = ready.python
    return pythons


def _write_jobs(plan: Plan, watcher: Watcher) -> dict[str, Path]:
    owner = ProcessIdentity.current().to_json()
    folder = plan.project.work / "jobs"
    jobs = {}
    for planned in plan.pending:
        watcher.events(planned).unlink(missing_ok=True)
        job = Job(
            kind="stage",
            name=planned.name,
            run=planned.stage.run,
            owner=owner,
            events=str(watcher.events(planned)),
            log=str(watcher.log(planned)),
            inputs={name: str(needed.path) for name, needed in planned.inputs.items()},
            manifest=_manifest(plan, planned),
            out=str(planned.path),
            failed=str(plan.project.work / "failed" / planned.name),
        )
        jobs[planned.name] = job.write(folder / f"{planned.name}.json")
    return jobs


def _manifest(plan: Plan, planned: PlannedStage) -> dict[str, Any]:
    return {
        "name": plan.project.name,
        "stage": planned.name,
        "digest": planned.digest,
        "inputs": {name: needed.digest for name, needed in planned.inputs.items()},
        "params": dict(planned.params),
        "code_digest": planned.code_digest,
        "tools": {"environment": f"{planned.lock.name} {planned.lock.digest[:12]}"},
        "seed": plan.project.seed,
    }


def _run(command: list[str], work: Path, watcher: Watcher) -> None:
    """Run Snakemake and watch the stages. Whatever happens, no process of theirs is left."""
    log = work / "logs" / "snakemake.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as stream:
        process = subprocess.Popen(
            guarded(command),
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            env=_environment(),
            start_new_session=True,
        )
        try:
            while process.poll() is None:
                watcher.look()
                time.sleep(_LOOK_EVERY_S)
            watcher.look()
        finally:
            kill_tree(process.pid)
            process.wait()
            sweep_temporary(work / "artifacts")
    if not watcher.something_failed() and not watcher.all_ended():
        raise InternalError("Snakemake did not run all stages", log=log)


def _environment() -> dict[str, str]:
    """What all stages share: same hashes each time, no window, no packages but the environment's."""
    own = {"PYTHONHASHSEED": "0", "PYTHONNOUSERSITE": "1", "MPLBACKEND": "Agg", "TF_CPP_MIN_LOG_LEVEL": "2"}
    return {**os.environ, **own}


def _link_latest(plan: Plan) -> None:
    """`.dwell/latest/STAGE` points at the artifact of this plan, for people and shells."""
    folder = plan.project.work / "latest"
    folder.mkdir(exist_ok=True)
    for planned in plan.stages:
        link = folder / planned.name
        target = os.path.relpath(planned.path, folder)
        if not planned.path.is_dir() or (link.is_symlink() and os.readlink(link) == target):  # noqa: PTH115
            continue
        temporary = folder / f".{planned.name}.new"
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(target)
        temporary.replace(link)


def as_json(plan: Plan, result: BuildResult) -> dict[str, Any]:
    """The JSON object of a build: project, stages, seconds, and the error if there was one."""
    found: dict[str, Any] = {
        "project": plan.project.name,
        "stages": [outcome.to_json() for outcome in result.outcomes],
        "seconds": round(result.seconds, 3),
    }
    if result.error is not None:
        found["error"] = result.error.to_json()
    return found
