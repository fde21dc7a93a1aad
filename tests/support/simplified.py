"""Networks before and after a pass over the integer graph."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dwell.hls.qmodel import (
    FixedPoint,
    Overflow,
    Pooling,
    QModel,
    Rounding,
    run_codes,
    trace_codes,
    value_range,
)
from dwell.hls.qmodel.build import Builder

SIX = FixedPoint(True, 6, 2)


U4 = FixedPoint(False, 4, 0)


def some_codes(model: QModel, seed: int, count: int) -> np.ndarray:
    """Random input codes, random extremes, and frames at both ends of the input's range."""
    rng = np.random.default_rng(seed)
    lo, hi = (int(v[0]) for v in value_range(model, model.input))
    shape = model.tensors[model.input].shape
    ends = rng.choice([lo, hi], (count, *shape))
    flat = [np.full((1, *shape), v) for v in (lo, hi, min(max(0, lo), hi))]
    return np.concatenate([rng.integers(lo, hi + 1, (count, *shape)), ends, *flat])


def assert_same(before: QModel, after: QModel, seed: int = 0, count: int = 500) -> None:
    """Output codes, what they stand for, and the codes of the quantizers that are left."""
    codes = some_codes(before, seed, count)
    assert np.array_equal(run_codes(before, codes), run_codes(after, codes))
    first, second = before.tensors[before.output], after.tensors[after.output]
    assert replace(second, name=first.name, type=first.type) == first and first.type.frac == second.type.frac
    assert before.tensors[before.input] == after.tensors[after.input]
    old, new, tensors = (
        trace_codes(before, codes[:10]),
        trace_codes(after, codes[:10]),
        dict(before.quantizers),
    )
    for source, name in after.quantizers:
        assert np.array_equal(new[name], old[tensors[source]]), source


def dense(build: Builder, source: str, outputs: int, seed: int = 0, name: str = "dense") -> str:
    rng = np.random.default_rng(seed)
    cin = build.tensor(source).shape[-1]
    weight = rng.integers(1, 8, (cin, outputs)) * rng.choice([-1, 1], (cin, outputs))
    return build.dense(name, source, weight, 2, rng.integers(-9, 9, outputs), 3)


def constants() -> QModel:
    """Two layers: of the first's five channels one is constant by its bias, one by a clip, and one unused."""
    build = Builder()
    at = build.input("x", (4, 4, 2), SIX)
    weight = np.random.default_rng(0).integers(1, 8, (1, 1, 2, 5))
    weight[..., 1] = 0
    at = build.conv2d("first", at, weight, 2, [3, 50, -1, 0, 2], 4)
    at = build.relu("r", at)
    types = [FixedPoint(False, 4, 1)] * 5
    types[3] = FixedPoint(False, 0, 1)
    at = build.cast("q", at, types, Rounding.RND, Overflow.SAT)
    at = build.pool2d("p", at, Pooling.SUM, (2, 2))
    weight = np.random.default_rng(1).integers(1, 8, (1, 1, 5, 3))
    weight[:, :, 4] = 0
    at = build.conv2d("second", at, weight, 1, [1, 2, 3], 0)
    return build.finish("n", at, [("in", "x"), ("act", "q")])
