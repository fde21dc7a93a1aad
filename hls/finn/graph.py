"""A QONNX network as FINN's hardware layers: streamlined, cut to integers, folded. Runs in environment `finn`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dwell.errors import ConfigError
from dwell.hls.finn import rules
from dwell.hls.finn.branches import joins

STEPS_TO_INTEGERS = ("step_qonnx_to_finn", "step_tidy_up", "step_streamline")
STEPS_TO_LAYERS = (
    "step_convert_to_hw",
    "step_minimize_bit_width_initial",
    "step_create_dataflow_partition",
)
STEPS_TO_FOLDING = ("step_target_fps_parallelization", "step_apply_folding_config")
STEPS_TO_ESTIMATES = ("step_minimize_bit_width", "step_generate_estimate_reports")


@dataclass(frozen=True)
class Asked:
    """What the user asks of the back end: `target_fps` frames a second, or the folds in a file."""

    part: str
    clock_mhz: float
    target_fps: int
    folding: Path | None
    guard: bool = True


@dataclass(frozen=True)
class Ends:
    """What was cut off the ends: thresholds (C or 1, T) on the float input; scale and offset of the result."""

    thresholds: npt.NDArray[np.float64]
    input_scale: float
    input_bias: float
    scale: tuple[float, ...]
    offset: tuple[float, ...]


def load(path: Path) -> Any:
    """The cleaned graph of a QONNX file. Raises `ConfigError` for a file that is none."""
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.util.cleanup import cleanup_model

    try:
        model = cleanup_model(ModelWrapper(str(path)))
    except Exception as error:  # protobuf, onnx and qonnx each raise their own
        raise ConfigError(
            f"{path.name} cannot be read as ONNX: {error}", hint="export the network again", place=str(path)
        ) from error
    rules.check_qonnx(model, path)
    return model


def build_config(asked: Asked, out: Path) -> Any:
    """FINN's own configuration."""
    import finn.builder.build_dataflow_config as builder

    out.mkdir(parents=True, exist_ok=True)
    return builder.DataflowBuildConfig(
        output_dir=str(out),
        synth_clk_period_ns=1000.0 / asked.clock_mhz,
        fpga_part=asked.part,
        target_fps=None if asked.folding else asked.target_fps,
        folding_config_file=str(asked.folding) if asked.folding else None,
        generate_outputs=[builder.DataflowOutputType.ESTIMATE_REPORTS],
        standalone_thresholds=True,  # the RTL matrix unit has none built in
        mvau_wwidth_max=1000,
    )


def run_steps(model: Any, names: tuple[str, ...], config: Any, checkpoints: Path) -> Any:
    """FINN's builder steps, each result kept in `checkpoints`."""
    from finn.builder.build_dataflow_steps import build_dataflow_step_lookup

    for name in names:
        model = build_dataflow_step_lookup[name](model, config)
        model.save(str(checkpoints / f"{name}.onnx"))
    return model


def cut(model: Any) -> Ends:
    """Take off, in place, all up to the first thresholds and all after the last product, sum or maximum.

    What is left has integers on both ends. Raises `ConfigError` where the ends are not of that kind.
    """
    nodes = list(model.graph.node)
    entry = next((i for i, n in enumerate(nodes) if n.op_type == "MultiThreshold"), None)
    final = next((i for i in reversed(range(len(nodes))) if _is_layer(model, nodes[i])), None)
    if entry is None or final is None or final < entry:
        raise ConfigError(
            "the network has no quantized input followed by a layer with weights",
            hint="put a QuantIdentity before the first layer",
        )
    rules.check_ends(nodes[:entry], nodes[final + 1 :])
    rules.check_streamlined(model, nodes[entry : final + 1])
    ends = _ends(model, nodes[entry], nodes[final + 1 :])
    for node in nodes[: entry + 1] + nodes[final + 1 :]:
        model.graph.node.remove(node)
    _rename_ends(model, nodes[entry].output[0], nodes[final].output[0])
    return ends


def _is_layer(model: Any, node: Any) -> bool:
    """Whether a node multiplies by weights, adds two tensors, or takes the largest."""
    return node.op_type in ("MatMul", "Conv", "MaxPool", "MaxPoolNHWC") or joins(model, node)


def _ends(model: Any, entry: Any, tail: list[Any]) -> Ends:
    from qonnx.custom_op.registry import getCustomOp

    scale, offset = np.ones(1), np.zeros(1)
    for node in tail:
        if node.op_type == "Transpose":
            continue
        value = np.asarray(model.get_initializer(node.input[1]), dtype=np.float64).reshape(-1)
        if node.op_type == "Mul":
            scale, offset = scale * value, offset * value
        else:
            offset = offset + value
    first = getCustomOp(entry)
    return Ends(
        np.asarray(model.get_initializer(entry.input[1]), dtype=np.float64),
        float(first.get_nodeattr("out_scale")),
        float(first.get_nodeattr("out_bias")),
        tuple(float(v) for v in scale),
        tuple(float(v) for v in offset),
    )


def _rename_ends(model: Any, first: str, last: str) -> None:
    from onnx import TensorProto, helper

    graph = model.graph
    kinds = {name: model.get_tensor_datatype(name) for name in (first, last)}
    shapes = {name: model.get_tensor_shape(name) for name in (first, last)}
    for info in [v for v in graph.value_info if v.name in (first, last)]:
        graph.value_info.remove(info)
    del graph.input[:]
    del graph.output[:]
    graph.input.append(helper.make_tensor_value_info(first, TensorProto.FLOAT, shapes[first]))
    graph.output.append(helper.make_tensor_value_info(last, TensorProto.FLOAT, shapes[last]))
    for name, kind in kinds.items():
        model.set_tensor_datatype(name, kind)


def specialize(model: Any, config: Any, checkpoints: Path) -> Any:
    """Every layer in its RTL form. Raises `UnsupportedLayerError` for one that FINN has as HLS only."""
    from qonnx.custom_op.registry import getCustomOp

    for node in model.graph.node:
        rules.check_layer(model, node, str(config.fpga_part))
        operation = getCustomOp(node)
        if "preferred_impl_style" in operation.get_nodeattr_types():
            operation.set_nodeattr("preferred_impl_style", "rtl")
    model = run_steps(model, ("step_specialize_layers",), config, checkpoints)
    for node in model.graph.node:
        rules.check_specialized(node)
    return model


def fold(model: Any, asked: Asked, config: Any, checkpoints: Path) -> tuple[Any, list[str]]:
    """Folds as asked for, those changed that lose data (see `rules.guard_fold`), with a remark on each."""
    from qonnx.custom_op.registry import getCustomOp

    if asked.folding is not None:
        rules.check_folding(model, asked.folding)
    names = STEPS_TO_FOLDING[1:] if asked.folding else STEPS_TO_FOLDING
    model = run_steps(model, names, config, checkpoints)
    guarded = model.graph.node if asked.guard else ()
    rate = asked.folding is None
    remarks = [rules.guard_fold(node.name, getCustomOp(node), keep_rate=rate) for node in guarded]
    return run_steps(model, STEPS_TO_ESTIMATES, config, checkpoints), [r for r in remarks if r]


def estimates(out: Path) -> Mapping[str, Any]:
    """FINN's own estimates: cycles of each layer, of the frame, and resources."""
    report = out / "report"
    return {
        "layers": json.loads((report / "estimate_layer_cycles.json").read_text()),
        "network": json.loads((report / "estimate_network_performance.json").read_text()),
        "resources": json.loads((report / "estimate_layer_resources.json").read_text()),
    }
