"""The project file `dwell.toml`, checked as a whole: every problem with its place and the nearest key."""

from __future__ import annotations

import re
import tomllib
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import pydantic

from dwell import plugins
from dwell.errors import ConfigError, nearest
from dwell.sections import (
    AcceptSection,
    BoardSection,
    ConvertSection,
    ModelSection,
    PluginSection,
    ProjectSection,
    QuantizeSection,
    SimulateSection,
    SynthesizeSection,
    Tables,
)
from dwell.sections import BridgeSection as BridgeSection
from dwell.sections import Section as Section

FILE_NAME = "dwell.toml"
DEFAULT_FRONTEND = "brevitas"
_M = TypeVar("_M", bound=pydantic.BaseModel)


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a project file, at `section.key`."""

    place: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        return f"{self.place}: {self.message}" + (f" ({self.hint})" if self.hint else "")


class ProjectFileError(ConfigError):
    """A project file with one or more problems, all of them listed."""

    details: ClassVar[tuple[str, ...]] = ("problems",)

    def __init__(self, path: Path, problems: Sequence[Problem]) -> None:
        lines = [str(p) for p in problems]
        message = (
            f"{path}: {lines[0]}"
            if len(lines) == 1
            else f"{path} has {len(lines)} problems:\n  " + "\n  ".join(lines)
        )
        hint = next((p.hint for p in problems if p.hint), "") or "mend the named keys; docs/ lists them all"
        super().__init__(message, hint=hint, place=problems[0].place)
        self.problems = [{"place": p.place, "message": p.message, "hint": p.hint} for p in problems]


@dataclass(frozen=True)
class Project:
    """A checked project. `path` is its `dwell.toml`, `root` the folder that holds it."""

    path: Path
    project: ProjectSection
    model: ModelSection
    quantize: QuantizeSection
    convert: ConvertSection
    simulate: SimulateSection
    synthesize: SynthesizeSection
    board: BoardSection
    accept: AcceptSection
    bridge: BridgeSection
    instrument: PluginSection | None = None
    policy: PluginSection | None = None

    @property
    def root(self) -> Path:
        """The folder of the project file."""
        return self.path.parent

    @property
    def work(self) -> Path:
        """The folder that holds what builds leave: artifacts, logs, Snakemake's own files."""
        return self.root / ".dwell"

    @property
    def name(self) -> str:
        """The project's name."""
        return self.project.name

    @property
    def seed(self) -> int:
        """The project's seed."""
        return self.project.seed


def load_project(path: Path, overrides: Iterable[str] = ()) -> Project:
    """Read a project from its folder or its file, `overrides` being `section.key=value` with TOML values.

    Raises `ProjectFileError` listing every problem, or `ConfigError` if there is no file to read.
    """
    path = _find(Path(path))
    data = _read(path)
    for text in overrides:
        _override(data, text)
    problems: list[Problem] = []
    tables = _check(Tables, data, "", problems)
    model = _check_model(data.get("model"), problems)
    quantize = _check_quantize(data.get("quantize", {}), problems)
    instrument = _check_named(plugins.INSTRUMENTS, "instrument", data, problems)
    policy = _check_named(plugins.POLICIES, "policy", data, problems)
    if tables is None or model is None or quantize is None or problems:
        raise ProjectFileError(path, problems)
    return Project(
        path=path,
        project=tables.project,
        model=model,
        quantize=quantize,
        convert=tables.convert,
        simulate=tables.simulate,
        synthesize=tables.synthesize,
        board=tables.board,
        accept=tables.accept,
        bridge=tables.bridge,
        instrument=instrument,
        policy=policy,
    )


def _find(path: Path) -> Path:
    path = path.expanduser().resolve()
    if path.is_dir():
        path = path / FILE_NAME
    if not path.is_file():
        raise ConfigError(
            f"there is no project file {path}",
            hint="give a folder that holds a dwell.toml, or make one with `dwell init DIR`",
            place=str(path),
        )
    return path


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path} is not TOML: {error}", hint="mend the named line", place=str(path)
        ) from error


def _override(data: dict[str, Any], text: str) -> None:
    key, equals, value = text.partition("=")
    parts = key.strip().split(".")
    if not equals or len(parts) < 2 or not all(parts):
        raise ConfigError(
            f"--set wants section.key=value, not '{text}'", hint="for example --set quantize.frontend=hgq2"
        )
    table = data
    for part in parts[:-1]:
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise ConfigError(f"--set {key}: '{part}' is not a table", place=key)
    table[parts[-1]] = _toml_value(key, value.strip())


def _toml_value(key: str, text: str) -> Any:
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError as error:
        if re.fullmatch(r"[A-Za-z_][\w.<>,/-]*", text):
            return text
        raise ConfigError(
            f"--set {key}: '{text}' is not a TOML value", hint="text needs quotes: --set 'key=\"some text\"'"
        ) from error
    if list(parsed) != ["value"]:
        raise ConfigError(f"--set {key}: one value, please", place=key)
    return parsed["value"]


def _check_model(table: Any, problems: list[Problem]) -> ModelSection | None:
    """The [model] section by its plug-in's class; problems are appended, and nothing is raised."""
    if not isinstance(table, dict):
        return None  # the tables' own check has said so
    own = dict(table)
    name = own.pop("name", None)
    if not isinstance(name, str):
        problems.append(Problem("model.name", "a model's name is needed", _models_hint()))
        return None
    params = _check_plugin(plugins.MODELS, name, own, "model", "name", problems)
    return None if params is None else ModelSection(name=name, params=params)


def _check_named(
    group: str, section: str, data: Mapping[str, Any], problems: list[Problem]
) -> PluginSection | None:
    """[instrument] or [policy] by its plug-in's class, if the section is there; problems are appended."""
    table = data.get(section)
    if not isinstance(table, dict):
        return None  # absent, or the tables' own check has said so
    own = dict(table)
    name = own.pop("name", None)
    if not isinstance(name, str):
        known = ", ".join(sorted(plugins.entry_points(group)))
        problems.append(Problem(f"{section}.name", "a name is needed", f"known: {known}"))
        return None
    params = _check_plugin(group, name, own, section, "name", problems)
    return None if params is None else PluginSection(name=name, params=params)


def _check_quantize(table: Any, problems: list[Problem]) -> QuantizeSection | None:
    """The [quantize] section by its front end's class; problems are appended, and nothing is raised."""
    if not isinstance(table, dict):
        return None  # the tables' own check has said so
    own = dict(table)
    name = str(own.pop("frontend", DEFAULT_FRONTEND))
    params = _check_plugin(plugins.QUANTIZERS, name, own, "quantize", "frontend", problems)
    return None if params is None else QuantizeSection(frontend=name, params=params)


def _check_plugin(
    group: str, name: str, own: dict[str, Any], section: str, key: str, problems: list[Problem]
) -> pydantic.BaseModel | None:
    """The keys `own` of a section by the class that its plug-in brings."""
    try:
        plugin = plugins.load_plugin(group, name, place=f"{section}.{key}")
    except ConfigError as error:
        problems.append(Problem(f"{section}.{key}", error.message, error.hint))
        return None
    params: type[pydantic.BaseModel] = plugin.params
    return _check(params, own, section, problems)


def _models_hint() -> str:
    return "known: " + ", ".join(sorted(plugins.entry_points(plugins.MODELS)))


def _check(cls: type[_M], data: Any, prefix: str, problems: list[Problem]) -> _M | None:
    try:
        return cls.model_validate(data)
    except pydantic.ValidationError as error:
        for one in error.errors(include_url=False):
            problems.append(_problem(cls, prefix, one))
        return None


def _problem(cls: type[pydantic.BaseModel], prefix: str, error: Mapping[str, Any]) -> Problem:
    loc = [str(part) for part in error["loc"]]
    place = ".".join(([prefix] if prefix else []) + loc)
    kind = error["type"]
    if kind == "extra_forbidden":
        return Problem(place, "unknown key", nearest(loc[-1], _keys_at(cls, loc[:-1])))
    if kind == "missing":
        return Problem(place, "missing", "add it")
    message = str(error["msg"])
    message = message[:1].lower() + message[1:]
    shown = repr(error.get("input"))
    if len(shown) > 60:
        shown = shown[:57] + "..."
    hint = ""
    if kind == "literal_error":
        choices = re.findall(r"'([^']*)'", str(error["msg"]))
        hint = nearest(str(error.get("input")), choices)
    return Problem(place, f"{message}, not {shown}", hint)


def _keys_at(cls: type[pydantic.BaseModel], loc: Sequence[str]) -> list[str]:
    """The keys that the class knows at a place inside it, through nested models."""
    for part in loc:
        info = cls.model_fields.get(part)
        inner = _model_in(info.annotation) if info is not None else None
        if inner is not None:
            cls = inner
    return [info.alias or name for name, info in cls.model_fields.items()]


def _model_in(annotation: Any) -> type[pydantic.BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        return annotation
    if typing.get_origin(annotation) in (typing.Union, types.UnionType, list, tuple, dict, typing.Annotated):
        for argument in typing.get_args(annotation):
            found = _model_in(argument)
            if found is not None:
                return found
    return None
