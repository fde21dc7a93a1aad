"""The golden interpreter: NumPy, int64, vectorised over frames, chunked to stay in the cache."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from dwell.errors import ConfigError
from dwell.hls.qmodel.arithmetic import float_to_codes
from dwell.hls.qmodel.geometry import is_fully_convolutional, window_of
from dwell.hls.qmodel.graph import QModel, Recurrent
from dwell.hls.qmodel.kernels import evaluate
from dwell.hls.qmodel.nodes import Input
from dwell.hls.qmodel.ranges import intervals_of
from dwell.hls.qmodel.recurrence import first_state, step_codes
from dwell.hls.qmodel.types import Codes, Tensor
from dwell.hls.qmodel.validate import checked

#: Elements of the largest tensor that are worked on at a time, so that memory stays within some 100 MB.
_BATCH = 1 << 22


def quantize_input(model: QModel, x: npt.ArrayLike) -> Codes:
    """Float frames (N, *shape) as codes. Raises `ConfigError` for a wrong shape, NaN or infinity."""
    values = np.asarray(x)
    if values.dtype.kind not in "fiub":
        raise ConfigError(f"frames hold {values.dtype}, not numbers", place=model.input)
    _check_shape(model, values.shape)
    bad = ~np.isfinite(values)
    if bad.any():
        where = tuple(int(i) for i in np.argwhere(bad)[0])
        raise ConfigError(
            f"frame {where[0]} holds {values[where]} at {where[1:]}; {int(bad.sum())} values are not finite",
            hint="replace NaN and infinite pixels before quantizing",
            place=model.input,
        )
    tensor, node = model.tensors[model.input], model.input_node
    if np.any(np.asarray(tensor.offset)):
        values = values - _like(values, tensor.offset)
    if np.any(np.asarray(tensor.scale) != 1.0):
        values = values / _like(values, tensor.scale)
    return float_to_codes(values, tensor.type, node.rounding, node.overflow)


def _like(values: npt.NDArray[Any], numbers: float | tuple[float, ...]) -> npt.NDArray[Any]:
    """`numbers` in the precision of float `values`, in which source frameworks divide as well."""
    return np.asarray(numbers, dtype=values.dtype if values.dtype.kind == "f" else np.float64)


def run_model(model: QModel, x: npt.ArrayLike) -> Codes:
    """Float frames (N, *shape) to output codes (N, ...). Raises `ConfigError` as `quantize_input` does."""
    return run_codes(model, quantize_input(model, x))


def run_codes(model: QModel, codes: npt.ArrayLike) -> Codes:
    """Input codes (N, *shape) to output codes. Raises `ConfigError` for a wrong shape or code.

    Frames are taken a few at a time, so memory stays far below that of a trace.
    """
    given = _check_codes(model, codes)
    nominal = math.prod(model.tensors[model.input].shape)
    largest = max(math.prod(tensor.shape) for tensor in model.tensors.values())
    step = max(1, _BATCH * nominal // (largest * max(1, math.prod(given.shape[1:]))))
    if len(given) <= step:
        return _evaluate(model, given)[model.output]
    first = _evaluate(model, given[:step])[model.output]
    out = np.empty((len(given), *first.shape[1:]), dtype=np.int64)
    out[:step] = first
    for start in range(step, len(given), step):
        out[start : start + step] = _evaluate(model, given[start : start + step])[model.output]
    return out


def trace_model(model: QModel, x: npt.ArrayLike) -> dict[str, Codes]:
    """The codes of every tensor, (N, ...) each, for float frames."""
    return trace_codes(model, quantize_input(model, x))


def trace_codes(model: QModel, codes: npt.ArrayLike) -> dict[str, Codes]:
    """The codes of every tensor, (N, ...) each, for input codes."""
    return _evaluate(model, _check_codes(model, codes), keep=True)


def _check_shape(model: QModel, shape: tuple[int, ...]) -> None:
    want = model.tensors[model.input].shape
    hint = f"frames are (N, {', '.join(map(str, want))})"
    if len(shape) != len(want) + 1:
        raise ConfigError(f"frames of shape {shape}", hint=hint, place=model.input)
    if shape[1:] == want:
        return
    if is_fully_convolutional(model):
        rows, columns = window_of(model)
        if shape[3] != want[2] or shape[1] < rows or shape[2] < columns:
            hint = f"frames are (N, H, W, {want[2]}) with H >= {rows} and W >= {columns}"
            raise ConfigError(f"frames of shape {shape}", hint=hint, place=model.input)
    else:
        raise ConfigError(f"frames of shape {shape}", hint=hint, place=model.input)


def _check_codes(model: QModel, codes: npt.ArrayLike) -> Codes:
    given = np.asarray(codes)
    if given.dtype.kind not in "iu":
        raise ConfigError(f"input codes are {given.dtype}, not integers", place=model.input)
    _check_shape(model, given.shape)
    kind = model.tensors[model.input].type
    if given.size and (int(given.min()) < kind.lo or int(given.max()) > kind.hi):
        raise ConfigError(
            f"input codes from {given.min()} to {given.max()} do not fit {kind}", place=model.input
        )
    return np.asarray(given, dtype=np.int64)


def _evaluate(model: QModel, codes: Codes, keep: bool = False) -> dict[str, Codes]:
    """All tensors when `keep`, else those that no later node reads are dropped on the way."""
    intervals = intervals_of(checked(model))
    last = {name: index for index, node in enumerate(model.nodes) for name in node.inputs}
    last[model.output] = len(model.nodes)
    live: dict[str, Codes] = {}
    for index, node in enumerate(model.nodes):
        if isinstance(node, Input):
            live[node.output] = codes
        elif keep or node.output in last:  # else a side branch that only quantizers watch
            sources = [model.tensors[name] for name in node.inputs]
            given = [live[name] for name in node.inputs]
            live[node.output] = (
                _run_steps(node, sources[0], given[0])
                if isinstance(node, Recurrent)
                else evaluate(node, sources, model.tensors[node.output], intervals[node.inputs[0]], given)
            )
        if not keep:
            live = {name: value for name, value in live.items() if last[name] > index}
    return live


def _run_steps(node: Recurrent, source: Tensor, codes: Codes) -> Codes:
    """Codes (N, …) of the output for those (N, steps, features) of the input."""
    state = first_state(node, len(codes))
    results = []
    for step in range(codes.shape[1]):
        done = run_codes(node.body, step_codes(node, source.type.frac, codes[:, step], state))
        state = done[:, node.results :]
        if node.sequence or step == codes.shape[1] - 1:
            results.append(done[:, : node.results])
    return np.stack(results, axis=1) if node.sequence else results[-1]
