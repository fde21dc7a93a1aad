"""How a simulated board is reached: a process in the environment `board`."""

from __future__ import annotations

from pathlib import Path

from dwell.environments.locate import locate
from dwell.environments.lock import read_lock
from dwell.errors import ToolNotFoundError


def simulated(overlay: Path) -> list[str]:
    """The command that serves an overlay on a simulated board.

    Raises `ToolNotFoundError` if the environment `board` is not there.
    """
    found = locate(read_lock("board"))
    if not found.ready:
        raise ToolNotFoundError(
            f"the environment `board` is not ready: {found.reason}",
            hint="run `dwell env sync board`",
            place="board",
        )
    return [str(found.python), "-P", "-m", "dwell.sim.board.serve", str(overlay)]
