"""Run the stage `quantize` in whatever environment this is: ``python run_stage.py ARGS.json``.

ARGS: `data`, `train`, `out`, `params`, `seed`, and `metrics`, the file that gets the stage's metrics.
"""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

from dwell.quantize.stages import run_quantize
from dwell.stage import StageContext

if __name__ == "__main__":
    given = json.loads(Path(sys.argv[1]).read_text())
    context = StageContext(
        inputs={name: Path(given[name]) for name in ("data", "train")},
        params=given["params"],
        out=Path(given["out"]),
        seed=int(given["seed"]),
        log=logging.getLogger("test.quantize"),
    )
    Path(given["metrics"]).write_text(json.dumps(dict(run_quantize(context))))
