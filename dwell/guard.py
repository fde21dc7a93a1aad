"""Runs a command that may not outlive its owner: `python -m dwell.guard PID STARTED COMMAND…`.

When the owner ends, however it ends, the command is killed with everything below it. When the command
ends, what it left running is killed, and its exit code becomes the guard's.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import NoReturn

from dwell.processes import ProcessIdentity, adopt_orphans, kill_descendants, when_it_dies


def guarded(command: list[str]) -> list[str]:
    """The command line that runs `command` under a guard owned by this process."""
    owner = ProcessIdentity.current()
    return [sys.executable, "-m", "dwell.guard", str(owner.pid), repr(owner.started), *command]


def main(arguments: list[str]) -> int:
    """Run the command in `arguments[2:]` for the process in `arguments[:2]`."""
    adopt_orphans()
    when_it_dies(ProcessIdentity(int(arguments[0]), float(arguments[1])), _end_now)
    try:
        return subprocess.call(arguments[2:])
    finally:
        kill_descendants()


def _end_now() -> NoReturn:
    kill_descendants()
    os._exit(137)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
