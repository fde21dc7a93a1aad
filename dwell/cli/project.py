"""`dwell init` and `dwell build`."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Annotated, Any

import typer

from dwell.build.plan import Plan, make_plan
from dwell.build.run import BuildResult, as_json, build
from dwell.build.watch import Outcome
from dwell.cli.output import JsonOption, explain, print_json, print_table
from dwell.errors import ConfigError, nearest
from dwell.progress import reporter
from dwell.project import FILE_NAME, load_project

_COLOURS = {"ran": "green", "cached": "cyan", "failed": "bold red", "planned": "yellow", "skipped": "dim"}


def add_to(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("init")(init_command)
    app.command("build")(build_command)


def init_command(
    directory: Annotated[Path, typer.Argument(help="The folder of the new project.")],
    model: Annotated[str, typer.Option(help="Which example to begin with.")] = "vacancy",
    json: JsonOption = False,
) -> None:
    """Make a new project from an example."""
    templates = Path(str(resources.files("dwell.templates")))
    known = sorted(path.parent.name for path in templates.glob(f"*/{FILE_NAME}"))
    if model not in known:
        raise ConfigError(
            f"there is no example for a model '{model}'", hint=nearest(model, known), place="--model"
        )
    target = directory / FILE_NAME
    if target.exists():
        raise ConfigError(f"{target} is there already", hint="choose another folder", place=str(target))
    if directory.exists() and not directory.is_dir():
        raise ConfigError(f"{directory} is a file", hint="choose another folder", place=str(directory))
    directory.mkdir(parents=True, exist_ok=True)
    target.write_bytes((templates / model / FILE_NAME).read_bytes())
    if json:
        print_json({"project": str(directory.resolve()), "model": model, "files": [str(target.resolve())]})
    else:
        typer.echo(f"{target} is ready; build it with: dwell build {directory}")


def build_command(
    project: Annotated[Path, typer.Argument(help="A project's folder, or its dwell.toml.")] = Path(),
    until: Annotated[
        str | None, typer.Option(metavar="STAGE", help="Build only what leads to STAGE.")
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="K=V", help="Override section.key by a TOML value.")
    ] = None,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="Cores to use.")] = 2,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would run, and run nothing.")] = False,
    json: JsonOption = False,
) -> int:
    """Build a project: run the stages whose inputs have changed, and those after them."""
    plan = make_plan(load_project(project, overrides or ()), until)
    if dry_run:
        _show(plan, _planned(plan), json=json)
        return 0
    with reporter(quiet=json) as report:
        result = build(plan, cores=jobs, report=report)
    _show(plan, result, json=json)
    if result.error is None:
        return 0
    if not json:
        explain(result.error)
    return result.error.exit_code


def _planned(plan: Plan) -> BuildResult:
    outcomes = (Outcome(s.name, "cached" if s.whole else "planned", 0.0, s.path) for s in plan.stages)
    return BuildResult(tuple(outcomes), None, 0.0)


def _show(plan: Plan, result: BuildResult, *, json: bool) -> None:
    if json:
        print_json(as_json(plan, result))
        return
    rows: list[tuple[Any, ...]] = []
    for outcome in result.outcomes:
        colour = _COLOURS[outcome.status]
        seconds = f"{outcome.seconds:.1f}" if outcome.status in ("ran", "failed") else ""
        where = _short(outcome.artifact if outcome.artifact is not None else outcome.log, plan.project.root)
        rows.append((outcome.name, f"[{colour}]{outcome.status}[/]", seconds, where))
    print_table("", ("stage", "status", "seconds", "artifact or log"), rows)
    if result.seconds:
        typer.echo(f"{plan.project.name}: {result.seconds:.1f} s")


def _short(path: Path | None, root: Path) -> str:
    if path is None:
        return ""
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
