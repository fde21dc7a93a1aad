"""Small dense networks for folded designs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dwell.hls.qmodel import FixedPoint, Overflow, QModel, Rounding
from dwell.hls.qmodel.build import Builder

INPUT = FixedPoint(True, 6, 3)


def dense_net(
    sizes: Sequence[int],
    *,
    seed: int = 0,
    per_channel: bool = False,
    table: bool = False,
    weight_bits: int = 4,
) -> QModel:
    """Dense layers with ReLU and a cast between them, or per-channel casts, or a table for each channel."""
    rng = np.random.default_rng(seed)
    build = Builder()
    at = build.input("x", (sizes[0],), INPUT)
    reach = 1 << (weight_bits - 1)
    for number, size in enumerate(sizes[1:]):
        before = build.tensor(at)
        weight = rng.integers(-reach, reach, (before.shape[0], size))
        kind = FixedPoint(True, weight_bits, 2)
        frac = before.type.frac + 2
        at = build.dense(
            f"dense{number}", at, weight, 2, rng.integers(-99, 100, size), frac, weight_type=kind
        )
        if number == len(sizes) - 2:
            break
        if table:
            span = build.interval(at)
            breaks = np.sort(rng.integers(span.least // 3, span.greatest // 3, (size, 3)), axis=1)
            levels = np.tile(np.arange(-1, 3), (size, 1)) + rng.integers(0, 2, (size, 1))
            at = build.table(f"table{number}", at, breaks, levels, 0)
            continue
        at = build.relu(f"relu{number}", at)
        kind = FixedPoint(False, 4, build.tensor(at).type.frac - 5)
        kinds = [kind]
        if per_channel:
            kinds = [FixedPoint(False, 4, kind.frac + c % 2) for c in range(size)]
        at = build.cast(f"cast{number}", at, kinds, Rounding.RND_CONV, Overflow.SAT)
    return build.finish("net", at)
