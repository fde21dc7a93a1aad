"""The whitelist: operators and their attributes, checked before anything is read from a graph."""

from __future__ import annotations

from collections.abc import Mapping

from dwell.hls.frontends.onnx_file import QUANT_DOMAINS, OnnxNode
from dwell.hls.frontends.qonnx.signals import refuse
from dwell.hls.frontends.qonnx.spec import QUANTIZERS

_NONE: frozenset[str] = frozenset()
_WINDOW = frozenset({"auto_pad", "dilations", "kernel_shape", "pads", "strides"})
_AXES = frozenset({"axes"})

#: Operators that only ever work on constants here, and fold.
FOLDED: Mapping[str, frozenset[str]] = {
    "Shape": frozenset({"start", "end"}),
    "Gather": frozenset({"axis"}),
    "Cast": frozenset({"to", "saturate"}),
    "ConstantOfShape": _NONE,
    "Pow": _NONE,
    "Sqrt": _NONE,
    "Reciprocal": _NONE,
    "Exp": _NONE,
    "Abs": _NONE,
    "Floor": _NONE,
    "Ceil": _NONE,
    "Max": _NONE,
    "Min": _NONE,
    "Round": _NONE,
}

OPERATORS: Mapping[str, frozenset[str]] = {
    "Quant": frozenset({"signed", "narrow", "rounding_mode"}),
    "IntQuant": frozenset({"signed", "narrow", "rounding_mode"}),
    "BipolarQuant": _NONE,
    "Trunc": frozenset({"rounding_mode", "signed", "narrow"}),
    "MatMul": _NONE,
    "Gemm": frozenset({"alpha", "beta", "transA", "transB"}),
    "Conv": _WINDOW | {"group"},
    "Add": _NONE,
    "Sub": _NONE,
    "Mul": _NONE,
    "Div": _NONE,
    "Neg": _NONE,
    "BatchNormalization": frozenset({"epsilon", "momentum", "spatial", "training_mode"}),
    "Relu": _NONE,
    "LeakyRelu": frozenset({"alpha"}),
    "PRelu": _NONE,
    "Clip": frozenset({"min", "max"}),
    "HardSigmoid": frozenset({"alpha", "beta"}),
    "Sigmoid": _NONE,
    "Tanh": _NONE,
    "Softmax": frozenset({"axis"}),
    "LogSoftmax": frozenset({"axis"}),
    "MaxPool": _WINDOW | {"ceil_mode", "storage_order"},
    "AveragePool": _WINDOW | {"ceil_mode", "count_include_pad"},
    "GlobalMaxPool": _NONE,
    "GlobalAveragePool": _NONE,
    "ReduceMean": frozenset({"axes", "keepdims", "noop_with_empty_axes"}),
    "Concat": frozenset({"axis"}),
    "Upsample": frozenset({"mode", "scales"}),
    "Resize": frozenset(
        {
            "coordinate_transformation_mode",
            "cubic_coeff_a",
            "mode",
            "nearest_mode",
            "exclude_outside",
            "extrapolation_value",
            "antialias",
            "keep_aspect_ratio_policy",
        }
    ),
    "Flatten": frozenset({"axis"}),
    "Reshape": frozenset({"allowzero"}),
    "Transpose": frozenset({"perm"}),
    "Squeeze": _AXES,
    "Unsqueeze": _AXES,
    "Slice": frozenset({"starts", "ends", "axes", "steps"}),
    "Split": frozenset({"axis", "split", "num_outputs"}),
    "Pad": frozenset({"mode", "pads", "value"}),
    "TopK": frozenset({"axis", "largest", "sorted"}),
    "ArgMax": frozenset({"axis", "keepdims", "select_last_index"}),
    "Identity": _NONE,
    "Dropout": frozenset({"ratio", "seed"}),
}

_SEVERAL_OUTPUTS = ("Split", "TopK", "Dropout", "MaxPool")


def check_operator(node: OnnxNode) -> None:
    """Refuse an operator, or an attribute, that is not known."""
    known = {**OPERATORS, **FOLDED}
    quantizer = node.op in QUANTIZERS
    domains = QUANT_DOMAINS if quantizer else ("", "ai.onnx")
    if node.op not in known or node.domain not in domains:
        refuse(node, "", "remove the layer, or fold it before export (qonnx-cleanup folds constants)")
    extra = set(node.attributes) - known[node.op]
    if node.op == "ConstantOfShape":
        extra -= {"value"}
    if extra:
        refuse(node, f"attribute {sorted(extra)[0]!r} is not known", "export the network without it")
    if len(node.outputs) != 1 and node.op not in _SEVERAL_OUTPUTS:
        refuse(node, f"it has {len(node.outputs)} outputs", "export the network again")
