"""`dwell package` and `deploy`: from a design to a running board."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dwell.cli.design import call, existing
from dwell.cli.output import JsonOption


def add_to(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("package")(package_command)
    app.command("deploy")(deploy_command)


def package_command(
    design: Annotated[Path, typer.Argument(help="A design's folder.")],
    out: Annotated[Path, typer.Option(help="The folder of the overlay.")],
    board: Annotated[str, typer.Option(help="The board it is for.")] = "pynq-z2",
    json: JsonOption = False,
) -> None:
    """Write the overlay, driver and Vivado project of a design."""
    args = {"design": existing(design, "design"), "board": board, "out": str(out.expanduser().resolve())}
    call("package", "dwell.firmware.commands:package", args, json=json)


def deploy_command(
    overlay: Annotated[Path, typer.Argument(help="A folder that `dwell package` wrote.")],
    board: Annotated[str, typer.Option(metavar="NAME|HOST", help="sim, or a host as ssh takes it.")] = "sim",
    json: JsonOption = False,
) -> None:
    """Load an overlay onto a board and test it there."""
    args = {"overlay": existing(overlay, "overlay"), "board": board}
    also = ("board",) if board == "sim" else ()
    call("deploy", "dwell.firmware.commands:deploy", args, json=json, also=also)
