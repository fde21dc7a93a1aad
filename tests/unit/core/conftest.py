"""A tiny plug-in package, real as any: stages and a model that `dwell` finds through entry points."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

_MODULE = '''
"""Stages of the tests. What they do is steered by files in the folder that DWELL_TEST names."""
from __future__ import annotations
import os, pathlib, signal, subprocess, sys, time
import pydantic
from dwell.errors import VerificationError
from dwell.project import Section
from dwell.stage import Stage

class Params(Section):
    dose: float = 1.0

class Model:
    name = "tiny"
    params = Params

MODEL = Model()
STEER = pathlib.Path(os.environ.get("DWELL_TEST", "/nonexistent"))

def steer(name):
    return (STEER / name).exists()

def first(ctx):
    (ctx.out / "one.txt").write_text(f"{ctx.params['dose']} {ctx.seed}\\n")
    ctx.progress(0.5, "half way")
    if steer("sleep"):
        child = subprocess.Popen(["sleep", "1000"], start_new_session=True)
        (STEER / "pids").write_text(f"{os.getpid()} {child.pid}")
        time.sleep(1000)
    return {"lines": 1, "tools": {"tiny": "1.2"}}

def second(ctx):
    text = (ctx.inputs["tiny_first"] / "one.txt").read_text()
    (ctx.out / "two.txt").write_text(text * 2)
    print("a line that belongs in the log")
    if steer("fail"):
        raise VerificationError(
            "two is not two", first_mismatch={"index": 3}, hint="look at it", place="two.txt"
        )
    if steer("crash"):
        raise RuntimeError("a secret of the code")
    if steer("die"):
        os.kill(os.getpid(), signal.SIGKILL)
    return {"threads": os.environ["OMP_NUM_THREADS"]}

def echo(args):
    print("said on standard output")
    if args.get("fail"):
        raise VerificationError("not equal", first_mismatch={"index": 1})
    return {"said": args["say"]}

def _dose(project):
    return {"dose": project.model.params.dose}

FIRST = Stage("tiny_first", "core", (), "tinyplug:first", ("tinyplug",), _dose)
SECOND = Stage(
    "tiny_second", "core", ("tiny_first",), "tinyplug:second", ("tinyplug",), lambda p: {}, threads=2
)
'''

_ENTRY_POINTS = """
[dwell.stages]
tiny_first = tinyplug:FIRST
tiny_second = tinyplug:SECOND
tiny_broken = tinyplug_missing:BROKEN
[dwell.models]
tiny = tinyplug:MODEL
"""

_PROJECT = """
[project]
name = "tiny"
seed = 7
[model]
name = "tiny"
dose = 2.5
"""


@dataclass
class Tiny:
    """A project of the tiny plug-in in a folder of its own, and how to run `dwell` on it."""

    root: Path
    steering: Path
    environment: dict[str, str] = field(repr=False)

    def command(self, *arguments: str) -> list[str]:
        """The command line of `dwell`."""
        return [sys.executable, "-m", "dwell", *arguments]

    def dwell(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `dwell` to its end."""
        return subprocess.run(
            self.command(*arguments),
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            cwd=self.root,
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start `dwell` and return at once."""
        return subprocess.Popen(
            self.command(*arguments),
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.root,
            start_new_session=True,
        )

    def build(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        """`dwell build --until tiny_second --json`: its exit code and its JSON object."""
        done = self.dwell("build", str(self.root), "--until", "tiny_second", "--json", *arguments)
        return done.returncode, json.loads(done.stdout)

    def steer(self, name: str, *, on: bool = True) -> None:
        """Make the stages behave in a certain way, or no longer."""
        path = self.steering / name
        if on:
            path.touch()
        else:
            path.unlink(missing_ok=True)


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Tiny]:
    """The tiny plug-in and a project of it."""
    site = tmp_path / "site"
    information = site / "tinyplug-1.0.dist-info"
    information.mkdir(parents=True)
    (site / "tinyplug.py").write_text(_MODULE)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: tinyplug\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(_ENTRY_POINTS)
    root = tmp_path / "project"
    root.mkdir()
    (root / "dwell.toml").write_text(_PROJECT)
    steering = tmp_path / "steering"
    steering.mkdir()
    environment = {
        **os.environ,
        "PYTHONPATH": str(site),
        "DWELL_TEST": str(steering),
        "DWELL_LOGS": str(tmp_path / "logs"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    yield Tiny(root, steering, environment)
