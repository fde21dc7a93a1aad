"""What the stand-ins share: a real Tcl interpreter in which a tool's commands are Python functions.

A stand-in takes the arguments of the tool, runs the script it is given, logs each of the tool's commands, and
writes the files that the tool would. `FAKE_TOOL_FAULT` names a fault to commit, `FAKE_TOOL_LOG` the log.
"""

from __future__ import annotations

import os
import sys
import tkinter
from collections.abc import Callable, Mapping
from pathlib import Path

FAULT = os.environ.get("FAKE_TOOL_FAULT", "")


def note(*words: str) -> None:
    """A line in the log of calls."""
    place = os.environ.get("FAKE_TOOL_LOG")
    if place:
        with Path(place).open("a") as stream:
            stream.write(" ".join(words) + "\n")


def run_script(path: str, commands: Mapping[str, Callable[..., object]]) -> int:
    """Run a Tcl file; each of `commands` is logged and called with its words. The exit status."""
    tcl = tkinter.Tcl()
    tcl.eval("namespace eval ipx {}")
    for name, function in commands.items():

        def call(*words: str, name: str = name, function: Callable[..., object] = function) -> str:
            note(name, *words)
            try:
                return str(function(*words) or "")
            except (OSError, ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
                print(f"ERROR: {name} {' '.join(words)}: {error}")  # Tcl loses what Python says
                raise tkinter.TclError(f"{name}: {error}") from error

        tcl.createcommand(name, call)
    tcl.eval('proc exit {{code 0}} { error "EXIT $code" }')
    if FAULT == "exit":
        print("ERROR: [HLS 200-70] Internal license error of this test")
        return 1
    try:
        tcl.evalfile(path)
    except tkinter.TclError as error:
        words = str(error).split()
        if words[:1] == ["EXIT"]:
            return int(words[1])
        print(f"ERROR: {error}", file=sys.stderr)
        return 1
    return 0


def existing(path: str) -> Path:
    """A file that a script names. Raises `OSError` where there is none, as the tool would."""
    if not Path(path).exists():
        raise FileNotFoundError(f"no file {path}")
    return Path(path)
