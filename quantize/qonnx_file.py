"""A Brevitas network as a QONNX file: cleaned, with telling names, the same bytes every time."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from brevitas.export import export_qonnx
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.util.cleanup import cleanup_model

from dwell.errors import InternalError

_PARAMETERS = ("", "scale", "zero_point", "bits")


def write_qonnx(network: torch.nn.Module, layers: Sequence[str], side: int, path: Path) -> dict[str, str]:
    """Write `network`, frames (1, 1, side, side) in, scores out; `layers` are its convolutions in order.

    Returns the ONNX tensor that leaves each quantizer, by the quantizer's name.
    """
    network.eval()
    with tempfile.TemporaryDirectory() as scratch:
        raw = Path(scratch) / "raw.onnx"
        export_qonnx(network, torch.zeros(1, 1, side, side), export_path=str(raw))
        model = cleanup_model(ModelWrapper(str(raw))).model
    _forget_origin(model)
    names, tensors = _names(model.graph, layers)
    _rename(model.graph, names)
    model.graph.name = "dwell"
    path.write_bytes(model.SerializeToString(deterministic=True))
    return tensors


def _forget_origin(model: Any) -> None:
    """Stack traces and paths of the machine that exported it are no part of a network."""
    graph = model.graph
    things = (*graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer)
    for thing in (model, graph, *things):
        thing.ClearField("metadata_props")
        thing.ClearField("doc_string")
    model.ClearField("functions")


def _names(graph: Any, layers: Sequence[str]) -> tuple[dict[str, str], dict[str, str]]:
    """New names of tensors, and the tensor that leaves each quantizer."""
    made_by = {node.output[0]: node for node in graph.node}
    new = {graph.input[0].name: "frames", graph.output[0].name: "scores"}
    tensors: dict[str, str] = {}

    def name_quant(node: Any, called: str) -> None:
        for tensor, part in zip(node.input, _PARAMETERS, strict=True):
            new.setdefault(tensor, f"{called}_{part}" if part else f"{called}_float")
        new[node.output[0]] = called

    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    if len(convolutions) != len(layers):
        raise InternalError(f"{len(convolutions)} convolutions were exported, not {len(layers)}")
    source = "input"
    for layer, conv in zip(layers, convolutions, strict=True):
        data, weight, bias = (made_by[tensor] for tensor in conv.input)
        new.setdefault(conv.output[0], f"{layer}_sum")
        if data.op_type == "Quant" and data.input[0] in made_by:
            new[data.input[0]] = f"{source}_relu"
        tensors[source] = "input_quantized" if source == "input" else f"{source}_quantized"
        name_quant(data, tensors[source])
        name_quant(weight, f"{layer}_weight")
        name_quant(bias, f"{layer}_bias")
        source = layer
    return new, tensors


def _rename(graph: Any, names: dict[str, str]) -> None:
    for node in graph.node:
        node.input[:] = [names.get(t, t) for t in node.input]
        node.output[:] = [names.get(t, t) for t in node.output]
        node.name = f"{node.op_type}_{node.output[0]}"
    for thing in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
        thing.name = names.get(thing.name, thing.name)
    for annotation in graph.quantization_annotation:
        annotation.tensor_name = names.get(annotation.tensor_name, annotation.tensor_name)
    kept = sorted(graph.initializer, key=lambda i: i.name)
    shapes = sorted(graph.value_info, key=lambda v: v.name)
    del graph.initializer[:], graph.value_info[:]
    graph.initializer.extend(kept)
    graph.value_info.extend(shapes)
