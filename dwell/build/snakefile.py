"""The Snakefile of a plan: one rule a stage, one target an artifact, nothing to decide at run time."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from dwell.artifact import MANIFEST
from dwell.build.plan import Plan, PlannedStage

_RULE = """
rule {name}:
    input:
{inputs}
    output: {output!r}
    threads: {threads}
    shell: {command!r}
"""


def snakefile(plan: Plan, jobs: Mapping[str, Path], pythons: Mapping[str, Path]) -> str:
    """The text of a Snakefile that runs every job of `jobs` (stage name to job file) with its `pythons`.

    Paths of targets are relative to the folder that holds the artifacts' folder.
    """
    targets = [_target(planned) for planned in plan.stages]
    text = f"rule all:\n    input: {targets!r}\n"
    for planned in plan.stages:
        if planned.name in jobs:
            text += _rule(planned, jobs[planned.name], pythons[planned.lock.name])
    return text


def snakemake_command(work: Path, text: str, cores: int) -> list[str]:
    """Write a Snakefile and give the command line that builds it, all of Snakemake's own files under `work`.

    The path of an artifact tells whether it is up to date, so times and Snakemake's own records decide
    nothing; an artifact is whole or absent, so what a killed build marked as incomplete is not; and the
    caller's lock, which ends with its process, stands in for Snakemake's, which does not.
    """
    path = work / "Snakefile"
    path.write_text(text)
    cache = work / ".snakemake" / "cache"
    # Snakemake keeps a copy of the Snakefile there and takes it for the new one if it is young enough
    shutil.rmtree(cache, ignore_errors=True)
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(path), "--directory", str(work)]
    command += ["--cores", str(cores), "--scheduler", "greedy", "--nolock", "--ignore-incomplete"]
    command += ["--rerun-triggers", "mtime", "--latency-wait", "2", "--printshellcmds", "--nocolor"]
    command += ["--runtime-source-cache-path", str(cache)]
    return command


def _target(planned: PlannedStage) -> str:
    return f"artifacts/{planned.path.name}/{MANIFEST}"


def _rule(planned: PlannedStage, job: Path, python: Path) -> str:
    inputs = [f"        ancient({_target(needed)!r})," for needed in planned.inputs.values()]
    path = f'{shlex.quote(str(python.parent))}:"$PATH"'
    words = [str(python), "-m", "dwell.stage_runner", str(job)]
    command = f"PATH={path} {' '.join(shlex.quote(word) for word in words)}"
    return _RULE.format(
        name=planned.name,
        inputs="\n".join(inputs) or "        [],",
        output=_target(planned),
        threads=planned.stage.threads,
        command=command.replace("{", "{{").replace("}", "}}"),
    )
