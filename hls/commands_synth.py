"""`dwell synthesize` and the stage `synthesize`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dwell.errors import ConfigError, NotBuiltYetError
from dwell.hls.design import Design
from dwell.hls.synthesis import load_board, synthesize_design
from dwell.stage import StageContext

SYNTHESIS_JSON = "synthesis.json"


def synthesize(args: Mapping[str, Any]) -> dict[str, Any]:
    """The command. `args`: `design` (a folder), `tool`, `route`, `cosim`, `export`.

    `cosim` and `export` are for an hls4ml project and Vitis HLS. Raises as `synthesize_design`,
    `synthesize_by_vivado` and `synthesize_project` do.
    """
    tool = str(args.get("tool", "yosys"))
    route, cosim, export = (bool(args.get(key)) for key in ("route", "cosim", "export"))
    if tool == "vitis_hls":
        return _by_vitis(Path(str(args["design"])), route=route, cosim=cosim, export=export)
    if cosim or export:
        hint = "add --tool vitis_hls, or use `dwell simulate` and `dwell package` for a design"
        raise ConfigError("--cosim and --export are for Vitis HLS", hint=hint, place="--cosim")
    return _by(tool, Design.load(str(args["design"])), route=route, board=None, log=None)


def _by_vitis(folder: Path, *, route: bool, cosim: bool, export: bool) -> dict[str, Any]:
    from dwell.hls.hls4ml.vitis import synthesize_project

    if route:
        hint = "export the IP and route it with Vivado"
        raise ConfigError("Vitis HLS does not place or route", hint=hint, place="--route")
    body = synthesize_project(folder, cosim=cosim, export=export).to_json()
    (folder / SYNTHESIS_JSON).write_text(json.dumps(body, indent=1, sort_keys=True) + "\n")
    return body


def _by(tool: str, design: Design, *, route: bool, board: str | None, log: Path | None) -> dict[str, Any]:
    target = load_board(board or design.board)
    if tool == "vivado":
        from dwell.hls.vivado import synthesize_by_vivado

        return synthesize_by_vivado(design, target, route=route, log=log).to_json(design, target)
    if route:
        raise NotBuiltYetError(
            "place and route by free tools is not part of this version",
            hint="leave --route out: the timing is an estimate; or use --tool vivado",
        )
    return synthesize_design(design, target, tool=tool, log=log).to_json(design.clock_mhz)


def run_synthesize(ctx: StageContext) -> Mapping[str, Any]:
    """The stage. Input `convert`, parameters `tool` and `board`; writes `synthesis.json` and the tool's log."""
    design = Design.load(ctx.inputs["convert"])
    tool, board = str(ctx.params.get("tool", "yosys")), str(ctx.params.get("board", design.board))
    ctx.progress(0.05, tool)
    body = _by(tool, design, route=False, board=board, log=ctx.out / f"{tool}.log")
    (ctx.out / SYNTHESIS_JSON).write_text(json.dumps(body, indent=1, sort_keys=True) + "\n")
    keys = ("lut", "ff", "dsp", "bram36", "fmax_mhz", "logic_ns", "meets_clock")
    metrics = {key: body[key] for key in keys if key in body}
    return {**metrics, "tools": {tool: str(body["tool"]).rpartition(" ")[2]}}
