"""What hls4ml cannot carry exactly, or would convert to something else without a word.

Each is a reason why rung 3 does not apply to a network; nothing here is a fault of the network.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dwell.hls.frontends.network import QuantizedNetwork
from dwell.hls.qmodel import QModel
from dwell.hls.qmodel.graph import Node, Recurrent
from dwell.hls.qmodel.nodes import Conv2D, Pool2D, Pooling, Softmax, Table, TopK

HINT = "use the rtl back end"


def obstacle(model: QModel, network: QuantizedNetwork) -> tuple[str, str] | None:
    """(the layer, the reason) why hls4ml's C++ cannot equal the integer graph; None where nothing speaks against it."""
    for name, tensor in model.tensors.items():
        if not _powers_of_two(tensor.scale):
            return name, "its scale is not a power of two, which hls4ml rounds to fixed point"
        if np.any(np.asarray(tensor.offset) != 0):
            return name, "its zero point is not 0, which hls4ml drops where the scale is a power of two"
    for node in model.nodes:
        reason = next((why for kind, test, why in _NODES if isinstance(node, kind) and test(node)), None)
        if reason is not None:
            return node.name, reason
    return _zero_point(network)


def _always(node: Any) -> bool:
    return True


def _grouped(node: Any) -> bool:
    cin, cout = node.weight.shape[2:]
    return node.groups != 1 and not (cin == 1 and cout == node.groups)


_NODES: tuple[tuple[type[Node], Callable[[Any], bool], str], ...] = (
    (Conv2D, lambda node: node.dilation != (1, 1), "hls4ml ignores dilation"),
    (Conv2D, _grouped, "hls4ml knows groups only as depthwise convolutions of one output a channel"),
    (Table, _always, "a function of floats; hls4ml computes it in fixed point of its own"),
    (Softmax, _always, "hls4ml takes its softmax from tables of its own"),
    (TopK, _always, "hls4ml has no such layer"),
    (Recurrent, _always, "hls4ml's recurrent layers do not quantize states and gates where the source does"),
    (
        Pool2D,
        lambda node: node.pooling is Pooling.SUM and 1 << node.shift != node.size[0] * node.size[1],
        "a mean over a number of pixels that is no power of two; hls4ml rounds it",
    ),
)


def _powers_of_two(scale: float | tuple[float, ...]) -> bool:
    mantissa, _ = np.frexp(np.atleast_1d(np.asarray(scale, dtype=np.float64)))
    return bool(np.all(mantissa == 0.5))


def _zero_point(network: QuantizedNetwork) -> tuple[str, str] | None:
    """A zero point in the file that the integer graph has absorbed: hls4ml would lose it."""
    if network.door.name != "qonnx":
        return None
    import onnx
    from onnx import numpy_helper

    graph = onnx.load(str(network.path)).graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type != "Quant" or len(node.input) < 3 or node.input[2] not in constants:
            continue
        if np.any(numpy_helper.to_array(constants[node.input[2]]) != 0):
            return node.name or node.output[0], "its zero point is not 0, which hls4ml drops"
    return None
