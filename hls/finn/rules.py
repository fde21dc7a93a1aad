"""What FINN can do in RTL on a 7-series part, asked before anything runs. Runs in environment `finn`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dwell.errors import ConfigError, UnsupportedLayerError
from dwell.hls.finn.layers.own import IN_PLACE_OF

#: FINN layers that have an RTL form on every part, or that we have in RTL ourselves (`layers`).
RTL_LAYERS = (
    "MVAU",
    "Thresholding",
    "ConvolutionInputGenerator",
    "FMPadding",
    "StreamingFIFO",
    "StreamingDataWidthConverter",
    "DuplicateStreams",
    "ElementwiseAdd",
    "Pool",
)

_POOLING = "use maximum pooling, or a convolution with a stride"
#: What FINN has as C++ for Vitis HLS alone, by FINN's name or ONNX', and what to use in its place.
_INSTEAD = {
    "AveragePool": _POOLING,
    "QuantAvgPool2d": _POOLING,
    "Pool": _POOLING,
    "Trunc": _POOLING,
    "GlobalAveragePool": "use a convolution over the whole frame, or --backend rtl",
    "GlobalAccPool": "use a convolution over the whole frame, or --backend rtl",
    "LabelSelect": "leave the argmax to the trigger or the host",
    "ElementwiseMul": "use --backend rtl",
    "Concat": "use --backend rtl",
    "StreamingConcat": "use --backend rtl",
    "Split": "use --backend rtl",
    "StreamingSplit": "use --backend rtl",
    "Upsample": "use --backend rtl",
    "Resize": "use --backend rtl",
    "UpsampleNearestNeighbour": "use --backend rtl",
    "VVAU": "a depthwise convolution is RTL on Versal parts only: use a dense one, or --backend rtl",
}
#: What streamlining may leave between the first thresholds and the last sum.
_STREAMLINED = (
    "MultiThreshold",
    "MatMul",
    "Conv",
    "Im2Col",
    "Transpose",
    "Add",
    "MaxPool",
    "MaxPoolNHWC",
    "Pad",
    "Reshape",
    "Flatten",
)
_DSP48E1_FAMILIES = ("xc7",)


def check_qonnx(model: Any, path: Path) -> None:
    """Raise `ConfigError` for a graph that is not quantized, or whose shapes are not fixed."""
    nodes = model.graph.node
    if not any(n.op_type in ("Quant", "BipolarQuant", "MultiThreshold", "IntQuant") for n in nodes):
        raise ConfigError(
            f"{path.name} is not QONNX: it holds no quantizer",
            hint="export with brevitas.export.export_qonnx",
            place=str(path),
        )
    shape = model.get_tensor_shape(model.graph.input[0].name)
    if not shape or any(size < 1 for size in shape):
        raise ConfigError(f"{path.name}: the input has no fixed shape", hint="export with one frame")


def check_streamlined(model: Any, nodes: Sequence[Any]) -> None:
    """Raise `UnsupportedLayerError` for what stays real between the first thresholds and the last sum, for a layer
    without RTL, and for activations of one bit, which FINN's RTL matrix unit does not take."""
    for node in nodes:
        if node.op_type in _INSTEAD:
            raise _in_hls_only(node)
        if node.op_type == "MultiThreshold" and np.shape(model.get_initializer(node.input[1]))[-1] < 2:
            raise _too_narrow(node, "activations", 1)
    for node in nodes:
        kinds = [model.get_tensor_datatype(n) for n in node.input if model.get_initializer(n) is None]
        if node.op_type == "Add" and len(kinds) == 2 and not all(kind.is_integer() for kind in kinds):
            raise UnsupportedLayerError(
                node.name, "Add", RTL_LAYERS, reason="its two terms are not integers of one scale",
                hint="put one and the same quantizer (a shared QuantIdentity, or QuantEltwiseAdd) on both terms",
            )  # fmt: skip
    for node in nodes:
        if node.op_type not in _STREAMLINED or (node.op_type == "Add" and _one_constant(model, node)):
            raise UnsupportedLayerError(
                node.name, node.op_type, RTL_LAYERS, reason="FINN leaves it real, for no thresholds take it up",
                hint="put a quantizer behind each layer, or use --backend rtl",
            )  # fmt: skip


def _in_hls_only(node: Any) -> UnsupportedLayerError:
    return UnsupportedLayerError(
        node.name,
        node.op_type,
        RTL_LAYERS,
        reason="FINN has it for Vitis HLS only",
        hint=_INSTEAD[node.op_type],
    )


def _one_constant(model: Any, node: Any) -> bool:
    return any(model.get_initializer(name) is not None for name in node.input)


def check_ends(head: Sequence[Any], tail: Sequence[Any]) -> None:
    """Raise `UnsupportedLayerError` where something before the first thresholds, or after the last product,
    is not a change of shape or scale that the host can undo."""
    for node in head:
        if node.op_type not in ("Reshape", "Flatten", "Mul", "Add", "Sub", "Div", "Transpose"):
            raise UnsupportedLayerError(
                node.name, node.op_type, RTL_LAYERS, reason="before the first quantizer"
            )
    for node in tail:
        if node.op_type not in ("Mul", "Add", "Transpose"):
            hint = _INSTEAD.get(
                "LabelSelect" if node.op_type in ("TopK", "ArgMax") else "", "end with the layer"
            )
            raise UnsupportedLayerError(
                node.name, node.op_type, RTL_LAYERS, reason="after the last layer", hint=hint
            )


def check_layer(model: Any, node: Any, part: str) -> None:
    """Raise `UnsupportedLayerError` for a layer that would become HLS, with what to use instead."""
    from qonnx.custom_op.registry import getCustomOp

    if node.op_type not in RTL_LAYERS and node.op_type in _INSTEAD:
        raise _in_hls_only(node)
    if node.op_type not in RTL_LAYERS:
        raise UnsupportedLayerError(
            node.name, node.op_type, RTL_LAYERS, reason="FINN left it in software", hint="use --backend rtl"
        )
    operation = getCustomOp(node)
    if node.op_type == "MVAU":
        _check_product(model, node, operation, part)
    if node.op_type == "Thresholding":
        _check_width(node, "activations", operation.get_output_datatype())
    if node.op_type == "Pool" and operation.get_nodeattr("Function") != "MaxPool":
        raise _in_hls_only(node)
    if node.op_type == "ElementwiseAdd":
        _check_sum(model, node)


def _check_sum(model: Any, node: Any) -> None:
    shapes = [model.get_tensor_shape(name) for name in node.input]
    if _one_constant(model, node) or shapes[0] != shapes[1]:
        raise UnsupportedLayerError(
            node.name, "ElementwiseAdd", RTL_LAYERS, reason="FINN has it for Vitis HLS only",
            hint="add tensors of one shape; a constant belongs before a quantizer",
        )  # fmt: skip


def _check_product(model: Any, node: Any, operation: Any, part: str) -> None:
    weights = np.asarray(model.get_initializer(node.input[1]))
    kind = operation.get_input_datatype(1)
    _check_width(node, "activations", operation.get_input_datatype(0))
    _check_width(node, "weights", kind)
    if not kind.signed():
        raise UnsupportedLayerError(
            node.name, "MVAU", RTL_LAYERS, reason=f"weights of {kind}", hint="use signed weights"
        )
    if part.startswith(_DSP48E1_FAMILIES) and float(weights.min()) <= kind.min():
        raise UnsupportedLayerError(
            node.name,
            "MVAU",
            RTL_LAYERS,
            reason=f"a weight of {kind.min():g} on a 7-series part, whose multipliers take the narrow range",
            hint="train with narrow_range=True (Brevitas' default for weights)",
        )


def _check_width(node: Any, what: str, kind: Any) -> None:
    if kind.bitwidth() < 2:
        raise _too_narrow(node, what, kind.bitwidth())


def _too_narrow(node: Any, what: str, bits: int) -> UnsupportedLayerError:
    return UnsupportedLayerError(
        node.name, node.op_type, RTL_LAYERS, reason=f"{what} of {bits} bit", hint="use 2 bits or more"
    )


def check_specialized(node: Any) -> None:
    """Raise `UnsupportedLayerError` where FINN chose HLS after all, for a layer that we have not in RTL either."""
    if not node.op_type.endswith("_rtl") and node.op_type not in IN_PLACE_OF:
        name = node.op_type.removesuffix("_hls")
        raise UnsupportedLayerError(
            node.name, name, RTL_LAYERS, reason="FINN takes it in HLS only, with these types",
            hint="keep sums within 24 bits, activations and weights within 8",
        )  # fmt: skip


def check_folding(model: Any, path: Path) -> None:
    """Raise `ConfigError` for a folding file that names an unknown layer or whose folds do not divide."""
    from qonnx.custom_op.registry import getCustomOp

    try:
        asked = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read: {error}", place=str(path)) from error
    layers = {node.name: getCustomOp(node) for node in model.graph.node}
    for name, folds in asked.items():
        if name == "Defaults":
            continue
        if name not in layers:
            known = ", ".join(layers)
            raise ConfigError(
                f"{path.name}: there is no layer {name!r}", hint=f"layers: {known}", place=str(path)
            )
        for key, size in _sizes(layers[name]).items():
            fold = folds.get(key, 1)
            if not isinstance(fold, int) or fold < 1 or size % fold:
                choices = [d for d in range(1, size + 1) if size % d == 0]
                raise ConfigError(
                    f"{path.name}: {name} has {key}={fold}, which does not divide {size}",
                    hint=f"choose one of {', '.join(map(str, choices))}",
                    place=str(path),
                )


def _sizes(operation: Any) -> dict[str, int]:
    """What PE and SIMD of a layer have to divide."""
    types = operation.get_nodeattr_types()
    if "MW" in types:
        return {"SIMD": int(operation.get_nodeattr("MW")), "PE": int(operation.get_nodeattr("MH"))}
    sizes = {}
    channels = next((k for k in ("NumChannels", "IFMChannels") if k in types), None)
    for key in ("PE", "SIMD"):
        if channels and key in types:
            sizes[key] = int(operation.get_nodeattr(channels))
    return sizes


def guard_fold(name: str, operation: Any, *, keep_rate: bool) -> str:
    """Change, in place, a fold at which the matrix unit of the library loses data; a remark if it did.

    With as many multipliers as inputs (SIMD = MW) the unit can give a result in every clock, and its output
    queue overflows when the next layer stalls for long. To `keep_rate`, more outputs are computed at once instead.
    """
    types = operation.get_nodeattr_types()
    if "MW" not in types:
        return ""
    width, simd = int(operation.get_nodeattr("MW")), int(operation.get_nodeattr("SIMD"))
    if width != simd:
        return ""
    smaller = max((d for d in range(1, width) if width % d == 0), default=0)
    if smaller == 0:
        raise UnsupportedLayerError(
            name, "MVAU", RTL_LAYERS, reason="one input only, a fold at which the library loses data",
            hint="use --backend rtl",
        )  # fmt: skip
    operation.set_nodeattr("SIMD", smaller)
    wider = _more_outputs(operation, simd / smaller) if keep_rate else ""
    return (
        f"{name}: SIMD {simd} made {smaller}{wider}, "
        "for with SIMD = MW the library's output queue can overflow"
    )


def _more_outputs(operation: Any, times: float) -> str:
    """Let a matrix unit compute so many `times` more outputs at once, or as many as there are; what was done."""
    outputs, before = int(operation.get_nodeattr("MH")), int(operation.get_nodeattr("PE"))
    after = next(
        d for d in range(1, outputs + 1) if outputs % d == 0 and (d >= times * before or d == outputs)
    )
    operation.set_nodeattr("PE", after)
    return f" and PE {before} made {after}" if after != before else ""
