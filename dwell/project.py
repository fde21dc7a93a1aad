"""The project file `dwell.toml`, checked as a whole: every problem with its place and the nearest key."""

from __future__ import annotations

import re
import tomllib
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar

import pydantic

from dwell import plugins
from dwell.errors import ConfigError, nearest

FILE_NAME = "dwell.toml"
DEFAULT_FRONTEND = "brevitas"
_M = TypeVar("_M", bound=pydantic.BaseModel)


class Section(pydantic.BaseModel):
    """A table of the project file: no unknown key, no change after reading. Plug-ins derive theirs."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class ProjectSection(Section):
    """[project]"""

    name: str = pydantic.Field(pattern=r"^[a-z][a-z0-9_]*$", description="also the name of the top module")
    seed: int = pydantic.Field(default=1, ge=0, lt=2**31)


class QuantizeSection(Section):
    """[quantize]: the front end's name; its own keys are checked by its class and become `params`."""

    frontend: str
    params: pydantic.SerializeAsAny[pydantic.BaseModel]


class ConvertSection(Section):
    """[convert]"""

    backend: Literal["rtl"] = "rtl"
    style: Literal["auto", "stream", "unrolled", "folded"] = "auto"
    io: Literal["auto", "parallel", "stream"] = "auto"
    input_type: str | None = pydantic.Field(default=None, pattern=r"^u?fixed<\d+,-?\d+>$")
    output: Literal["logits", "class", "probabilities"] = "logits"
    clock_mhz: float = pydantic.Field(default=100.0, gt=0, le=1000)
    latency_cutoff: float = pydantic.Field(default=4.0, gt=0, description="adder levels in a pipeline stage")
    max_width: int = pydantic.Field(default=256, ge=16, le=8192)
    pixels_per_clock: Literal[1, 2, 4, 8, 16, 32] = 1
    reuse: Annotated[int, pydantic.Field(ge=1)] | dict[str, Annotated[int, pydantic.Field(ge=1)]] = (
        pydantic.Field(
            default=1, description="how often a multiplier is used for one result, for all layers or by name"
        )
    )
    multiplier: Literal["auto", "dsp", "lut"] = "auto"
    reload: bool = pydantic.Field(default=False, description="folded weights writable over AXI4-Lite")


class SimulateSection(Section):
    """[simulate]"""

    vectors: int = pydantic.Field(default=10_000, ge=1, description="windows compared on the Verilated core")
    bench_frames: int = pydantic.Field(default=2, ge=1, le=1000)
    stalls: bool = True
    simulators: tuple[Literal["verilator", "icarus"], ...] = pydantic.Field(
        default=("verilator", "icarus"), min_length=1, description="Icarus is left out where it is absent"
    )


class SynthesizeSection(Section):
    """[synthesize]"""

    tool: Literal["yosys", "vivado"] = "yosys"


class BoardSection(Section):
    """[board]"""

    name: str = "pynq-z2"


class AcceptSection(Section):
    """[accept]: what a build has to reach."""

    max_metric_drop: float = pydantic.Field(default=0.02, ge=0, le=1)


class BridgeSection(Section):
    """[bridge]: one run of the loop between instrument and board."""

    frames: int = pydantic.Field(default=4, ge=1, le=100_000)
    lines: int = pydantic.Field(default=256, ge=16, le=4096)
    pixels: int = pydantic.Field(default=256, ge=16, le=4096, description="of a line")
    pixel_A: float = pydantic.Field(default=0.4, gt=0.05, le=10)
    dose_e_per_A2: float | None = pydantic.Field(
        default=None, gt=0, description="of the scan, sets the dwell time; else that of the training"
    )
    threshold: float | None = pydantic.Field(default=None, description="a score; else by false_alarm_rate")
    false_alarm_rate: float = pydantic.Field(default=1e-4, gt=0, lt=1, description="on the validation scans")
    dead_time: int = pydantic.Field(default=0, ge=0, description="decisions that cannot trigger after one")
    dose_budget_e: float = pydantic.Field(default=1e9, ge=0, description="electrons to spend on spectra")
    time_budget_s: float = pydantic.Field(default=60.0, ge=0, description="beam time to spend on spectra")


class PluginSection(Section):
    """[instrument], [policy]: the plug-in's name; its own keys, checked by its class, become `params`."""

    name: str
    params: pydantic.SerializeAsAny[pydantic.BaseModel]


class ModelSection(Section):
    """[model]: the plug-in's name; its own keys are checked by its class and become `params`."""

    name: str
    params: pydantic.SerializeAsAny[pydantic.BaseModel]


class _Tables(Section):
    project: ProjectSection
    model: dict[str, Any]
    quantize: dict[str, Any] = {}
    convert: ConvertSection = ConvertSection()
    simulate: SimulateSection = SimulateSection()
    synthesize: SynthesizeSection = SynthesizeSection()
    board: BoardSection = BoardSection()
    accept: AcceptSection = AcceptSection()
    bridge: BridgeSection = BridgeSection()
    instrument: dict[str, Any] = {}
    policy: dict[str, Any] = {}


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
    tables = _check(_Tables, data, "", problems)
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
