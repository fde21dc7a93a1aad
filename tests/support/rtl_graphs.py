"""Small graphs that between them hold every node, for the styles that carry any graph."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dwell.hls.qmodel import FixedPoint, Overflow, Pooling, QModel, Rounding
from dwell.hls.qmodel.build import Builder

KIND = FixedPoint(True, 6, 3)


def small(build: Builder, name: str, at: str, rng: np.random.Generator) -> str:
    """A cast to six bits, so that graphs may go on for ever."""
    frac = build.tensor(at).type.frac
    kind = FixedPoint(True, 6, frac - int(rng.integers(0, 4)))
    return build.cast(name, at, [kind], Rounding.RND_CONV, Overflow.SAT)


def residual(build: Builder, at: str, rng: np.random.Generator) -> str:
    """Two branches of different depth over one tensor, added and joined side by side."""
    left = build.conv2d(
        "left", at, rng.integers(-3, 4, (3, 3, 2, 2)), 1, rng.integers(-9, 9, 2), 4, padding=(1, 1, 1, 1)
    )
    left = small(build, "left_q", build.relu("left_r", left), rng)
    right = build.affine("right", at, rng.integers(1, 9, 2), 1, rng.integers(-9, 9, 2), 5)
    total = build.add("total", left, right)
    return build.concat("both", [total, at, left])


def up_and_down(build: Builder, at: str, rng: np.random.Generator) -> str:
    pooled = build.pool2d("pooled", at, Pooling.MAX, (2, 2), padding=(0, 1, 1, 0))
    bigger = build.upsample("bigger", pooled, (2, 2))
    return build.multiply(
        "product", build.slice("cut", bigger, 0, 1, 3), build.slice("here", bigger, 0, 0, 2)
    )


def classes(build: Builder, at: str, rng: np.random.Generator) -> str:
    flat = build.flatten("flat", build.transpose("turned", at, (2, 0, 1)))
    size = build.tensor(flat).shape[0]
    at = build.dense("scores", flat, rng.integers(-3, 4, (size, 5)), 0, rng.integers(-9, 9, 5), 3)
    return build.topk("top", small(build, "scores_q", at, rng), 2)


def probabilities(build: Builder, at: str, rng: np.random.Generator) -> str:
    at = build.reshape("rows", at, (4, 6)) if build.tensor(at).shape == (4, 3, 2) else at
    at = build.dense("scores", at, rng.integers(-3, 4, (6, 3)), 0, rng.integers(-9, 9, 3), 3)
    at = small(build, "scores_q", at, rng)
    return build.softmax("chances", at, [200, 150, 110, 80, 60, 40, 20, 9, 3, 1, 0], 6)


def depthwise(build: Builder, at: str, rng: np.random.Generator) -> str:
    at = build.conv2d(
        "depth", at, rng.integers(-5, 6, (2, 2, 1, 4)), 1, rng.integers(-9, 9, 4), 4,
        groups=2, stride=(2, 1), dilation=(1, 2), padding=(1, 0, 0, 1),
    )  # fmt: skip
    at = build.leaky_relu("leaky", small(build, "depth_q", at, rng), [3], 3)
    return build.pool2d("mean", at, Pooling.SUM, (2, 1), (1, 1), shift=1)


def by_tables(build: Builder, at: str, rng: np.random.Generator) -> str:
    breaks = np.sort(rng.integers(-30, 30, (2, 9)), axis=1)
    at = build.table("table", at, breaks, rng.integers(-20, 20, (2, 10)), 2)
    return build.clip("clip", at, -11, 13)


GRAPHS: dict[str, Callable[[Builder, str, np.random.Generator], str]] = {
    "residual": residual,
    "pool and upsample": up_and_down,
    "classes": classes,
    "probabilities": probabilities,
    "depthwise": depthwise,
    "tables": by_tables,
}


def graph(name: str, seed: int = 0) -> QModel:
    rng = np.random.default_rng(seed)
    build = Builder()
    at = build.input("x", (4, 3, 2), KIND)
    return build.finish(name.replace(" ", "_"), GRAPHS[name](build, at, rng))
