"""Streamlining through forks and joins, which FINN's own step leaves undone. Runs in environment `finn`.

Scales and transpositions are moved past each fork and each addition until the thresholds behind take them up.
All steps but two are FINN's; whether they left the network as it was is for the execution check to say.
"""

from __future__ import annotations

from typing import Any

from dwell.errors import InternalError

#: A network is done in two or three rounds; a graph that still changes after so many will not settle.
ROUNDS = 12


def streamline_branches(model: Any) -> Any:
    """`model` with integers at both inputs of each addition wherever the scales allow it.

    A graph without branches comes back as it is.
    """
    from finn.transformation.streamline.round_thresholds import RoundAndClipThresholds

    if not branches(model):
        return model
    model = _adds_channels_last(model)
    for _ in range(ROUNDS):
        before = _signature(model)
        model = _merge_transposes(_round(model))
        if _signature(model) == before:
            return model.transform(RoundAndClipThresholds())  # a layer of unsigned codes takes none below 0
    raise InternalError("FINN's streamlining of the network's branches does not come to an end")


def branches(model: Any) -> bool:
    """Whether a tensor has two takers."""
    outputs = [model.graph.input[0].name, *(name for node in model.graph.node for name in node.output)]
    return any(len(model.find_consumers(name) or ()) > 1 for name in outputs)


def joins(model: Any, node: Any) -> bool:
    """Whether a node adds two tensors that both depend on the frame."""
    return node.op_type == "Add" and all(model.get_initializer(name) is None for name in node.input)


def _round(model: Any) -> Any:
    from finn.transformation.streamline import Streamline
    from finn.transformation.streamline.absorb import (
        AbsorbConsecutiveTransposes,
        AbsorbTransposeIntoMultiThreshold,
    )
    from finn.transformation.streamline.reorder import (
        MakeMaxPoolNHWC,
        MoveLinearPastEltwiseAdd,
        MoveLinearPastFork,
        MoveTransposePastFork,
    )
    from qonnx.transformation.general import GiveReadableTensorNames, GiveUniqueNodeNames, SortGraph
    from qonnx.transformation.infer_data_layouts import InferDataLayouts
    from qonnx.transformation.infer_datatypes import InferDataTypes
    from qonnx.transformation.infer_shapes import InferShapes

    for step in (
        MoveTransposePastFork(),
        AbsorbConsecutiveTransposes(),
        AbsorbTransposeIntoMultiThreshold(),
        MakeMaxPoolNHWC(),
        AbsorbConsecutiveTransposes(),
        MoveLinearPastFork(),
        MoveLinearPastEltwiseAdd(),
    ):
        model = model.transform(step)
        for tidy in (InferShapes(), SortGraph(), InferDataTypes(), InferDataLayouts()):
            model = model.transform(tidy)
    model = model.transform(Streamline())
    for tidy in (SortGraph(), GiveUniqueNodeNames(), GiveReadableTensorNames(), InferDataTypes()):
        model = model.transform(tidy)
    return model


def _signature(model: Any) -> list[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    return [(node.op_type, tuple(node.input), tuple(node.output)) for node in model.graph.node]


def _adds_channels_last(model: Any) -> Any:
    """Additions of two frames with the channels last, as all other layers have them."""
    from onnx import TensorProto, helper
    from qonnx.transformation.general import SortGraph
    from qonnx.transformation.infer_data_layouts import InferDataLayouts

    graph = model.graph

    def between(like: str, shape: list[int]) -> str:
        info = helper.make_tensor_value_info(model.make_new_valueinfo_name(), TensorProto.FLOAT, shape)
        graph.value_info.append(info)
        model.set_tensor_datatype(info.name, model.get_tensor_datatype(like))
        return str(info.name)

    for node in [n for n in graph.node if joins(model, n)]:
        shape = model.get_tensor_shape(node.output[0])
        if len(shape) != 4:
            continue
        last = [shape[axis] for axis in (0, 2, 3, 1)]
        for index, name in enumerate(node.input):
            node.input[index] = between(name, last)
            graph.node.append(helper.make_node("Transpose", [name], [node.input[index]], perm=[0, 2, 3, 1]))
        result = node.output[0]
        node.output[0] = between(result, last)
        graph.node.append(helper.make_node("Transpose", [node.output[0]], [result], perm=[0, 3, 1, 2]))
    return model.transform(SortGraph()).transform(InferDataLayouts())


def _merge_transposes(model: Any) -> Any:
    """One transposition where a tensor has several equal ones."""
    from qonnx.transformation.general import GiveReadableTensorNames, GiveUniqueNodeNames

    graph = model.graph
    first: dict[tuple[str, tuple[int, ...]], str] = {}
    for node in [n for n in graph.node if n.op_type == "Transpose"]:
        key = (node.input[0], tuple(node.attribute[0].ints))
        if key not in first or node.output[0] == graph.output[0].name:
            first[key] = node.output[0]
            continue
        for taker in model.find_consumers(node.output[0]) or ():
            for index, name in enumerate(taker.input):
                if name == node.output[0]:
                    taker.input[index] = first[key]
        graph.node.remove(node)
    return model.transform(GiveUniqueNodeNames()).transform(GiveReadableTensorNames())
