"""`dwell synthesize` and the stage `synthesize`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from dwell.errors import NotBuiltYetError
from dwell.hls.design import Design
from dwell.hls.synthesis import load_board, synthesize_design
from dwell.stage import StageContext

SYNTHESIS_JSON = "synthesis.json"


def synthesize(args: Mapping[str, Any]) -> dict[str, Any]:
    """The command. `args`: `design` (a folder), `tool`, `route`. Raises as `synthesize_design` does."""
    tool = str(args.get("tool", "yosys"))
    if args.get("route") and tool == "yosys":
        raise NotBuiltYetError(
            "place and route is not part of this version", hint="leave --route out: the timing is an estimate"
        )
    design = Design.load(str(args["design"]))
    result = synthesize_design(design, load_board(design.board), tool=tool)
    return result.to_json(design.clock_mhz)


def run_synthesize(ctx: StageContext) -> Mapping[str, Any]:
    """The stage. Input `convert`, parameters `tool` and `board`; writes `synthesis.json` and Yosys' log."""
    design = Design.load(ctx.inputs["convert"])
    ctx.progress(0.05, "yosys")
    result = synthesize_design(
        design,
        load_board(str(ctx.params.get("board", design.board))),
        tool=str(ctx.params.get("tool", "yosys")),
        log=ctx.out / "yosys.log",
    )
    body = result.to_json(design.clock_mhz)
    (ctx.out / SYNTHESIS_JSON).write_text(json.dumps(body, indent=1, sort_keys=True) + "\n")
    keys = ("lut", "ff", "dsp", "bram36", "fmax_mhz", "logic_ns", "meets_clock")
    return {**{key: body[key] for key in keys}, "tools": {"yosys": result.tool.removeprefix("Yosys ")}}
