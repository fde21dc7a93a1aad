"""How a tensor's pixels lie over the frame that a network reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dwell.hls.qmodel.nodes import JOINING_NODES, LOCAL_NODES, Conv2D, Input, Node, Pool2D


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


def frame_geometry(nodes: Sequence[Node], output: str) -> Geometry | None:
    """The geometry of `output`; None where frames of another size than the nominal one cannot be taken."""
    if not all(isinstance(node, LOCAL_NODES) for node in nodes):
        return None
    known: dict[str, Geometry] = {}
    for node in nodes:
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
    return known[output]


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
