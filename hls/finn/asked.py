"""From what a user asks of the back end `finn` to its design: of the command line and of a project alike."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dwell.hls.design import Design
from dwell.hls.finn.convert import DEFAULT_FPS, FinnOptions, convert
from dwell.hls.finn.folds import folding_file
from dwell.hls.finn.vivado_core import OWN
from dwell.hls.qmodel import QModel
from dwell.hls.synthesis import BoardLike

_CLOCK_MHZ = 100.0


def finn_design(model: QModel, network: Path, args: Mapping[str, Any], board: BoardLike, out: Path) -> Design:
    """Write the design directory `out` of the network in the file `network`, whose integer graph is `model`.

    `args` may hold `target_fps`, `folding` (the path of FINN's JSON file, or what is in it), `clock_mhz`, `reload` and
    `stitch`.
    Raises what `dwell.hls.finn.convert.convert` does.
    """
    with tempfile.TemporaryDirectory(prefix="dwell-finn-") as place:
        options = FinnOptions(
            part=board.part,
            board=board.name,
            clock_mhz=float(args.get("clock_mhz") or _CLOCK_MHZ),
            target_fps=int(args.get("target_fps") or DEFAULT_FPS),
            folding=folding_file(args.get("folding"), Path(place)),
            reload=bool(args.get("reload")),
            stitch=str(args.get("stitch") or OWN),
        )
        work = Path(place) / "work"
        work.mkdir()
        return convert(network, model, options, out, work)
