"""Reaching a board by name: a simulated one, or one in the laboratory over ssh."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from dwell.errors import ConfigError, DeviceError, ToolNotFoundError, nearest
from dwell.firmware.client import BoardClient
from dwell.plugins import entry_points, load_plugin

LINKS = "dwell.board_servers"
_COPY_LIMIT_S = 120.0
_REMOTE_FOLDER = "dwell-overlays"


def open_board(
    name: str, overlay: Path, *, extra: Sequence[str] = (), timeout_s: float = 10.0
) -> BoardClient:
    """Load an overlay onto a board and return it, running.

    `name` is a link that is installed (`sim`), or a host's name as ssh takes it (`xilinx@192.168.2.99`);
    `extra` goes on the command line of the board's process. A host has never been tried: there was none.

    Raises `ConfigError` for a folder that is no overlay or a name that is neither, `DeviceError` where the
    board refuses the overlay or does not answer.
    """
    overlay = Path(overlay).resolve()
    if not (overlay / "overlay.json").is_file():
        raise ConfigError(
            f"{overlay} is not an overlay",
            hint="give a folder that `dwell package` wrote",
            place=str(overlay),
        )
    links = entry_points(LINKS)
    if name in links:
        make: Callable[[Path], list[str]] = load_plugin(LINKS, name, place="--board")
        command = make(overlay)
    elif "." in name or "@" in name or name == "localhost":
        command = _over_ssh(name, overlay)
    else:
        raise ConfigError(
            f"there is no board '{name}'",
            hint=f"{nearest(name, links)} A host is written as ssh takes it, such as xilinx@192.168.2.99",
            place="--board",
        )
    return BoardClient([*command, *extra], name=name, timeout_s=timeout_s)


def _over_ssh(host: str, overlay: Path) -> list[str]:
    """Copy the overlay to a host and give the command that serves it there. PYNQ needs root."""
    ssh, scp = shutil.which("ssh"), shutil.which("scp")
    if ssh is None or scp is None:
        raise ToolNotFoundError("ssh and scp are missing", hint="install OpenSSH's client", place="--board")
    options = ["-o", "BatchMode=yes", "-o", "ConnectTimeout=10"]
    folder = f"{_REMOTE_FOLDER}/{overlay.name}"
    quoted = shlex.quote(folder)
    for argv in (
        [ssh, *options, host, f"rm -rf {quoted} && mkdir -p {_REMOTE_FOLDER}"],
        [scp, *options, "-q", "-r", str(overlay), f"{host}:{folder}"],
    ):
        _run(argv, host)
    # PYNQ's images keep Python in an environment that a login shell switches on; sudo would forget its path.
    serve = f'cd {quoted} && exec sudo -n -E env PATH="$PATH" PYTHONPATH=. python3 -m dwell_board.server .'
    return [ssh, *options, host, f"bash -lc {shlex.quote(serve)}"]


def _run(argv: Sequence[str], host: str) -> None:
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_COPY_LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise DeviceError(
            f"{host} does not answer", hint="is the board on the network?", place=host
        ) from error
    if done.returncode:
        raise DeviceError(
            f"{host}: {done.stderr.strip() or argv[0] + ' failed'}", hint="try ssh by hand", place=host
        )
