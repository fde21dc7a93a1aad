"""What QONNX' own kernels compute: the reference on the source framework's side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dwell.errors import ConfigError
from dwell.hls.frontends.hush import hushed
from dwell.hls.frontends.onnx_file import Array, OnnxNode, read_onnx
from dwell.hls.frontends.qonnx.kernels import Kernel
from dwell.hls.frontends.reading import INPUT

Floats = npt.NDArray[np.float32]
Order = tuple[int, ...]


def execute_qonnx(
    path: Path, frames: npt.ArrayLike, places: Sequence[str], orders: Mapping[str, Order] | None = None
) -> dict[str, Floats]:
    """Run the file frame by frame: the named tensors and, as ``""``, the output, (N, …) each.

    This is QONNX' executor: node after node, each by onnxruntime or by QONNX itself, one frame at a time.
    `frames` is (N, H, W, C) of the size the file was exported for, or (N, …) with the axes that `orders` gives for
    the input. Values come back with the axes that `orders` gives for their place; without one, channels last.
    """
    graph = read_onnx(path)
    orders = orders or {}
    kernels = [(node, Kernel(node, graph.opsets)) for node in graph.nodes]
    static = dict(graph.constants)
    moving = []
    with hushed():
        for node, kernel in kernels:
            if all(name in static or not name for name in node.inputs):
                static |= _run(node, kernel, static)
            else:
                moving.append((node, kernel))
        found: dict[str, list[Floats]] = {name: [] for name in (*places, "")}
        for frame in np.asarray(frames, dtype=np.float32):
            values = dict(static)
            values[graph.input] = _to_file(frame, orders.get(INPUT, _last(frame.ndim)))
            for node, kernel in moving:
                values |= _run(node, kernel, values)
            for name, kept in found.items():
                value = np.asarray(values[name or graph.output], dtype=np.float32)
                kept.append(_from_file(value, orders.get(name, _last(value.ndim - 1))))
    return {name: np.stack(kept) for name, kept in found.items()}


def _run(node: OnnxNode, kernel: Kernel, values: Mapping[str, Array]) -> dict[str, Array]:
    try:
        made = kernel([values[name] if name else None for name in node.inputs])
    except Exception as error:  # onnxruntime's errors have no common base
        what = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise ConfigError(
            f"{node.label!r} ({node.op}) cannot be executed: {what}",
            hint="the file is no valid network of its ONNX version: see what onnx.checker says, and export it again",
            place=node.label,
        ) from error
    return dict(zip(node.outputs, made, strict=True))


def _last(axes: int) -> Order:
    """Channels last, where a tensor has rows and columns."""
    return (2, 3, 1) if axes == 3 else tuple(range(1, axes + 1))


def _from_file(value: Array, order: Order) -> Floats:
    if value.ndim == len(order):  # the axis of frames was squeezed away
        value = value[None]
    if value.ndim != len(order) + 1:
        return np.asarray(value[0], dtype=np.float32)  # of another shape than the reader's: rung 2 says so
    return np.asarray(value[0].transpose([axis - 1 for axis in order]), dtype=np.float32)


def _to_file(frame: Floats, order: Order) -> Floats:
    back = [order.index(axis) for axis in range(1, len(order) + 1)]
    return np.ascontiguousarray(frame.transpose(back)[None])
