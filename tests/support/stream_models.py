"""Small networks for streams of fixed frames, a kind of layer each."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dwell.hls.qmodel import FixedPoint, Overflow, Pooling, QModel, Rounding
from dwell.hls.qmodel.build import Builder

PIXEL = FixedPoint(False, 4, 4)
SAME = (1, 1, 1, 1)
ACT, SIGNED = FixedPoint(False, 3, 2), FixedPoint(True, 4, 3)


class Net:
    """A builder with random weights."""

    def __init__(self, shape: tuple[int, ...] = (6, 8, 2), kind: FixedPoint = PIXEL, seed: int = 1) -> None:
        self.b, self.rng = Builder(), np.random.default_rng(seed)
        self.at = self.b.input("x", shape, kind)

    def conv(
        self,
        name: str,
        source: str,
        cout: int,
        kernel: tuple[int, int] = (3, 3),
        padding: tuple[int, int, int, int] = SAME,
        stride: tuple[int, int] = (1, 1),
        dilation: tuple[int, int] = (1, 1),
        groups: int = 1,
    ) -> str:
        cin = self.b.tensor(source).shape[-1] // groups
        weight = self.rng.integers(-3, 4, (*kernel, cin, cout))
        bias = self.rng.integers(-20, 20, cout)
        return self.b.conv2d(
            name, source, weight, 2, bias, 5, padding=padding, stride=stride, dilation=dilation, groups=groups
        )

    def dense(self, name: str, source: str, cout: int) -> str:
        cin = self.b.tensor(source).shape[-1]
        return self.b.dense(
            name, source, self.rng.integers(-3, 4, (cin, cout)), 2, self.rng.integers(-9, 9, cout), 3
        )

    def cast(self, name: str, source: str, kind: FixedPoint = SIGNED) -> str:
        return self.b.cast(name, source, [kind], Rounding.RND_CONV, Overflow.SAT)

    def finish(self, output: str) -> QModel:
        return self.b.finish("net", output)


def plain() -> QModel:
    net = Net()
    at = net.cast("q1", net.b.relu("r1", net.conv("c1", net.at, 3)), ACT)
    return net.finish(net.cast("q2", net.conv("c2", at, 2)))


def valid() -> QModel:
    net = Net()
    return net.finish(net.cast("q", net.conv("c", net.at, 2, padding=(0, 0, 0, 0))))


def strided() -> QModel:
    net = Net((7, 8, 2))
    at = net.cast("q1", net.conv("c1", net.at, 2, stride=(2, 2), padding=(0, 1, 0, 1)), ACT)
    return net.finish(net.cast("q2", net.conv("c2", at, 2, kernel=(2, 2), padding=(0, 1, 0, 1))))


def dilated() -> QModel:
    net = Net()
    return net.finish(net.cast("q", net.conv("c", net.at, 2, dilation=(2, 2), padding=(2, 2, 2, 2))))


def separable() -> QModel:
    net = Net((6, 8, 4))
    at = net.cast("q1", net.conv("depthwise", net.at, 4, groups=4))
    return net.finish(net.cast("q2", net.conv("pointwise", at, 3, kernel=(1, 1), padding=(0, 0, 0, 0))))


def grouped() -> QModel:
    net = Net((6, 8, 4), seed=3)
    return net.finish(net.cast("q", net.conv("c", net.at, 6, groups=2)))


def max_pool() -> QModel:
    net = Net(kind=FixedPoint(True, 4, 3))
    at = net.b.pool2d("p1", net.at, Pooling.MAX, (2, 2))
    return net.finish(net.b.pool2d("p2", at, Pooling.MAX, (3, 3), (1, 1), SAME))


def average_pool() -> QModel:
    net = Net(kind=FixedPoint(True, 4, 3))
    at = net.b.pool2d("p1", net.at, Pooling.SUM, (2, 2), shift=2)
    return net.finish(net.cast("q", net.b.pool2d("p2", at, Pooling.SUM, (3, 3), (1, 1), SAME)))


def global_pools() -> QModel:
    net = Net(kind=FixedPoint(True, 4, 3))
    mean = net.b.pool2d("mean", net.at, Pooling.SUM, (6, 8), shift=4)
    top = net.b.pool2d("top", net.at, Pooling.MAX, (6, 8))
    both = net.b.concat("both", [net.cast("qm", mean), top])
    return net.finish(net.b.topk("class", net.dense("logits", net.b.flatten("flat", both), 4)))


def residual() -> QModel:
    net = Net()
    a = net.cast("qa", net.b.relu("ra", net.conv("ca", net.at, 2)), ACT)
    b = net.cast("qb", net.conv("cb", a, 2))
    s = net.cast("qs", net.conv("skip", net.at, 2, kernel=(1, 1), padding=(0, 0, 0, 0)))
    total = net.cast("qt", net.b.add("total", b, s))
    return net.finish(net.b.concat("all", [total, a, net.at]))


def product() -> QModel:
    net = Net()
    gate = net.cast("qg", net.conv("gate", net.at, 2))
    return net.finish(net.cast("qp", net.b.multiply("product", gate, net.at)))


def upsampled() -> QModel:
    net = Net((3, 4, 2))
    at = net.cast("q1", net.b.upsample("up", net.at, (2, 2)), ACT)
    return net.finish(net.cast("q2", net.conv("c", at, 2)))


def elementwise() -> QModel:
    net = Net(kind=FixedPoint(True, 5, 3))
    b = net.b
    at = b.affine("affine", net.at, [3, -2], 1, [5, -7], 4)
    at = b.leaky_relu("leaky", at, [1, 3], 3)
    at = b.clip("clip", net.cast("q", at, FixedPoint(True, 6, 4)), -20, 25)
    return net.finish(b.table("table", at, [[-9, 0, 4, 11]], [[-2, 0, 1, 3, 2]], 1))


def flat_tail() -> QModel:
    net = Net((4, 4, 1))
    at = net.cast("q1", net.conv("c1", net.at, 2, stride=(2, 2)), ACT)
    at = net.b.flatten("flat", net.b.relu("r", at))
    at = net.cast("q2", net.dense("d1", at, 5))
    return net.finish(net.b.softmax("soft", net.dense("d2", at, 3), np.arange(60, 0, -1), 6))


def sequence() -> QModel:
    """A convolution in one dimension: one row."""
    net = Net((16, 3))
    at = net.b.reshape("row", net.at, (1, 16, 3))
    at = net.cast("q", net.conv("c", at, 2, kernel=(1, 3), padding=(0, 0, 1, 1)))
    return net.finish(net.b.reshape("back", at, (16, 2)))


def rearranged() -> QModel:
    net = Net((4, 8, 2))
    at = net.b.slice("part", net.b.transpose("turned", net.at, (1, 0, 2)), 2, 1, 2)
    at = net.b.reshape("square", at, (4, 4, 2))
    return net.finish(net.cast("q", net.conv("c", at, 1)))


def wide_vector() -> QModel:
    """More results than go out in one beat."""
    net = Net((4, 4, 2))
    at = net.b.pool2d("sum", net.at, Pooling.SUM, (4, 4))
    return net.finish(net.dense("d", net.b.flatten("flat", at), 80))


LAYERS: dict[str, Callable[[], QModel]] = {
    f.__name__: f
    for f in (
        plain, valid, strided, dilated, separable, grouped, max_pool, average_pool, global_pools, residual,
        product, upsampled, elementwise, flat_tail, sequence, rearranged, wide_vector,
    )
}  # fmt: skip
