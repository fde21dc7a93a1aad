"""What a stage is: directories in, directory out, in an environment of its own.

A room declares its stages in a light module and names them in the entry-point group `dwell.stages`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from dwell import plugins
from dwell.project import Project

JSON: TypeAlias = "bool | int | float | str | list[JSON] | dict[str, JSON] | None"


def no_files(project: Project) -> tuple[Path, ...]:
    """The `files` of a stage that reads nothing but its inputs."""
    return ()


def no_environments(project: Project) -> tuple[str, ...]:
    """The `also` of a stage that needs no environment but its own."""
    return ()


def quantizer_environment(project: Project) -> str:
    """The environment of the project's framework for quantization-aware training: what reads and runs its files."""
    frontend = plugins.load_plugin(plugins.QUANTIZERS, project.quantize.frontend, place="quantize.frontend")
    return str(getattr(frontend, "environment", "build"))


@dataclass(frozen=True)
class Stage:
    """One step of the build.

    `inputs` names the stages whose artifacts it reads; `run` is `"package.module:function"`, a function from
    `StageContext` to metrics, imported only in the stage's own process; `code` names the packages and modules
    whose sources enter the digest; `params` picks the part of the project that matters to this stage, so
    that nothing else makes it run again; `files` names outside files whose contents enter the digest.
    `threads` is how many cores the stage can use well. `environment` may depend on the project; `also` names other
    environments that it starts processes in.
    """

    name: str
    environment: str | Callable[[Project], str]
    inputs: tuple[str, ...]
    run: str
    code: tuple[str, ...]
    params: Callable[[Project], dict[str, Any]]
    files: Callable[[Project], tuple[Path, ...]] = field(default=no_files)
    threads: int = 1
    also: Callable[[Project], tuple[str, ...]] = field(default=no_environments)

    def environment_of(self, project: Project) -> str:
        """The name of the environment that it runs in."""
        return self.environment if isinstance(self.environment, str) else self.environment(project)


def _silent(fraction: float, text: str) -> None:
    return None


@dataclass(frozen=True)
class StageContext:
    """What a stage's run function gets.

    `inputs` maps each input stage to its artifact directory, `out` is an empty directory that becomes the
    artifact when the function returns, `seed` is the project's.
    """

    inputs: Mapping[str, Path]
    params: Mapping[str, Any]
    out: Path
    seed: int
    log: logging.Logger
    report_progress: Callable[[float, str], None] = field(default=_silent)

    def progress(self, fraction: float, text: str) -> None:
        """Say how far the stage has come, from 0 to 1, in a few words."""
        self.report_progress(min(max(float(fraction), 0.0), 1.0), text)
