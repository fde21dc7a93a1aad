"""The matrix units of FINN's graph, for weights that can be written. Runs in environment `finn`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

THRESHOLDS = "thresholds.npz"


def writable(model: Any, yes: bool) -> Any:
    """Let FINN take sums and weights of every layer for as wide as any weights of its type make them, in place.

    Before code is made it is taken back: the memories are ours, and so is the way into them.
    """
    from qonnx.custom_op.registry import getCustomOp

    for node in model.graph.node:
        if node.op_type.startswith("MVAU"):
            getCustomOp(node).set_nodeattr("runtime_writeable_weights", int(yes))
    return model


def matrices(model: Any, out: Path) -> list[dict[str, Any]]:
    """Every matrix unit in the graph's order: its sizes and folds, the lowest weight it takes, the vectors of a frame,
    and the lowest code of the quantizer behind it, None where there is none.

    The thresholds of those quantizers, (1 or channels, steps), go to `THRESHOLDS` in the folder `out`.
    """
    from qonnx.custom_op.registry import getCustomOp

    found: list[dict[str, Any]] = []
    kept: dict[str, Any] = {}
    for node in model.graph.node:
        if not node.op_type.startswith("MVAU"):
            continue
        operation = getCustomOp(node)
        kind = operation.get_input_datatype(1)
        narrow = float(np.min(model.get_initializer(node.input[1]))) > kind.min()
        entry: dict[str, Any] = {
            key.lower(): int(operation.get_nodeattr(key)) for key in ("MW", "MH", "PE", "SIMD")
        }
        entry |= {"layer": node.name, "width": int(kind.bitwidth()), "low": int(kind.min()) + int(narrow)}
        entry["vectors"] = int(np.prod(operation.get_nodeattr("numInputVectors")))
        behind = _quantizer(model, node)
        entry["lowest"] = None
        if behind is not None:
            entry["lowest"] = int(getCustomOp(behind).get_nodeattr("ActVal"))
            kept[node.name] = np.asarray(model.get_initializer(behind.input[1]), dtype=np.int64)
        found.append(entry)
    np.savez(out / THRESHOLDS, **kept)
    return found


def move_thresholds(model: Any, file: Path | None) -> Any:
    """Put the thresholds in `file`, by the layer before them, in place of FINN's."""
    from qonnx.custom_op.registry import getCustomOp

    if file is None:
        return model
    with np.load(file) as arrays:
        wanted = dict(arrays)
    for node in [n for n in model.graph.node if n.name in wanted]:
        behind = _quantizer(model, node)
        model.set_initializer(behind.input[1], wanted[node.name].astype(np.float32))
        getCustomOp(behind).minimize_weight_bit_width(model)
    return model


def _quantizer(model: Any, node: Any) -> Any:
    """The thresholds that a matrix unit's sums go to, if they go there alone."""
    readers = model.find_consumers(node.output[0]) or []
    alone = len(readers) == 1 and readers[0].op_type.startswith("Thresholding")
    return readers[0] if alone else None


def thresholds(folder: Path) -> Mapping[str, Any]:
    """What `matrices` left in `folder`: thresholds by the layer before them."""
    with np.load(folder / THRESHOLDS) as arrays:
        return dict(arrays)
