"""`dwell bridge`: the running loop between an instrument and a board."""

from __future__ import annotations

import json as json_text
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from dwell import plugins
from dwell.cli.output import JsonOption, print_result
from dwell.commands import ready_environment, run_command
from dwell.progress import reporter
from dwell.project import load_project

_FUNCTION = "dwell.host.bridge.session:run_command"
_INSTRUMENT = "nion-sim"


def add_to(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("bridge")(bridge_command)


def bridge_command(
    project: Annotated[Path, typer.Argument(help="A built project's folder, or its dwell.toml.")],
    board: Annotated[
        str, typer.Option(help="What decides: software, or a board link, as NAME[:TARGET].")
    ] = "software",
    instrument: Annotated[str, typer.Option(help="Another instrument than the project's.")] = "",
    out: Annotated[
        Path | None, typer.Option(help="The record; by default under the project's .dwell/runs.")
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="K=V", help="Override section.key by a TOML value.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Scan, decide on the board, act on the microscope; Ctrl-C ends it with the beam blanked and the record
    whole.
    """
    checked = load_project(project, overrides or ())
    name = instrument or (checked.instrument.name if checked.instrument else _INSTRUMENT)
    plugin = plugins.load_plugin(plugins.INSTRUMENTS, name, place="--instrument")
    record = out or checked.work / "runs" / f"{time.strftime('%Y%m%d-%H%M%S')}.h5"
    with reporter(quiet=json) as report, tempfile.TemporaryDirectory(prefix="dwell-") as folder:
        stop = Path(folder) / "stop"
        args: dict[str, Any] = {
            "project": str(checked.path),
            "overrides": list(overrides or ()),
            "board": board,
            "instrument": instrument,
            "instrument_python": str(ready_environment(plugin.environment, report).python),
            "out": str(record.expanduser().resolve()),
            "stop_file": str(stop),
        }
        result = run_command("bridge", _FUNCTION, args, report, interrupt=stop.touch)
    if not json:
        result = {k: json_text.dumps(v) if isinstance(v, dict) else v for k, v in result.items()}
    print_result("", result, as_json=json)
