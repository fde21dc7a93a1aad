"""What the command line prints: one JSON object, or tables for people; errors as message and hint."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dwell.errors import DwellError, ToolFailedError

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]


def print_json(value: Mapping[str, Any]) -> None:
    """One JSON object on standard output."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    sys.stdout.flush()


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table on standard output, as wide as its contents where nobody looks at a terminal."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=200)
    table = Table(title=title or None, title_justify="left", header_style="bold", box=None, pad_edge=False)
    table.show_header = any(columns)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(cell if isinstance(cell, str) else escape(_shown(cell)) for cell in row))
    console.print(table)


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(_shown(item) for item in value)
    if isinstance(value, Mapping):  # a type says what it is in its text
        return str(value.get("text") or ", ".join(f"{key} {_shown(item)}" for key, item in value.items()))
    return "" if value is None else str(value)


def print_result(title: str, result: Mapping[str, Any], *, as_json: bool) -> None:
    """What a command returned: plain values as one table, each list of objects as one of its own."""
    if as_json:
        print_json(result)
        return
    plain = {k: v for k, v in result.items() if not _is_table(v) and not isinstance(v, dict)}
    print_table(title, ("", ""), [(escape(k), v) for k, v in plain.items()])
    for key, value in result.items():
        if _is_table(value):
            columns = list(dict.fromkeys(column for row in value for column in row))
            print_table(f"\n{key}", columns, [[row.get(c) for c in columns] for row in value])
        elif isinstance(value, dict):
            print_table(f"\n{key}", ("", ""), [(escape(str(k)), v) for k, v in value.items()])


def _is_table(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


def print_error(error: DwellError, *, as_json: bool) -> None:
    """An error: as the one JSON object, or as message and hint on standard error."""
    if as_json:
        print_json({"error": error.to_json()})
    else:
        explain(error)


def explain(error: DwellError) -> None:
    """An error for a person, on standard error."""
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    console.print(f"[bold red]error[/] ({error.code}): {escape(error.message)}")
    mismatch = getattr(error, "first_mismatch", None)
    if mismatch:
        console.print(escape("first mismatch: " + ", ".join(f"{k} = {v}" for k, v in mismatch.items())))
    if isinstance(error, ToolFailedError) and error.tail:
        console.print(escape("\n".join(f"  | {line}" for line in error.tail.splitlines())))
    if error.hint:
        console.print(f"[bold]hint[/]: {escape(error.hint)}")
