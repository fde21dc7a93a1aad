"""The commands of this room, as the command line calls them: a dict in, a dict out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dwell.artifact import write_atomic_dir, write_rung
from dwell.errors import ConfigError, NotBuiltYetError
from dwell.hls.backends import HLS4ML, check_backend, parse_input_type
from dwell.hls.commands_synth import synthesize as synthesize
from dwell.hls.frontends.network import QuantizedNetwork, network_from_artifact, network_from_file
from dwell.hls.gate import climb
from dwell.hls.qmodel import QModel
from dwell.hls.rtl import RtlOptions, write_design
from dwell.hls.rtl.names import identifier
from dwell.hls.synthesis import load_board

_CLOCK_MHZ = 100.0


def convert(args: Mapping[str, Any]) -> dict[str, Any]:
    """`dwell convert`: one model file to a design, or to an hls4ml project.

    `args`: `model`, `backend`, `board`, `io` (parallel or stream), `reuse`, `input_type`, `out`. Gives
    `backend`, `latency_cycles`, `ii_cycles`, `layers` and `design` (the folder). The network climbs rung 2 on
    frames made up for it before anything is written.
    """
    backend = check_backend(str(args["backend"]))
    board = load_board(str(args.get("board") or "pynq-z2"))
    io, reuse = str(args.get("io") or "stream"), int(args.get("reuse") or 1)
    if reuse != 1:
        raise NotBuiltYetError(
            f"multipliers used {reuse} times over are not built yet",
            hint="leave --reuse out",
            place="--reuse",
        )
    out = Path(str(args["out"]))
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(
            f"{out} exists and is not empty", hint="name a new folder with --out", place=str(out)
        )
    network = _network(Path(str(args["model"])), args.get("input_type"))
    reading = network.reading(identifier(network.path.stem))
    model, rung = reading.model, climb(reading, network)
    with write_atomic_dir(out) as folder:
        if backend == HLS4ML:
            result = _hls4ml(model, network, io, board.part, folder)
        else:
            result = _rtl(model, io, board.name, folder)
        write_rung(folder, rung)
    return {"backend": backend, **result, "design": str(out), "rungs": {"2": rung["compared"]}}


def _network(path: Path, input_type: object) -> QuantizedNetwork:
    kind = parse_input_type(None if input_type is None else str(input_type))
    return network_from_artifact(path, kind) if path.is_dir() else network_from_file(path, kind)


def _rtl(model: QModel, io: str, board: str, folder: Path) -> dict[str, Any]:
    style: Any = {"stream": "stream", "parallel": "unrolled"}[io]
    design = write_design(model, RtlOptions(style=style, clock_mhz=_CLOCK_MHZ, board=board), folder)
    return {
        "latency_cycles": design.latency_cycles,
        "ii_cycles": design.ii_cycles,
        "layers": [dict(layer) for layer in design.layers],
    }


def _hls4ml(model: QModel, network: QuantizedNetwork, io: str, part: str, folder: Path) -> dict[str, Any]:
    """The Vitis project alone. Latency and II are known only after Vitis HLS has run: null, not a guess."""
    from dwell.hls.hls4ml.project import ProjectOptions, write_project

    options = ProjectOptions(name=model.name, part=part, clock_mhz=_CLOCK_MHZ, io_type=f"io_{io}")
    graph = write_project(model, network, options, folder)
    layers = [
        {
            "name": str(layer.name),
            "kind": str(layer.class_name),
            "out_type": str(layer.get_output_variable().type.precision),
        }
        for layer in graph.get_layers()
    ]
    return {"latency_cycles": None, "ii_cycles": None, "layers": layers}
