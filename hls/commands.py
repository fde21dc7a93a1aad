"""The commands of this room, as the command line calls them: a dict in, a dict out."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from dwell.artifact import write_atomic_dir, write_rung
from dwell.errors import ConfigError
from dwell.hls.backends import FINN, HLS4ML, RTL, check_backend, check_keys, parse_input_type
from dwell.hls.choices import choose_io, rtl_options
from dwell.hls.commands_synth import synthesize as synthesize
from dwell.hls.convert import Converted, read_network
from dwell.hls.finn.frames import typed
from dwell.hls.fit import check_fit
from dwell.hls.frontends.keras_net.calibrate import post_training
from dwell.hls.frontends.network import QuantizedNetwork, network_from_artifact, network_from_file
from dwell.hls.qmodel import QModel
from dwell.hls.rtl import write_design
from dwell.hls.rtl.verilog.names import identifier
from dwell.hls.synthesis import BoardLike, load_board

_CLOCK_MHZ = 100.0


def convert(args: Mapping[str, Any]) -> dict[str, Any]:
    """`dwell convert`: one model file to a design, or to an hls4ml project.

    `args`: `model`, `backend`, `board`, `input_type`, `output` (logits, class or probabilities), `out`, for a float
    Keras file `ptq` (bits) and `calibrate` (frames), and what `dwell.hls.choices.rtl_options` takes. Gives
    `backend`, `latency_cycles`, `ii_cycles`, `layers`, `design` (the folder), `notes` and `rungs`. The network
    climbs rung 2 on frames made up for it before anything is written.
    """
    backend = check_backend(str(args["backend"]))
    check_keys(backend, args)
    board = load_board(str(args.get("board") or "pynq-z2"))
    out = Path(str(args["out"]))
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(
            f"{out} exists and is not empty", hint="name a new folder with --out", place=str(out)
        )
    with tempfile.TemporaryDirectory(prefix="dwell-ptq-") as scratch, write_atomic_dir(out) as folder:
        path, ptq = post_training(args, Path(scratch))
        network = _network(path, None if ptq else args.get("input_type"))
        if backend == FINN:
            network = typed(network)
        name = identifier(Path(str(args["model"])).stem)
        fits = partial(_fits, args, board) if backend == RTL else None
        made = read_network(network, name, output=str(args.get("output") or "logits"), check=fits)
        if backend == HLS4ML:
            result = _hls4ml(made.source, network, args, board.part, folder)
        elif backend == FINN:
            result = _finn(made.source, network, args, board, folder)
        else:
            result = _rtl(made, args, board, folder)
        write_rung(folder, made.rung)
        if ptq:
            (folder / path.name).write_bytes(path.read_bytes())
            (folder / "ptq.json").write_text(json.dumps(ptq, indent=1) + "\n")
            result["ptq"] = ptq
    said = {"design": str(out), "rungs": {"2": made.rung["compared"]}}
    return {"backend": backend, **result, **said}


def _network(path: Path, input_type: object) -> QuantizedNetwork:
    kind = parse_input_type(None if input_type is None else str(input_type))
    return network_from_artifact(path, kind) if path.is_dir() else network_from_file(path, kind)


def _fits(args: Mapping[str, Any], board: BoardLike, model: QModel) -> None:
    """Refuse options that do not go with a network, and one far beyond the board, before anything takes time."""
    check_fit(model, rtl_options(model, args, board.name), board)


def _rtl(made: Converted, args: Mapping[str, Any], board: BoardLike, folder: Path) -> dict[str, Any]:
    options = rtl_options(made.model, args, board.name)
    estimated = check_fit(made.model, options, board)
    design = write_design(made.model, options, folder)
    return {
        "style": design.style,
        "latency_cycles": design.latency_cycles,
        "ii_cycles": design.ii_cycles,
        "layers": [dict(layer) for layer in design.layers],
        "estimate": estimated.to_json(),
        "notes": [*made.model.notes, *made.simplified],
    }


def _finn(
    model: QModel, network: QuantizedNetwork, args: Mapping[str, Any], board: BoardLike, folder: Path
) -> dict[str, Any]:
    """Through FINN+, in its own environment: a stitched design in RTL."""
    from dwell.hls.finn.asked import finn_design

    design = finn_design(model, network.path, args, board, folder)
    estimated = json.loads((folder / "finn/report/estimate_network_performance.json").read_text())
    return {
        "style": design.style,
        "latency_cycles": design.latency_cycles,
        "ii_cycles": design.ii_cycles,
        "layers": [dict(layer) for layer in design.layers],
        "frame_cycles": design.frame_cycles,
        "estimate": {"frame_cycles": int(estimated["max_cycles"])},
        "notes": list(design.notes),
    }


def _hls4ml(
    model: QModel, network: QuantizedNetwork, args: Mapping[str, Any], part: str, folder: Path
) -> dict[str, Any]:
    """The Vitis project alone. Latency and II are known only after Vitis HLS has run: null, not a guess."""
    from dwell.hls.hls4ml.options import ProjectOptions
    from dwell.hls.hls4ml.project import project_layers

    io = choose_io(model, str(args.get("io") or "auto"))
    options = ProjectOptions(name=model.name, part=part, clock_mhz=_CLOCK_MHZ, io_type=f"io_{io}")
    layers = project_layers(model, network, options, folder)
    return {"latency_cycles": None, "ii_cycles": None, "layers": layers, "notes": list(model.notes)}
