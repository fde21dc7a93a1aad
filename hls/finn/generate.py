"""From a QONNX file to FINN's sources and their wiring. Runs in environment `finn`, as a process of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dwell.errors import UnsupportedLayerError
from dwell.hls.finn import graph, rules
from dwell.hls.finn.branches import streamline_branches
from dwell.hls.finn.layers.own import place
from dwell.hls.finn.matrices import matrices, move_thresholds, writable
from dwell.hls.finn.novivado import VERSION, prepare
from dwell.hls.finn.settle import settle
from dwell.hls.finn.stitch import stitch

#: Frames on which FINN's Python execution is compared with the QONNX executor.
EXECUTED_FRAMES = 16
TOLERANCE = 1e-5

Floats = npt.NDArray[np.float32]


def generate(args: Mapping[str, Any]) -> dict[str, Any]:
    """`args`: `model`, `out`, `part`, `clock_mhz`, `target_fps`, `folding` (a path or None), `guard`,
    `reload`, `thresholds` (a path or None: see `matrices.move_thresholds`).

    Writes `checkpoints/`, `report/`, `sources/` and `stitched.json` into `out`, and `frames.npz`: float frames
    `x` as the network takes them and the integers that FINN's execution gives for them, `codes` at the input
    cut and `y` at the output.
    """
    out = Path(args["out"])
    prepare(out / "finn_build")
    folding = Path(args["folding"]) if args.get("folding") else None
    guard = bool(args.get("guard", True))
    asked = graph.Asked(str(args["part"]), float(args["clock_mhz"]), int(args["target_fps"]), folding, guard)
    config = graph.build_config(asked, out)
    kept = out / "checkpoints"
    kept.mkdir(exist_ok=True)
    source = graph.load(Path(args["model"]))
    model = graph.run_steps(settle(source), graph.STEPS_TO_INTEGERS, config, kept)
    model = streamline_branches(model)
    ends = graph.cut(model)
    scale, offset = _input_scale(source)
    frames = _frames(source, scale, offset, ends)
    reload = bool(args.get("reload"))
    model = graph.run_steps(model, graph.STEPS_TO_LAYERS[:1], config, kept)
    model = graph.run_steps(writable(model, reload), graph.STEPS_TO_LAYERS[1:], config, kept)
    model = graph.specialize(model, config, kept)
    model, remarks = graph.fold(model, asked, config, kept)
    moved = Path(args["thresholds"]) if args.get("thresholds") else None
    units = matrices(move_thresholds(writable(model, False), moved), out)
    model = place(_converters(model, asked.part))
    rung = _execute(source, model, frames, ends, out)
    model = _prepare(model, asked)
    model.save(str(kept / "final.onnx"))
    stitched = stitch(model, out / "sources")
    (out / "stitched.json").write_text(json.dumps(stitched.to_json(), indent=1, sort_keys=True) + "\n")
    return {
        "version": VERSION,
        "remarks": remarks,
        "input_scale": scale,
        "input_offset": offset,
        "estimates": dict(graph.estimates(out)),
        "layers": [_layer(node) for node in model.graph.node],
        "ports": _ports(model),
        "matrices": units,
        "execution": rung,
    }


def _first_quantizer(source: Any) -> Any:
    return next(
        n for n in source.graph.node if n.op_type == "Quant" and source.get_initializer(n.input[0]) is None
    )


def _input_scale(source: Any) -> tuple[float, float]:
    """Scale and offset of the first quantizer's codes in the units of the frames.

    What lies between them is one factor and one offset for all pixels. Raises `UnsupportedLayerError` if not.
    """
    from qonnx.core import onnx_exec

    name, shape = source.graph.input[0].name, source.get_tensor_shape(source.graph.input[0].name)
    quantizer = _first_quantizer(source)
    seen = []
    for value in (0.0, 1.0):
        fed = {name: np.full(shape, value, dtype=np.float32)}
        context = onnx_exec.execute_onnx(source, fed, return_full_exec_context=True)
        seen.append(np.unique(np.asarray(context[quantizer.input[0]], dtype=np.float64)))
    if any(len(values) != 1 for values in seen) or seen[1][0] == seen[0][0]:
        raise UnsupportedLayerError(
            quantizer.name, "Quant", rules.RTL_LAYERS, reason="pixels are scaled one by one before it",
            hint="scale all pixels alike before the first quantizer",
        )  # fmt: skip
    step = float(np.asarray(source.get_initializer(quantizer.input[1])).reshape(-1)[0])
    factor, base = float(seen[1][0] - seen[0][0]), float(seen[0][0])
    return step / factor, -base / factor


def _frames(source: Any, scale: float, offset: float, ends: graph.Ends) -> Floats:
    """Frames whose values spread over all codes of the input, and a little beyond."""
    shape = tuple(source.get_tensor_shape(source.graph.input[0].name))
    levels = ends.thresholds.shape[-1] + 1
    low = ends.input_bias if ends.input_scale > 0 else -levels
    rng = np.random.default_rng(0)
    codes = rng.uniform(low - 0.7, low + levels - 0.3, (EXECUTED_FRAMES, *shape[1:]))
    return np.asarray(codes * scale + offset, dtype=np.float32)


def _converters(model: Any, part: str) -> Any:
    """Width converters between layers that do not fit; our own FIFOs go between all of them later."""
    from finn.transformation.fpgadataflow.insert_dwc import InsertDWC
    from finn.transformation.fpgadataflow.specialize_layers import SpecializeLayers
    from qonnx.transformation.general import GiveReadableTensorNames, GiveUniqueNodeNames

    model = model.transform(InsertDWC())
    model = model.transform(SpecializeLayers(part))
    model = model.transform(GiveUniqueNodeNames())
    for node in model.graph.node:
        rules.check_specialized(node)
    return model.transform(GiveReadableTensorNames())


def _execute(source: Any, model: Any, frames: Floats, ends: graph.Ends, out: Path) -> dict[str, Any]:
    """FINN's layers in Python beside the QONNX executor: their largest difference, and what rounding of the float
    tail allows."""
    from finn.core.onnx_exec import execute_onnx
    from finn.transformation.fpgadataflow.set_exec_mode import SetExecMode
    from qonnx.core import onnx_exec

    model = model.transform(SetExecMode("cppsim"))
    names = [(m.graph.input[0].name, m.graph.output[0].name) for m in (source, model)]
    shape = tuple(model.get_tensor_shape(names[1][0]))
    codes, integers, worst = [], [], 0.0
    for frame in frames:
        wanted = onnx_exec.execute_onnx(source, {names[0][0]: frame[None]})[names[0][1]]
        code = _codes(source, frame[None], ends, shape)
        got = execute_onnx(model, {names[1][0]: code})[names[1][1]]
        real = got * np.asarray(ends.scale) + np.asarray(ends.offset)
        real = (real.transpose(0, 3, 1, 2) if real.ndim == 4 else real).reshape(wanted.shape)
        worst = max(worst, float(np.abs(real - wanted).max()))
        codes.append(code[0])
        integers.append(got[0])
    np.savez(
        out / "frames.npz", x=frames, codes=np.asarray(codes, np.int64), y=np.asarray(integers, np.int64)
    )
    return {
        "frames": len(frames),
        "largest_difference": worst,
        "allowed": TOLERANCE * max(1.0, float(np.abs(np.asarray(ends.scale)).max())),
        "tool": f"FINN+ {VERSION}, QONNX executor",
    }


def _codes(source: Any, frame: Floats, ends: graph.Ends, shape: tuple[int, ...]) -> Floats:
    """What the first quantizer of the network gives for a frame, as the design takes it (channels last)."""
    from qonnx.core import onnx_exec

    quantizer = _first_quantizer(source)
    context = onnx_exec.execute_onnx(
        source, {source.graph.input[0].name: frame}, return_full_exec_context=True
    )
    scale = float(np.asarray(source.get_initializer(quantizer.input[1])).reshape(-1)[0])
    value = np.rint(np.asarray(context[quantizer.output[0]], dtype=np.float64) / scale)
    if value.ndim == 4 and len(shape) == 4:
        value = value.transpose(0, 2, 3, 1)
    return np.ascontiguousarray(value.reshape(shape), dtype=np.float32)


def _prepare(model: Any, asked: graph.Asked) -> Any:
    from finn.transformation.fpgadataflow.prepare_ip import PrepareIP

    return model.transform(PrepareIP(asked.part, 1000.0 / asked.clock_mhz))


def _layer(node: Any) -> dict[str, Any]:
    from qonnx.custom_op.registry import getCustomOp

    operation = getCustomOp(node)
    folds = {k: int(operation.get_nodeattr(k)) for k in ("PE", "SIMD") if k in operation.get_nodeattr_types()}
    return {
        "name": node.name,
        "kind": node.op_type,
        "folds": folds,
        "cycles": int(operation.get_exp_cycles()),
        "in_type": str(operation.get_input_datatype()),
        "out_type": str(operation.get_output_datatype()),
        "weight_type": str(operation.get_input_datatype(1)) if node.op_type.startswith("MVAU") else None,
    }


def _ports(model: Any) -> dict[str, Any]:
    """How integers lie in the first and the last stream: elements a beat, bits of each, beats a frame."""
    from qonnx.custom_op.registry import getCustomOp

    first = getCustomOp(model.find_consumers(model.graph.input[0].name)[0])
    last = getCustomOp(model.find_producer(model.graph.output[0].name))
    ports = {}
    for name, folded, kind in (
        ("input", first.get_folded_input_shape(), first.get_input_datatype()),
        ("output", last.get_folded_output_shape(), last.get_output_datatype()),
    ):
        ports[name] = {
            "elements": int(folded[-1]),
            "beats": int(np.prod(folded[:-1])),
            "width": int(kind.bitwidth()),
            "signed": bool(kind.signed()),
        }
    return ports
