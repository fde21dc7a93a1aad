"""One scale for each constant tensor of a QONNX file, for readers that know no other.

A power of two for each channel is as good as one for the tensor with more bits: the values stay the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dwell.errors import UnsupportedLayerError

#: QONNX' Quant takes its width as a float32; this is far below what that holds, and enough for any network.
MAX_BITS = 48


def merge_channel_scales(wrapper: Any) -> Any:
    """A copy of a `qonnx` `ModelWrapper` in which every quantizer of a constant has one scale.

    The smallest scale of a tensor becomes the scale of all of it, its width what the largest code then needs.
    Raises `UnsupportedLayerError` for scales that are not powers of two, or too far apart.
    """
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.core.onnx_exec import execute_node

    made = ModelWrapper(wrapper.model, make_deepcopy=True)
    for node in made.graph.node:
        constants = [made.get_initializer(name) for name in node.input]
        if node.op_type != "Quant" or any(c is None for c in constants) or np.size(constants[1]) == 1:
            continue
        context = dict(zip(node.input, constants, strict=True))
        context[node.output[0]] = np.zeros_like(constants[0])
        execute_node(node, context, made.graph, made.model.opset_import[0].version)
        _narrow(
            made, node, np.asarray(context[node.output[0]], np.float64), np.asarray(constants[1], np.float64)
        )
    return made


def _narrow(made: Any, node: Any, values: Any, scales: Any) -> None:
    fractions = np.log2(scales)
    step = float(scales.min())
    codes = values / step
    bits = 1 + max(int(np.abs(codes).max(initial=1.0)).bit_length(), 1)
    if not np.array_equal(fractions, np.rint(fractions)) or bits > MAX_BITS:
        raise UnsupportedLayerError(
            node.name or node.output[0],
            "Quant",
            ("scales that are powers of two, close to each other",),
            reason="the scales of its channels cannot be written as one",
        )
    made.set_initializer(node.input[0], values.astype(np.float32))
    for name, value in zip(node.input[1:], (step, 0.0, float(bits)), strict=True):
        made.set_initializer(name, np.asarray([value], np.float32))
    for attribute in node.attribute:
        if attribute.name in ("signed", "narrow"):
            attribute.i = int(attribute.name == "signed")
