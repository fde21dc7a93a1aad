"""The plan of a build, made before anything runs: which stages, in which order, with which digests."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dwell import plugins
from dwell.artifact import Artifact, json_digest
from dwell.build.digests import code_digest, edited_files, outside_files
from dwell.environments.lock import Lock, read_lock
from dwell.errors import ConfigError, nearest
from dwell.project import Project
from dwell.stage import Stage

#: Raised when the meaning of an artifact changes in a way that no source of a stage shows.
_FORMAT = 1


@dataclass(frozen=True)
class PlannedStage:
    """A stage whose artifact's place is known. `whole`: it is there, every file as it was written."""

    stage: Stage
    digest: str
    path: Path
    inputs: Mapping[str, PlannedStage]
    params: Mapping[str, Any]
    code_digest: str
    lock: Lock
    whole: bool
    edited: tuple[str, ...] = field(default=())
    also: tuple[Lock, ...] = field(default=())

    @property
    def name(self) -> str:
        """The stage's name."""
        return self.stage.name


@dataclass(frozen=True)
class Plan:
    """The stages of a build in an order in which each comes after its inputs."""

    project: Project
    stages: tuple[PlannedStage, ...]

    @property
    def pending(self) -> tuple[PlannedStage, ...]:
        """The stages that have to run."""
        return tuple(s for s in self.stages if not s.whole)

    @property
    def artifacts(self) -> Path:
        """The folder of all artifacts."""
        return self.project.work / "artifacts"


def make_plan(project: Project, until: str | None = None) -> Plan:
    """Plan the build of all stages, or of those that lead to `until`, that one included.

    Raises `ConfigError` for an unknown stage, one that cannot be loaded, a circle, or a file that is missing.
    """
    planned: dict[str, PlannedStage] = {}
    for stage in _in_order(plugins.load_group(plugins.STAGES), until):
        planned[stage.name] = _plan_stage(project, stage, planned)
    return Plan(project, tuple(planned.values()))


def _in_order(found: Mapping[str, plugins.Plugin], until: str | None) -> list[Stage]:
    if until is not None and until not in found:
        raise ConfigError(f"there is no stage '{until}'", hint=nearest(until, found), place="--until")
    order: dict[str, Stage] = {}
    path: list[str] = []

    def visit(name: str, wanted_by: str) -> None:
        if name in order:
            return
        if name in path:
            circle = " → ".join([*path[path.index(name) :], name])
            raise ConfigError(f"the stages depend on each other in a circle: {circle}", place=name)
        path.append(name)
        stage = _usable(found, name, wanted_by)
        for need in stage.inputs:
            visit(need, name)
        path.pop()
        order[name] = stage

    for name in [until] if until is not None else found:
        visit(name, "the build")
    return list(order.values())


def _usable(found: Mapping[str, plugins.Plugin], name: str, wanted_by: str) -> Stage:
    plugin = found.get(name)
    if plugin is None:
        raise ConfigError(
            f"'{wanted_by}' reads the stage '{name}', which does not exist", hint=nearest(name, found)
        )
    if not plugin.ok:
        raise ConfigError(
            f"stage '{name}' ({plugin.target}) cannot be loaded: {plugin.reason}",
            hint=f"mend or reinstall {plugin.distribution} for {sys.executable}; `dwell doctor` lists all",
            place=name,
        )
    stage = plugin.value
    if not isinstance(stage, Stage) or stage.name != name or not name.isidentifier():
        raise ConfigError(
            f"the entry point '{name}' ({plugin.target}) is not the dwell.stage.Stage of that name",
            place=name,
        )
    return stage


def _plan_stage(project: Project, stage: Stage, before: Mapping[str, PlannedStage]) -> PlannedStage:
    inputs = {name: before[name] for name in stage.inputs}
    params = stage.params(project)
    code = code_digest(stage.code)
    lock = read_lock(stage.environment_of(project))
    also = tuple(read_lock(name) for name in stage.also(project))
    digest = json_digest(
        {
            "format": _FORMAT,
            "stage": stage.name,
            "run": stage.run,
            "params": params,
            "seed": project.seed,
            "code": code,
            "inputs": {name: planned.digest for name, planned in inputs.items()},
            "files": outside_files(stage.files(project), project.root, stage.name),
            "environment": [part for each in (lock, *also) for part in (each.name, each.digest)],
            "python": list(sys.version_info[:2]),
        }
    )
    path = project.work / "artifacts" / f"{stage.name}-{digest[:12]}"
    whole, edited = _look_at(path, digest)
    return PlannedStage(stage, digest, path, inputs, params, code, lock, whole, edited, also)


def _look_at(path: Path, digest: str) -> tuple[bool, tuple[str, ...]]:
    try:
        artifact = Artifact.load(path)
    except ConfigError:
        return False, ()
    wrong = tuple(edited_files(artifact))
    return not wrong and artifact.manifest.digest == digest, wrong
