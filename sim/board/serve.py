"""A simulated board as a process: `python -m dwell.sim.board.serve OVERLAY [--seed N]`.

It speaks the protocol of the overlay's own `dwell_board.server` over standard input and output.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dwell.errors import DwellError


def main(argv: Sequence[str] | None = None) -> int:
    """Serve the overlay; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("overlay", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--timeout", type=float, default=10.0, help="seconds that the driver waits at most")
    options = parser.parse_args(argv)
    overlay = options.overlay.resolve()
    sys.path.insert(0, str(overlay))
    # The driver that is tested is the one that travels with the overlay.
    server = importlib.import_module("dwell_board.server")
    source, sink = server.own_pipes()

    def open_it() -> Any:
        errors = importlib.import_module("dwell_board.errors")
        try:
            return open_simulated(overlay, seed=options.seed, timeout_s=options.timeout)
        except DwellError as error:
            raise errors.BoardError(error.message, error.hint) from error

    return int(server.serve(source, sink, open_it))


def open_simulated(overlay: Path, *, seed: int = 1, timeout_s: float = 10.0) -> Any:
    """The overlay's own driver on a simulated device; its folder must be on `sys.path`."""
    from dwell.sim.board.device import SimulatedDevice

    SimulatedDevice.seed = seed
    driver = importlib.import_module("dwell_board.board")
    return driver.open_board(overlay, timeout_s=timeout_s)


if __name__ == "__main__":
    sys.exit(main())
