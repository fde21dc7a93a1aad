"""Every `dwell` command that the documentation shows is one that the command line takes."""

from __future__ import annotations

import re
import shlex
from itertools import pairwise
from pathlib import Path

import pytest
import typer

from dwell.cli import app
from dwell.project import load_project

pytestmark = pytest.mark.fast

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def commands(text: str) -> list[list[str]]:
    """The arguments of each `dwell …` in the code blocks of a page, also behind `&&`."""
    lines = [line for kind, body in _FENCE.findall(text) if kind in ("", "sh") for line in body.splitlines()]
    found = []
    for line in lines:
        if not line.startswith("dwell "):
            continue
        words = shlex.split(line, comments=True)
        starts = [0, *(at + 1 for at, word in enumerate(words) if word == "&&"), len(words) + 1]
        parts = [words[start : end - 1] for start, end in pairwise(starts)]
        found += [part[1:] for part in parts if part[0] == "dwell"]
    return found


def parse(words: list[str]) -> None:
    """Parse a command line; run nothing. Raises `typer.TyperException` where it is not understood."""
    command = typer.main.get_command(app)
    at = 0
    while hasattr(command, "commands"):
        if at == len(words) or words[at] not in command.commands:
            raise typer.TyperException(f"no command {' '.join(words[: at + 1])!r}")
        command = command.commands[words[at]]
        at += 1
    command.make_context("dwell", words[at:])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_shows_is_understood(page: Path) -> None:
    for words in commands(page.read_text()):
        parse(words)


@pytest.mark.parametrize(
    "page", sorted((ROOT / "docs" / "tutorial").glob("*.md")), ids=lambda page: page.name
)
def test_tutorials_show_commands(page: Path) -> None:
    assert len(commands(page.read_text())) >= 4


def test_the_project_of_the_first_tutorial_is_one(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "tutorial" / "first-detector.md").read_text()
    (body,) = [body for kind, body in _FENCE.findall(text) if kind == "toml"]
    (tmp_path / "dwell.toml").write_text(body)
    assert load_project(tmp_path).name == "first_detector"


@pytest.mark.parametrize(
    "line",
    [
        "dwell bild",
        "dwell build --frob",
        "dwell simulate d --level moon",
        "dwell convert m.onnx",
        "dwell env",
    ],
)
def test_what_is_not_a_command_is_seen(line: str) -> None:
    (words,) = commands(f"```sh\n{line}  # words\n```\n")
    with pytest.raises(typer.TyperException):
        parse(words)


def test_commands_are_found_behind_others() -> None:
    assert commands("```\ndwell init a && cd a && dwell build\n$ ls\n```\n```python\ndwell no\n```") == [
        ["init", "a"],
        ["build"],
    ]
