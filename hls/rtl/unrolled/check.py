"""Does the circuit give the golden model's codes, at every tensor? Asked at every conversion."""

from __future__ import annotations

import numpy as np

from dwell.errors import InternalError
from dwell.hls.qmodel import Codes, QModel, run_codes, trace_codes
from dwell.hls.rtl.circuit.values import Value
from dwell.hls.rtl.unrolled.lower import Lowered, Values

#: Samples compared.
VECTORS = 1024

#: Codes of the circuit's nodes held at a time.
_CELLS = 1 << 24


def check_network(model: QModel, small: QModel, lowered: Lowered, seed: int = 0) -> int:
    """Run the circuit of `small`, a simplified `model`, beside the interpreter; return how many codes were equal.

    Every tensor of `small` is compared, and the output also with that of `model` itself.

    Every node of the circuit is computed as its primitive does, and held against the bits of its wire.
    Raises `InternalError` naming the tensor and the first code that differs.
    """
    outputs = np.array([Value(signal) for signal in lowered.circuit.outputs], dtype=np.object_)
    outputs = outputs.reshape(model.tensors[model.output].shape)
    samples = _inputs(model, np.random.default_rng(seed))
    step = max(16, min(len(samples), _CELLS // max(len(lowered.circuit.nodes), 1)))
    compared = 0
    for start in range(0, len(samples), step):
        part = samples[start : start + step]
        nodes = lowered.circuit.trace(part.reshape(len(part), -1))
        for name, wanted in trace_codes(small, part).items():
            if name in lowered.values:
                compared += _compare(name, small, lowered.values[name], nodes, wanted, start)
        compared += _compare(model.output, model, outputs, nodes, run_codes(model, part), start)
    return compared


def _compare(name: str, model: QModel, values: Values, nodes: list[Codes], wanted: Codes, start: int) -> int:
    frac = model.tensors[name].type.frac
    flat = wanted.reshape(len(wanted), -1)
    compared = 0
    for place, value in enumerate(values.ravel()):
        if value is None:  # nothing that the output depends on
            continue
        up = value.point - value.signal.range.frac
        codes = (nodes[value.signal.node] << up) + value.added
        codes = np.maximum(codes, 0) if value.relu else codes
        down = max(value.point - frac, 0)  # only a constant has bits below its tensor's, and they are zeros
        got = np.broadcast_to((codes >> down) << max(frac - value.point, 0), len(wanted))
        wrong = np.flatnonzero(got != flat[:, place])
        if len(wrong):
            row = int(wrong[0])
            where = tuple(int(i) for i in np.unravel_index(place, values.shape))
            raise InternalError(
                f"tensor '{name}': the circuit gives {got[row]}, the golden model {flat[row, place]} "
                f"(sample {start + row}, element {where}; {len(wrong)} of {len(got)} differ)"
            )
        compared += len(got)
    return compared


def _inputs(model: QModel, rng: np.random.Generator) -> Codes:
    """Samples: constant at each extreme, of both extremes, uniform, and round the middle at several scales."""
    tensor = model.tensors[model.input]
    lo, hi, shape = tensor.type.lo, tensor.type.hi, tensor.shape
    parts = [
        np.full((1, *shape), value, dtype=np.int64) for value in (lo, hi, 0 if lo < 0 else (lo + hi) // 2)
    ]
    parts.append(rng.choice(np.array([lo, hi]), (VECTORS // 8, *shape)))
    left = VECTORS - sum(len(part) for part in parts)
    scales = (0.3, 0.1, 0.03, 0.01)
    each = left // (len(scales) + 2)
    parts += [
        np.clip(np.rint(rng.normal((lo + hi) / 2, scale * (hi - lo + 1), (each, *shape))), lo, hi).astype(
            np.int64
        )
        for scale in scales
    ]
    parts.append(rng.integers(lo, hi + 1, (left - each * len(scales), *shape)))
    return np.concatenate(parts)
