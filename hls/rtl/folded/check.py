"""Does a folded layer give the golden model's codes? Asked at every conversion, of what its memories hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from dwell.errors import InternalError
from dwell.hls.qmodel import Codes, Conv2D, Dense, Node, Tensor
from dwell.hls.qmodel.kernels import evaluate
from dwell.hls.qmodel.ranges import Interval
from dwell.hls.rtl.circuit.builder import Range
from dwell.hls.rtl.folded.lanes import Lanes
from dwell.hls.rtl.folded.matrix import MatrixUnit
from dwell.hls.rtl.folded.memory import Memory
from dwell.hls.rtl.folded.steps import StepUnit

_VECTORS = 512


def check_layer(
    unit: MatrixUnit,
    lanes: Lanes,
    nodes: Sequence[Node],
    tensors: Mapping[str, Tensor],
    spans: Sequence[Range],
    seed: int = 0,
) -> int:
    """Run a layer's arithmetic from the contents of its memories beside the interpreter; return how many codes.

    `spans` are the intervals of the input vector's elements. Inputs are random and at the ends that make
    each sum largest and smallest. Raises `InternalError` with the first code that differs.
    """
    taps = _inputs(unit, spans, np.random.default_rng(seed))
    sums = fold_sums(unit, taps << np.array([unit.element.frac - s.frac for s in spans]))
    got = _results(unit, lanes, sums)
    wanted = _golden(nodes, tensors, spans, taps)
    up = np.array([tensors[nodes[-1].output].type.frac - span.frac for span in lanes.channels])
    wrong = np.argwhere(got << up != wanted)
    if len(wrong):
        row, channel = (int(v) for v in wrong[0])
        raise InternalError(
            f"layer '{unit.layer}': its folds give {(got << up)[row, channel]}, the golden model "
            f"{wanted[row, channel]} (vector {row}, channel {channel}; {len(wrong)} of {got.size} differ)"
        )
    return int(got.size)


def _inputs(unit: MatrixUnit, spans: Sequence[Range], rng: np.random.Generator) -> Codes:
    low = np.array([s.lo for s in spans], dtype=np.int64)
    high = np.array([s.hi for s in spans], dtype=np.int64)
    positive = unit.weights.T > 0
    rows = [low[None], high[None], np.where(positive, high, low), np.where(positive, low, high)]
    rows.append(rng.integers(low, high + 1, (_VECTORS, len(low))))
    near = rng.integers(-8, 9, (_VECTORS // 4, len(low)))
    rows.append(np.clip(near, low, high))
    return np.concatenate(rows)


def unpacked(word: int, count: int, width: int, *, signed: bool) -> list[int]:
    """The codes in a word of a memory."""
    codes = [(word >> (i * width)) & ((1 << width) - 1) for i in range(count)]
    return [c - (1 << width) if signed and c >> (width - 1) else c for c in codes]


def fold_sums(unit: MatrixUnit, vectors: Codes) -> Codes:
    """Sums (vectors, outputs) fold by fold, from the memories' words; each held against its interval."""
    fold = unit.folding
    weights, starts = unit.memories()
    out = np.empty((len(vectors), fold.outputs), dtype=np.int64)
    half, whole = 1 << (unit.acc_bits - 1), 1 << unit.acc_bits
    for n in range(fold.nf):
        start = unpacked(starts.words[n], fold.pe, unit.acc_bits, signed=True)
        sums = np.tile(np.array(start, dtype=np.int64), (len(vectors), 1))
        for s in range(fold.sf):
            word = weights.words[n * fold.sf + s]
            codes = unpacked(word, fold.simd * fold.pe, unit.weight.width, signed=unit.weight.signed)
            part = np.array(codes, dtype=np.int64).reshape(fold.pe, fold.simd).T
            sums += (vectors[:, s * fold.simd : (s + 1) * fold.simd] @ part) << unit.up
        wrapped = sums & (whole - 1)
        signed = np.where(wrapped >= half, wrapped - whole, wrapped) if unit.sum_range.signed else wrapped
        out[:, n * fold.pe : (n + 1) * fold.pe] = signed
    for channel, span in enumerate(unit.sums):
        if int(out[:, channel].min()) < span.lo or int(out[:, channel].max()) > span.hi:
            raise InternalError(f"layer '{unit.layer}': sum {channel} leaves {span.lo}..{span.hi}")
    return out


def _results(unit: MatrixUnit, lanes: Lanes, sums: Codes) -> Codes:
    if lanes.steps is not None:
        return _searched(lanes.steps, sums)
    if lanes.kernel is None:
        return sums
    if lanes.gathered:
        return lanes.kernel.circuit.evaluate(sums)
    parts = []
    pe = unit.folding.pe
    for n in range(unit.folding.nf):
        parts.append(lanes.kernel.circuit.evaluate(sums[:, n * pe : (n + 1) * pe]))
    return np.concatenate(parts, axis=1)


def _searched(steps: StepUnit, sums: Codes) -> Codes:
    memories: dict[str, Memory] = {memory.kind: memory for memory in steps.memories()}
    out = np.empty(sums.shape, dtype=np.int64)
    for channel in range(sums.shape[1]):
        fold, lane = divmod(channel, steps.pe)
        found = np.zeros(len(sums), dtype=np.int64)
        for stage in range(steps.bits):
            codes = _codes(memories[f"steps_{lane}_{stage}"], steps.source.signed)
            found = found << 1 | (sums[:, channel] >= codes[(fold << stage) + found])
        levels = _codes(memories[f"levels_{lane}"], steps.result.signed)
        out[:, channel] = levels[found if steps.shared else (fold << steps.bits) + found]
    return out


def _codes(memory: Memory, signed: bool) -> npt.NDArray[np.int64]:
    return np.array([unpacked(w, 1, memory.width, signed=signed)[0] for w in memory.words], dtype=np.int64)


def _golden(
    nodes: Sequence[Node], tensors: Mapping[str, Tensor], spans: Sequence[Range], taps: Codes
) -> Codes:
    head = nodes[0]
    source = tensors[head.inputs[0]]
    codes = taps << np.array([source.type.frac - s.frac for s in spans])
    if isinstance(head, Conv2D):
        kh, kw = head.weight.shape[:2]
        codes = codes.reshape(len(codes), kh, kw, -1)
        head = Conv2D(
            head.name, head.inputs, head.output, head.weight, head.weight_type, head.bias, head.bias_frac,
            groups=head.groups,
        )  # fmt: skip
    elif not isinstance(head, Dense):
        raise InternalError(f"{type(head).__name__} '{head.name}' is no layer with multipliers")
    for node in (head, *nodes[1:]):
        flat = codes.reshape(-1, codes.shape[-1])
        span = Interval(tuple(int(v) for v in flat.min(axis=0)), tuple(int(v) for v in flat.max(axis=0)))
        codes = evaluate(node, [tensors[node.inputs[0]]], tensors[node.output], span, [codes])
    return np.asarray(codes.reshape(len(taps), -1), dtype=np.int64)
