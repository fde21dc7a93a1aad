"""A QONNX graph said the way FINN understands it, computing the same. Runs in environment `finn`.

- A bias's quantizer is folded to its values: FINN's own extraction of biases takes no scale by channel, and a bias
  ends up in thresholds or behind the last layer in any case.
- FINN takes every activation for one that rounds to the nearest. One that rounds down gets what makes it so: half a
  step less before its ReLU. Both then compare with the same thresholds, and rounding down has no ties to get wrong.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dwell.errors import UnsupportedLayerError
from dwell.hls.finn.rules import RTL_LAYERS

_NEAREST = ("ROUND", "HALF_EVEN", "HALF_UP")
_BIAS = 2  # the input of a convolution that holds it


def settle(source: Any) -> Any:
    """A copy of `source` for FINN to read. Raises `UnsupportedLayerError` for a rounding that has no thresholds."""
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.transformation.infer_shapes import InferShapes

    model = ModelWrapper(source.model, make_deepcopy=True)
    for node in [n for n in model.graph.node if n.op_type == "Quant"]:
        if model.get_initializer(node.input[0]) is not None:
            _settle_bias(model, node)
        else:
            _settle_rounding(model, node)
    return model.transform(InferShapes())


def _settle_bias(model: Any, node: Any) -> None:
    from qonnx.custom_op.registry import getCustomOp

    readers = model.find_consumers(node.output[0])
    if any(len(r.input) <= _BIAS or r.input[_BIAS] != node.output[0] for r in readers):
        return
    context = {name: model.get_initializer(name) for name in node.input}
    getCustomOp(node).execute_node(context, model.graph)
    model.graph.node.remove(node)
    model.set_initializer(node.output[0], np.asarray(context[node.output[0]], dtype=np.float32))


def _settle_rounding(model: Any, node: Any) -> None:
    from onnx import TensorProto, helper
    from qonnx.custom_op.registry import getCustomOp

    operation = getCustomOp(node)
    rounding = operation.get_nodeattr("rounding_mode").upper()
    before = model.find_producer(node.input[0])
    if rounding in _NEAREST:
        return
    if rounding != "FLOOR":
        raise UnsupportedLayerError(
            node.name,
            "Quant",
            RTL_LAYERS,
            reason=f"rounds by {rounding}",
            hint="round to the nearest, or down",
        )
    target = before if before is not None and before.op_type == "Relu" else node
    step = np.abs(np.asarray(model.get_initializer(node.input[1]), dtype=np.float32))
    lowered, half = model.make_new_valueinfo_name(), f"{node.name}_half_step"
    shape = model.get_tensor_shape(target.input[0])
    model.graph.value_info.append(helper.make_tensor_value_info(lowered, TensorProto.FLOAT, shape))
    model.set_initializer(half, -step / 2)
    position = list(model.graph.node).index(target)
    model.graph.node.insert(
        position, helper.make_node("Add", [target.input[0], half], [lowered], name=f"{node.name}_down")
    )
    target.input[0] = lowered
    operation.set_nodeattr("rounding_mode", "ROUND")
