"""The command line: `dwell COMMAND`. An error is a message, a hint and an exit code, never a traceback."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Sequence
from types import FrameType

import typer

from dwell.cli import board, bridge, design, environment, later, project
from dwell.cli.output import print_error
from dwell.errors import DwellError, InternalError, InterruptedByUserError, UserError
from dwell.logs import new_log

app = typer.Typer(
    name="dwell",
    help="From a trained detector network to a verified FPGA trigger for electron microscopes.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for part in (project, environment, design, board, bridge, later):
    part.add_to(app)


class UsageError(UserError):
    """A command line that cannot be understood."""

    code = "usage"
    exit_code = 2


def main() -> None:
    """The console script."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code."""
    as_json = "--json" in arguments
    signal.signal(signal.SIGTERM, _stop)
    try:
        command = typer.main.get_command(app)
        code = command.main(list(arguments) or ["--help"], prog_name="dwell", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except BrokenPipeError:
        # whoever read the output has gone: nothing more to say, not even at the interpreter's end
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 141
    except BaseException as raised:
        if isinstance(raised, SystemExit):
            raise
        error = _as_known(raised)
        print_error(error, as_json=as_json)
        return error.exit_code


def _stop(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _as_known(raised: BaseException) -> DwellError:
    if isinstance(raised, DwellError):
        return raised
    if isinstance(raised, KeyboardInterrupt | typer.Abort):
        return InterruptedByUserError("interrupted", hint="run the same command again to go on")
    if isinstance(raised, typer.TyperException):
        context = getattr(raised, "ctx", None)
        path = context.command_path if context is not None else "dwell"
        return UsageError(raised.format_message(), hint=f"see `{path} --help`", place=path)
    log = new_log("internal")
    log.write_text("".join(traceback.format_exception(raised)))
    return InternalError(f"{type(raised).__name__}: {raised}", log=log)
