"""Does the hardware's arithmetic give the golden model's codes? Asked at every conversion."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dwell.errors import InternalError
from dwell.hls.qmodel import Cast, Codes, Conv2D, QModel, Relu, trace_codes, value_range, window_of
from dwell.hls.qmodel.arithmetic import cast_codes
from dwell.hls.qmodel.ranges import accumulator_frac
from dwell.hls.rtl.circuit.builder import Range
from dwell.hls.rtl.lowering import Stage, Window

#: Results compared for each stage, about.
_VECTORS = 2048


def check_stages(model: QModel, stages: Sequence[Stage], seed: int = 0) -> int:
    """Run every stage's circuit beside the interpreter, on random and extreme inputs; return how many codes.

    The circuits are evaluated as the primitives compute, every value held against the bits of its wire.
    Raises `InternalError` naming the stage and the first code that differs.
    """
    codes = _inputs(model, stages, np.random.default_rng(seed))
    tensors = trace_codes(model, codes)
    compared = 0
    for stage in stages:
        source, target = tensors[stage.nodes[0].inputs[0]], tensors[stage.nodes[-1].output]
        frac_in = model.tensors[stage.nodes[0].inputs[0]].type.frac
        frac_out = model.tensors[stage.nodes[-1].output].type.frac
        taps, wanted = _pairs(stage, source, target)
        keep = np.random.default_rng(seed).permutation(len(taps))[:_VECTORS]
        edge = np.unique(np.concatenate([np.arange(min(64, len(taps))), keep]))
        spans = [s.range for s in stage.kernel.circuit.outputs]
        got = _rescale(stage.kernel.circuit.evaluate(_narrow(taps[edge], stage, frac_in)), spans, frac_out)
        _compare(stage, got, wanted[edge])
        compared += got.size + _check_extremes(model, stage, frac_in, frac_out)
    return compared


def _check_extremes(model: QModel, stage: Stage, frac_in: int, frac_out: int) -> int:
    """Every dot product of a streamed layer at both ends of its range, reached by a frame or not."""
    head = stage.nodes[0]
    if stage.window is None or not isinstance(head, Conv2D):
        return 0
    up = np.array([frac_in - span.frac for span in stage.kernel.circuit.inputs], dtype=np.int64)
    low = np.array([span.lo for span in stage.kernel.circuit.inputs], dtype=np.int64) << up
    high = np.array([span.hi for span in stage.kernel.circuit.inputs], dtype=np.int64) << up
    positive = head.weight.reshape(-1, head.weight.shape[-1]).T > 0
    taps = np.concatenate([np.where(positive, high, low), np.where(positive, low, high), [low], [high]])
    shape = (len(taps), stage.window.height, stage.window.width, head.weight.shape[2])
    codes = np.einsum("nyxc,yxco->no", taps.reshape(shape), head.weight)
    frac = accumulator_frac(head, frac_in)
    codes = (codes << (frac - frac_in - head.weight_type.frac)) + (head.bias << (frac - head.bias_frac))
    for node in stage.nodes[1:]:
        if isinstance(node, Relu):
            codes = np.maximum(codes, 0)
        elif isinstance(node, Cast):
            codes = cast_codes(codes, frac, node.types, node.frac, node.rounding, node.overflow)
            frac = node.frac
    spans = [s.range for s in stage.kernel.circuit.outputs]
    _compare(stage, _rescale(stage.kernel.circuit.evaluate(taps >> up), spans, frac_out), codes)
    return int(codes.size)


def _inputs(model: QModel, stages: Sequence[Stage], rng: np.random.Generator) -> Codes:
    """Frames: constant at each extreme, black and white noise, uniform noise, and smooth."""
    kind, shape = model.tensors[model.input].type, model.tensors[model.input].shape
    if stages[0].window is not None:
        rows, columns = window_of(model)
        shape = (rows + 9, columns + 9, shape[-1])
    lows, highs = value_range(model, model.input)
    lo, hi = int(lows.min()), int(highs.max())
    frames: list[npt.NDArray[np.int64]] = [np.full(shape, v, dtype=np.int64) for v in (lo, hi)]
    frames += [rng.choice(np.array([lo, hi]), shape) for _ in range(6)]
    frames += [rng.integers(lo, hi + 1, shape) for _ in range(12)]
    middle = (lo + hi) // 2
    for spread in (0.02, 0.1, 0.3):
        frames += [
            np.clip(rng.normal(middle, spread * (hi - lo + 1), shape).astype(np.int64), lo, hi)
            for _ in range(2)
        ]
    if kind.lo > lo or kind.hi < hi:
        raise InternalError("the input's interval is wider than its type")
    return np.stack(frames).astype(np.int64)


def _pairs(stage: Stage, source: Codes, target: Codes) -> tuple[Codes, Codes]:
    """What goes into a stage and what must come out, one row each."""
    if stage.window is None:
        return source.reshape(-1, source.shape[-1]), target.reshape(-1, target.shape[-1])
    return _unfold(source, stage.window), target.reshape(-1, target.shape[-1])


def _unfold(frames: Codes, window: Window) -> Codes:
    height, width = frames.shape[1] - window.rows, frames.shape[2] - window.columns
    parts = [
        frames[:, y * window.dilation[0] :, x * window.dilation[1] :][:, :height, :width]
        for y in range(window.height)
        for x in range(window.width)
    ]
    return np.concatenate(parts, axis=-1).reshape(height * width * len(frames), -1)


def _narrow(taps: Codes, stage: Stage, frac: int) -> Codes:
    """Codes of the graph's tensor as those of the wires, which may have fewer fraction bits."""
    down = np.array([frac - span.frac for span in stage.kernel.circuit.inputs], dtype=np.int64)
    if np.any(taps & ((np.int64(1) << down) - 1)):
        raise InternalError(f"stage '{stage.name}': an input has bits below its wire")
    return np.asarray(taps >> down, dtype=np.int64)


def _rescale(codes: Codes, spans: Sequence[Range], frac: int) -> Codes:
    return np.asarray(codes << np.array([frac - span.frac for span in spans], dtype=np.int64), dtype=np.int64)


def _compare(stage: Stage, got: Codes, wanted: Codes) -> None:
    wrong = np.argwhere(got != wanted)
    if len(wrong):
        row, channel = (int(v) for v in wrong[0])
        raise InternalError(
            f"stage '{stage.name}': the circuit gives {got[row, channel]}, "
            f"the golden model {wanted[row, channel]} "
            f"(vector {row}, channel {channel}; {len(wrong)} of {got.size} differ)"
        )
