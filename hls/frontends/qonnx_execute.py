"""What QONNX' own kernels compute: the reference on the source framework's side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dwell.hls.frontends.hush import hushed

Floats = npt.NDArray[np.float32]


def execute_qonnx(path: Path, frames: npt.ArrayLike, places: Sequence[str]) -> dict[str, Floats]:
    """Run the file frame by frame: the named tensors and, as ``""``, the output, channels-last, (N, …) each.

    `frames` is (N, H, W, C) of the size the file was exported for.
    """
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.core.onnx_exec import execute_onnx
    from qonnx.transformation.infer_shapes import InferShapes

    model = ModelWrapper(str(path)).transform(InferShapes())
    entry, output = model.graph.input[0].name, model.graph.output[0].name
    found: dict[str, list[Floats]] = {name: [] for name in (*places, "")}
    with hushed():
        for frame in np.asarray(frames, dtype=np.float32):
            fed = np.ascontiguousarray(frame.transpose(2, 0, 1)[None])
            context = execute_onnx(model, {entry: fed}, return_full_exec_context=True)
            for name, values in found.items():
                values.append(_channels_last(context[name or output]))
    return {name: np.stack(values) for name, values in found.items()}


def _channels_last(value: npt.NDArray[np.generic]) -> Floats:
    array = np.asarray(value[0], dtype=np.float32)
    return array.transpose(1, 2, 0) if array.ndim == 3 else array
