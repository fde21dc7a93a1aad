"""A fully convolutional model row by row: each convolution keeps the rows that its next result still needs.

The arithmetic is the golden interpreter's own, run on the model cut into pieces of one convolution each, so
that a row of pixels costs one row of every layer, not a window of rows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dwell.errors import ConfigError
from dwell.hls.qmodel import Conv2D, Input, Node, QModel, checked, run_codes, window_of

Codes = NDArray[np.int64]


class RowStream:
    """Takes rows (n, W, C) of input codes of one frame after the other, gives rows of score codes."""

    def __init__(self, model: QModel) -> None:
        self._pieces = _pieces(model)
        self._margin = window_of(model)[1] - 1
        self._kept: list[Codes | None] = []
        self.restart()

    def restart(self) -> None:
        """The next row is the first of a frame."""
        self._kept = [None] * len(self._pieces)

    def push(self, rows: Codes) -> Codes:
        """Score rows (m, W - window + 1, 1) that these rows complete; m may be 0."""
        flow = rows
        for index, piece in enumerate(self._pieces):
            before = self._kept[index]
            block = flow if before is None else np.concatenate([before, flow])
            need = window_of(piece)[0]
            self._kept[index] = block[max(0, len(block) - need + 1) :]
            if len(block) < need:
                return np.zeros((0, rows.shape[1] - self._margin, 1), np.int64)
            flow = run_codes(piece, block[None])[0]
        return flow


def _pieces(model: QModel) -> tuple[QModel, ...]:
    """The model cut before each of its convolutions but the first; whole where a cut is not possible."""
    makers = {node.output: node for node in model.nodes}
    path: list[Node] = []
    at = model.output
    while at != model.input:
        node = makers[at]
        path.insert(0, node)
        at = node.inputs[0]
    groups: list[list[Node]] = []
    for node in path:
        if not groups or (isinstance(node, Conv2D) and any(isinstance(n, Conv2D) for n in groups[-1])):
            groups.append([])
        groups[-1].append(node)
    try:
        return tuple(_piece(model, group) for group in groups)
    except ConfigError:
        # Alone, a piece must hold for every code of its input's type; a model may rely on fewer.
        return (model,)


def _piece(model: QModel, group: list[Node]) -> QModel:
    source = group[0].inputs[0]
    names = {source, *(node.output for node in group)}
    entry = Input(f"{group[0].name}_rows", (), source)
    tensors = {name: model.tensors[name] for name in names}
    return checked(
        QModel(f"{model.name}_{group[0].name}", (entry, *group), tensors, source, group[-1].output)
    )
