"""`dwell env sync` and `dwell doctor`."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.markup import escape

from dwell.cli.output import JsonOption, print_json, print_result, print_table
from dwell.doctor import diagnose
from dwell.environments.lock import read_lock
from dwell.environments.sync import sync
from dwell.progress import reporter


def add_to(app: typer.Typer) -> None:
    """Add the commands of this module."""
    group = typer.Typer(help="The locked environments that stages run in.")
    group.command("sync")(sync_command)
    app.add_typer(group, name="env", rich_help_panel=None)
    app.command("doctor")(doctor_command)


def sync_command(
    name: Annotated[str, typer.Argument(help="The environment: the name of its lock in envs/.")] = "build",
    json: JsonOption = False,
) -> None:
    """Make an environment from its lock, if it is not whole already."""
    lock = read_lock(name)
    with reporter(quiet=json) as report:
        done = sync(lock, report)
    result = {
        "environment": name,
        "seconds": round(done.seconds, 3),
        "made": done.made,
        "path": str(done.environment.path),
        "python": str(done.environment.python),
        "packages": done.environment.packages,
    }
    print_result("", result, as_json=json)


def doctor_command(json: JsonOption = False) -> None:
    """Show which tools, environments and plug-ins are here, and why the others are not."""
    found = diagnose()
    if json:
        print_json(found)
        return
    typer.echo(
        f"dwell {found['dwell']}, Python {found['python']}, environments in {found['environments_root']}\n"
    )
    for title in ("tools", "environments", "plugins"):
        print_table(title, ("", "name", "version", "for", "reason"), [_row(entry) for entry in found[title]])
        typer.echo("")
    typer.echo("All that is required is here." if found["ok"] else "Something required is missing.")


def _row(entry: dict[str, Any]) -> tuple[str, ...]:
    mark = "[green]✔[/]" if entry["ok"] else ("[red]✘[/]" if entry["required"] else "[yellow]-[/]")
    version = entry.get("version") or entry.get("lock") or ""
    purpose = entry.get("purpose") or entry.get("group") or ""
    need = "" if entry["required"] else " (optional)"
    reason = ". ".join(text for text in (entry["reason"], entry.get("hint", "")) if text)
    return (mark, *(escape(str(cell)) for cell in (entry["name"], version, f"{purpose}{need}", reason)))
