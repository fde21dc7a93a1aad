"""Kernels of every node, their circuits against the golden model's own nodes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from dwell.errors import InternalError
from dwell.hls.qmodel import FixedPoint, Overflow, Pooling, QModel, Rounding, intervals_of
from dwell.hls.qmodel.build import Builder
from dwell.hls.rtl.circuit.builder import CircuitBuilder, Lookup, Range
from dwell.hls.rtl.circuit.tables import steps
from dwell.hls.rtl.kernel.make import check_kernel, make_kernel, pixel_ranges

pytestmark = pytest.mark.fast

KIND = FixedPoint(True, 6, 3)
Maker = Callable[[Builder, str, np.random.Generator], str]


def quantizer(build: Builder, at: str, rng: np.random.Generator) -> str:
    """A cast with its own type for each channel, some of them of no width."""
    before = build.tensor(at)
    kinds = [
        FixedPoint(bool(rng.integers(2)), int(rng.integers(0, 6)), before.type.frac - int(rng.integers(0, 5)))
        for _ in range(before.shape[-1])
    ]
    return build.cast(
        "cast", at, kinds, Rounding(rng.choice(list(Rounding))), Overflow(rng.choice(list(Overflow)))
    )


def conv(build: Builder, at: str, rng: np.random.Generator, groups: int = 1, cout: int = 4) -> str:
    weight = rng.integers(-7, 8, (2, 3, 4 // groups, cout))
    bias = rng.integers(-99, 99, cout)
    return build.conv2d(
        "conv",
        at,
        weight,
        2,
        bias,
        int(rng.integers(-1, 7)),
        stride=(2, 1),
        padding=(1, 0, 1, 1),
        groups=groups,
    )


def any_table(build: Builder, at: str, rng: np.random.Generator) -> str:
    kind, rows = build.tensor(at).type, int(rng.choice([1, 4]))
    count = int(rng.integers(1, 20))
    breaks = np.sort(rng.integers(kind.lo - 3, kind.hi + 4, (rows, count)), axis=1)
    return build.table("table", at, breaks, rng.integers(-9, 40, (rows, count + 1)) * 4, 3)


MAKERS: dict[str, Maker] = {
    "conv": conv,
    "conv, two groups": lambda b, at, rng: conv(b, at, rng, 2, 6),
    "depthwise": lambda b, at, rng: conv(b, at, rng, 4, 8),
    "dense": lambda b, at, rng: b.dense(
        "dense", at, rng.integers(-9, 9, (4, 3)), 1, rng.integers(-9, 9, 3), 5
    ),
    "affine": lambda b, at, rng: b.affine("affine", at, rng.integers(-9, 9, 4), 2, rng.integers(-9, 9, 4), 6),
    "one affine": lambda b, at, rng: b.affine(
        "affine", at, rng.integers(-9, 9, 1), 2, rng.integers(-9, 9, 1), 1
    ),
    "relu": lambda b, at, rng: b.relu("relu", at),
    "leaky relu": lambda b, at, rng: b.leaky_relu("leaky", at, rng.integers(-20, 20, 4), 3),
    "one leaky relu": lambda b, at, rng: b.leaky_relu("leaky", at, [1], int(rng.integers(0, 4))),
    "clip": lambda b, at, rng: b.clip("clip", at, int(rng.integers(-30, 0)), int(rng.integers(0, 30))),
    "cast": quantizer,
    "table": any_table,
    "max": lambda b, at, rng: b.pool2d("pool", at, Pooling.MAX, (2, 3), (1, 2)),
    "sum": lambda b, at, rng: b.pool2d("pool", at, Pooling.SUM, (3, 2), shift=int(rng.integers(0, 3))),
    "argmax": lambda b, at, rng: b.topk("top", at, 1),
    "top 3": lambda b, at, rng: b.topk("top", at, 3),
    "top of all": lambda b, at, rng: b.topk("top", at, 4),
    "softmax": lambda b, at, rng: b.softmax("softmax", at, -np.sort(-rng.integers(0, 200, 30)) + 1, 5),
    "softmax that reaches one": lambda b, at, rng: b.softmax("softmax", at, [63, 9, 0], 4, 5),
    "add": lambda b, at, rng: b.add("add", at, b.clip("other", at, -5, 9)),
    "multiply": lambda b, at, rng: b.multiply("product", at, b.clip("other", at, -5, 9)),
}


def model_of(maker: Maker, seed: int, *, then: bool) -> QModel:
    rng = np.random.default_rng(seed)
    build = Builder()
    at = build.input("x", (6, 7, 4), KIND)
    at = maker(build, at, rng)
    if then and "cast" not in at:
        at = quantizer(build, build.relu("after", at) if rng.integers(2) and at != "relu" else at, rng)
    return build.finish("net", at)


@pytest.mark.parametrize("then", [False, True], ids=["alone", "quantized"])
@pytest.mark.parametrize("name", MAKERS)
def test_every_node(name: str, then: bool) -> None:
    for seed in range(4):
        model = model_of(MAKERS[name], seed, then=then)
        nodes = [n for n in model.nodes[1:] if n.name != "other"]
        head = nodes[0]
        taps = list(pixel_ranges(model.tensors["x"], intervals_of(model)["x"]))
        if len(head.inputs) == 2:
            taps += pixel_ranges(model.tensors[head.inputs[1]], intervals_of(model)[head.inputs[1]])
        size = getattr(head, "size", None) or (
            head.weight.shape[:2] if name.startswith(("conv", "depth")) else (1, 1)
        )
        taps *= size[0] * size[1]
        kernel = make_kernel(nodes, model.tensors, taps, cutoff=3.0)
        assert check_kernel(kernel, nodes, model.tensors, seed) >= 1024
        assert kernel.latency == kernel.schedule.stages >= 1
        assert len(kernel.circuit.inputs) == len(taps)


def test_the_check_notices_a_wrong_weight() -> None:
    model = model_of(conv, 1, then=True)
    nodes = model.nodes[1:]
    taps = pixel_ranges(model.tensors["x"]) * 6
    other = model_of(conv, 2, then=True).nodes[1:]
    with pytest.raises(InternalError, match=r"golden model|fraction bits"):
        check_kernel(make_kernel(other, model.tensors, taps, cutoff=3.0), nodes, model.tensors)


def test_wires_narrower_than_their_tensor() -> None:
    """Channels with fewer fraction bits and smaller intervals than the tensor's type."""
    for name in ("table", "clip", "leaky relu", "softmax", "affine", "cast", "argmax"):
        model = model_of(MAKERS[name], 7, then=False)
        taps = [Range(-7, 7, 1), Range(0, 3, 3), Range(-2, -1, 2), Range(0, 0, 0)]
        kernel = make_kernel(model.nodes[1:], model.tensors, taps, cutoff=2.0)
        check_kernel(kernel, model.nodes[1:], model.tensors)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 40])
@pytest.mark.parametrize("bits", [3, 7, 12])
def test_steps_as_a_search_and_as_a_rom(bits: int, count: int) -> None:
    rng = np.random.default_rng(bits * 100 + count)
    span = Range(-(1 << (bits - 1)), (1 << (bits - 1)) - 1)
    breaks = np.sort(rng.integers(span.lo, span.hi + 2, count))
    levels = rng.integers(0, 64, count + 1)
    builder = CircuitBuilder([span])
    circuit = builder.finish([steps(builder, builder.taps[0], breaks.tolist(), levels.tolist(), 0)])
    codes = np.arange(span.lo, span.hi + 1)
    wanted = levels[np.searchsorted(breaks, codes, side="right")]
    got = circuit.evaluate(codes[:, None])[:, 0] << -circuit.outputs[0].range.frac
    np.testing.assert_array_equal(got, wanted)
    if bits == 12 and count < 4:
        assert max(len(n.values) for n in circuit.nodes if isinstance(n, Lookup)) <= 4


def test_a_table_of_one_level_is_a_constant() -> None:
    builder = CircuitBuilder([Range(0, 9)])
    assert steps(builder, builder.taps[0], [-3, 20], [1, 5, 7], 0).range == Range(5, 5)


def test_nothing_is_made_twice() -> None:
    builder = CircuitBuilder([Range(0, 9), Range(0, 9)])
    a, b = builder.taps
    assert builder.add(a, b).node == builder.add(a, b).node
    assert builder.larger(a, b).node == builder.larger(a, b).node
    assert builder.negate(a).node != builder.negate(b).node
