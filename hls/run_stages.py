"""What the stages `convert` and `emulate` do."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from importlib import metadata
from typing import Any

from dwell.artifact import write_rung
from dwell.hls.backends import FINN, parse_input_type
from dwell.hls.choices import rtl_options
from dwell.hls.convert import Converted, read_network
from dwell.hls.design import Design
from dwell.hls.fit import check_fit
from dwell.hls.frontends.network import QuantizedNetwork, network_from_artifact
from dwell.hls.qmodel import QModel, Softmax, TopK, model_digest
from dwell.hls.synthesis import BoardLike, load_board
from dwell.stage import StageContext

#: Windows on which the emulation is compared.
EMULATED_WINDOWS = 10_000
#: Why a design of FINN's has no rung 3.
_NOT_BY_HLS4ML = (
    "FINN makes no C++ for hls4ml to emulate; its own execution was held against the network and against the "
    "integer graph when the design was made"
)


def run_convert(ctx: StageContext) -> Mapping[str, Any]:
    """The quantized network becomes an integer graph, climbs rung 2, and becomes a design."""
    ctx.progress(0.05, "reading the network; rung 2: codes at every quantizer")
    network = network_from_artifact(ctx.inputs["quantize"], parse_input_type(ctx.params.get("input_type")))
    board = load_board(str(ctx.params["board"]))
    make = _finn if ctx.params["backend"] == FINN else _rtl
    made, design, tools = make(ctx, network, board)
    for note in (*made.model.notes, *made.simplified, *design.notes):
        ctx.log.info("%s", note)
    write_rung(ctx.out, made.rung)
    return {
        "latency_cycles": design.latency_cycles,
        "ii_cycles": design.ii_cycles,
        "frame_cycles": design.frame_cycles,
        "window": list(design.window),
        "rung2_compared": made.rung["compared"],
        "qmodel_digest": model_digest(design.qmodel()),
        "tools": tools,
    }


def _rtl(
    ctx: StageContext, network: QuantizedNetwork, board: BoardLike
) -> tuple[Converted, Design, dict[str, str]]:
    from dwell.hls.rtl import write_design

    params = ctx.params

    def fits(model: QModel) -> None:
        check_fit(model, rtl_options(model, params, board.name), board)

    output = str(params.get("output") or "logits")
    made = read_network(network, str(params["name"]), output=output, check=fits)
    ctx.progress(0.6, "Verilog")
    design = write_design(made.model, rtl_options(made.model, params, board.name), ctx.out)
    return made, design, _versions("alkaid", "hls4ml" if network.door.name == "keras" else "qonnx")


def _finn(
    ctx: StageContext, network: QuantizedNetwork, board: BoardLike
) -> tuple[Converted, Design, dict[str, str]]:
    from dwell.hls.finn.asked import finn_design
    from dwell.hls.finn.frames import typed

    network = typed(network)
    made = read_network(network, str(ctx.params["name"]))
    ctx.progress(0.2, "FINN+: layers, folds, FIFO depths by simulation")
    design = finn_design(made.source, network.path, ctx.params, board, ctx.out)
    return made, design, _versions("qonnx") | {"finn-plus": str(design.provenance["finn-plus"])}


def run_emulate(ctx: StageContext) -> Mapping[str, Any]:
    """The same network as an hls4ml project; its emulation climbs rung 3, where hls4ml can carry it at all."""
    from dwell.hls.hls4ml.emulation import not_applicable

    design = Design.load(ctx.inputs["convert"])
    begin = time.monotonic()
    if design.backend == FINN:
        rung = not_applicable(design.top, _NOT_BY_HLS4ML)
    else:
        ctx.progress(0.1, "rung 3: hls4ml project, g++")
        rung = _emulated(ctx, design)
    if rung["ok"] is None:
        ctx.log.info("rung 3 does not apply: %s", rung["reason"])
    (ctx.out / "rung3.json").write_text(json.dumps(rung, indent=1, sort_keys=True) + "\n")
    write_rung(ctx.out, rung)
    return {
        "rung3_compared": rung["compared"],
        "rung3_applicable": rung["ok"] is not None,
        "emulation_seconds": round(time.monotonic() - begin, 1),
        "tools": _versions("hls4ml"),
    }


def _emulated(ctx: StageContext, design: Design) -> dict[str, Any]:
    from dwell.hls.hls4ml.emulation import emulate
    from dwell.hls.hls4ml.options import ProjectOptions

    network = network_from_artifact(ctx.inputs["quantize"])
    options = ProjectOptions(
        name=str(ctx.params["name"]),
        part=load_board(str(ctx.params["board"])).part,
        clock_mhz=float(ctx.params["clock_mhz"]),
        io_type="io_stream" if design.style == "stream" else "io_parallel",
    )
    model = design.qmodel()
    if any(isinstance(node, TopK | Softmax) for node in model.nodes):
        model = network.read(model.name)  # hls4ml's C++ ends with the logits
    return emulate(model, network, options, ctx.out / "project", EMULATED_WINDOWS)


def _versions(*names: str) -> dict[str, str]:
    return {name: metadata.version(name) for name in names}
