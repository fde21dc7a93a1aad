"""How a tensor's pixels lie over the frame that a network reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dwell.hls.qmodel.graph import JOINING_NODES, LOCAL_NODES, QModel, once_per_graph
from dwell.hls.qmodel.nodes import Conv2D, Input, Pool2D


@dataclass(frozen=True)
class _Axis:
    """One axis of a tensor that has ``(length - lost - 1) // step + 1`` pixels for a frame of `length`.

    Pixel i sees the frame from ``i * step + first`` to ``i * step + last``.
    """

    step: int = 1
    lost: int = 0
    first: int = 0
    last: int = 0

    def windowed(self, reach: int, stride: int, before: int, after: int) -> _Axis:
        """After windows of `reach` every `stride` pixels, with padding before and after."""
        return _Axis(
            self.step * stride,
            self.lost + self.step * (reach - 1 - before - after),
            self.first - self.step * before,
            self.last + self.step * (reach - 1 - before),
        )


@dataclass(frozen=True)
class Geometry:
    """(rows, columns) of a tensor over its frame."""

    rows: _Axis
    columns: _Axis

    @property
    def stride(self) -> tuple[int, int]:
        return self.rows.step, self.columns.step

    @property
    def window(self) -> tuple[int, int]:
        return self.rows.last - self.rows.first + 1, self.columns.last - self.columns.first + 1


def is_fully_convolutional(model: QModel) -> bool:
    """Whether any frame at least the window large is accepted, beside those of the nominal size.

    So it is where all nodes see a neighbourhood only, and branches that meet have strided and cut the
    frame alike.
    """
    return _geometry(model) is not None


def stride_of(model: QModel) -> tuple[int, int]:
    """(rows, columns) of input between neighbouring outputs; (1, 1) when not fully convolutional."""
    geometry = _geometry(model)
    return (1, 1) if geometry is None else geometry.stride


def window_of(model: QModel) -> tuple[int, int]:
    """(rows, columns) of input that one output sees; the whole frame when not fully convolutional."""
    geometry = _geometry(model)
    if geometry is not None:
        return geometry.window
    shape = model.tensors[model.input].shape
    return (shape[0], shape[1]) if len(shape) == 3 else (1, 1)


def centre_of(model: QModel) -> tuple[int, int]:
    """(row, column) of the input pixel, within its window, that an output speaks for."""
    rows, columns = window_of(model)
    return (rows - 1) // 2, (columns - 1) // 2


@once_per_graph
def _geometry(model: QModel) -> Geometry | None:
    """The geometry of the output; None where frames of another size than the nominal one cannot be taken."""
    if len(model.tensors[model.input].shape) != 3:
        return None
    if not all(isinstance(node, LOCAL_NODES) for node in model.nodes):
        return None
    known: dict[str, Geometry] = {}
    for node in model.nodes:
        if isinstance(node, Input):
            known[node.output] = Geometry(_Axis(), _Axis())
            continue
        before = [known[name] for name in node.inputs]
        if isinstance(node, JOINING_NODES):
            rows = _join([g.rows for g in before])
            columns = _join([g.columns for g in before])
            if rows is None or columns is None:
                return None
            known[node.output] = Geometry(rows, columns)
        elif isinstance(node, Conv2D | Pool2D):
            known[node.output] = _windowed(node, before[0])
        else:
            known[node.output] = before[0]
    return known[model.output]


def _join(axes: Sequence[_Axis]) -> _Axis | None:
    """Branches meet on frames of any size only where they have the same number of pixels on all of them."""
    if len({(axis.step, axis.lost) for axis in axes}) != 1:
        return None
    first, last = min(axis.first for axis in axes), max(axis.last for axis in axes)
    return _Axis(axes[0].step, axes[0].lost, first, last)


def _windowed(node: Conv2D | Pool2D, before: Geometry) -> Geometry:
    top, bottom, left, right = node.padding
    if isinstance(node, Conv2D):
        reach = [(node.weight.shape[axis] - 1) * node.dilation[axis] + 1 for axis in (0, 1)]
    else:
        reach = list(node.size)
    return Geometry(
        before.rows.windowed(reach[0], node.stride[0], top, bottom),
        before.columns.windowed(reach[1], node.stride[1], left, right),
    )
