"""Random valid networks over all nodes: one generator, fed by a seed or by hypothesis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np

from dwell.hls.qmodel import nodes as n
from dwell.hls.qmodel.build import Builder
from dwell.hls.qmodel.graph import ELEMENTWISE_NODES, JOINING_NODES, Node, QModel
from dwell.hls.qmodel.kernels import evaluate
from dwell.hls.qmodel.types import Codes, FixedPoint, Overflow, Rounding

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

Item = TypeVar("Item")
NodeKind = type[Node]

_ELEMENTWISE: tuple[NodeKind, ...] = ELEMENTWISE_NODES
_VECTOR: tuple[NodeKind, ...] = (n.Dense, *_ELEMENTWISE, n.TopK, n.Softmax)

_FRAMES: tuple[NodeKind, ...] = (n.Conv2D, n.Pool2D, *JOINING_NODES, n.Upsample, n.Flatten)

#: What the networks of each style are made of, beside their Input.
STYLE_NODES: dict[str, tuple[NodeKind, ...]] = {
    "unrolled": (*_FRAMES, *_VECTOR, n.Transpose, n.Slice, n.Reshape),
    "stream": (*_FRAMES, *_VECTOR),
    "folded": _VECTOR,
}


@dataclass(frozen=True)
class GraphPlan:
    """What a random network may hold; sizes are such that its RTL simulates in seconds.

    `style` picks the kinds of nodes (`STYLE_NODES`), of which `nodes` keeps those named there (a `Cast`
    comes in any case where codes grow wide); `layers` is (fewest, most) blocks, `frame` the longest side of
    an input frame, `channels` the widest last axis, `width` the most bits after a cast, `products` the most
    multiplications of one node for one frame.
    """

    style: str = "unrolled"
    nodes: tuple[NodeKind, ...] | None = None
    layers: tuple[int, int] = (1, 5)
    frame: int = 6
    channels: int = 5
    width: int = 6
    weight_width: int = 5
    products: int = 1500
    roundings: tuple[Rounding, ...] = tuple(Rounding)
    overflows: tuple[Overflow, ...] = tuple(Overflow)
    per_channel: bool = True

    @property
    def allowed(self) -> tuple[NodeKind, ...]:
        kinds = STYLE_NODES[self.style]
        return kinds if self.nodes is None else tuple(kind for kind in kinds if kind in self.nodes)


class Dice(Protocol):
    """Where a network's choices come from."""

    def number(self, lo: int, hi: int) -> int:
        """`lo` to `hi`, both included; `lo` is the simplest."""
        ...

    def array(self, lo: int, hi: int, shape: tuple[int, ...]) -> Codes:
        """Codes from `lo` to `hi`."""
        ...


class SeededDice:
    """Choices of a `numpy.random.Generator`."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def number(self, lo: int, hi: int) -> int:
        return int(self._rng.integers(lo, hi, endpoint=True))

    def array(self, lo: int, hi: int, shape: tuple[int, ...]) -> Codes:
        return np.asarray(self._rng.integers(lo, hi, shape, endpoint=True), dtype=np.int64)


def random_model(source: int | np.random.Generator, plan: GraphPlan | None = None) -> QModel:
    """A valid network over all nodes of a style; the same seed and plan give the same network."""
    rng = np.random.default_rng(source) if isinstance(source, int) else source
    return grow(
        SeededDice(rng), plan or GraphPlan(), f"random{source}" if isinstance(source, int) else "random"
    )


def models(plan: GraphPlan | None = None) -> SearchStrategy[QModel]:
    """A hypothesis strategy of such networks, which shrinks to few and plain nodes."""
    from hypothesis import strategies as st

    class Drawn:
        def __init__(self, draw: Callable[[SearchStrategy[Any]], Any]) -> None:
            self._draw = draw

        def number(self, lo: int, hi: int) -> int:
            return int(self._draw(st.integers(lo, hi)))

        def array(self, lo: int, hi: int, shape: tuple[int, ...]) -> Codes:
            # One draw for all of it: structure is what shrinks, and hypothesis stays quick.
            rng = np.random.default_rng(self._draw(st.integers(0, 2**16)))
            return SeededDice(rng).array(lo, hi, shape)

    @st.composite
    def draw_model(draw: Callable[[SearchStrategy[Any]], Any]) -> QModel:
        return grow(Drawn(draw), plan or GraphPlan(), "drawn")

    return draw_model()


def grow(dice: Dice, plan: GraphPlan, name: str) -> QModel:
    """A network made of the choices of `dice`."""
    growth = _Growth(dice, plan)
    growth.start()
    for _ in range(dice.number(*plan.layers)):
        growth.block()
    growth.end()
    return growth.build.finish(name, growth.at, growth.quantizers)


class _Growth:
    """A network under way: its builder, where it has got to, and codes that some frames have there."""

    def __init__(self, dice: Dice, plan: GraphPlan) -> None:
        self.dice, self.plan, self.build = dice, plan, Builder()
        self.at = ""
        self.quantizers: list[tuple[str, str]] = []
        self._codes: dict[str, Codes] = {}
        self._count = 0

    # ---- choices

    def pick(self, items: Sequence[Item]) -> Item:
        return items[self.dice.number(0, len(items) - 1)]

    def often(self, one_in: int) -> bool:
        """True but once in `one_in`."""
        return self.dice.number(0, one_in - 1) < one_in - 1

    def may(self, *kinds: NodeKind) -> bool:
        return all(kind in self.plan.allowed for kind in kinds)

    # ---- nodes

    @property
    def shape(self) -> tuple[int, ...]:
        return self.build.tensor(self.at).shape

    @property
    def kind(self) -> FixedPoint:
        return self.build.tensor(self.at).type

    @property
    def reached(self) -> Codes:
        return self._codes[self.at]

    def put(
        self, kind: NodeKind, inputs: tuple[str, ...] = (), out: FixedPoint | None = None, **rest: Any
    ) -> str:
        """Append a node that reads `inputs` (else where the network has got to), and go on from it."""
        self._count += 1
        name = f"{kind.__name__.lower()}{self._count}"
        sources = inputs or (self.at,)
        node = kind(name=name, inputs=sources, output=name, **rest)
        self.at = self.build.append(node, out)
        tensors = [self.build.tensor(source) for source in sources]
        interval = self.build.interval(sources[0])
        codes = [self._codes[source] for source in sources]
        self._codes[name] = evaluate(node, tensors, self.build.tensor(name), interval, codes)
        return name

    def start(self) -> None:
        dice, plan = self.dice, self.plan
        shape: tuple[int, ...] = (dice.number(1, plan.channels),)
        if n.Conv2D in plan.allowed and (plan.style == "stream" or self.often(3)):
            shape = (
                dice.number(1, plan.frame),
                dice.number(1, plan.frame),
                dice.number(1, min(3, plan.channels)),
            )
        signed, width = dice.number(0, 1) == 1, dice.number(1, plan.width)
        kind = FixedPoint(signed, width, dice.number(-1, width))
        self.at = self.build.input("x", shape, kind, self.pick(plan.roundings), self.pick(plan.overflows))
        self.quantizers.append(("input", self.at))
        low, high = self.build.interval("x").least, self.build.interval("x").greatest
        self._codes["x"] = dice.array(low, high, (12, *shape))

    def cast(self, bits: int | None = None) -> None:
        """To codes that the frames do reach, so that both rounding and overflow happen."""
        plan, before = self.plan, self.kind
        width = bits or self.dice.number(1, plan.width)
        signed = before.signed and self.often(6)
        used = int(np.abs(self.reached).max()).bit_length() + int(signed)
        frac = max(-20, min(before.frac - used + width + self.dice.number(-1, 1), 20))
        kind = FixedPoint(signed, width, frac)
        types = [kind]
        if plan.per_channel and not self.often(4):
            types = [
                replace(kind, width=self.dice.number(0, width), frac=frac + self.dice.number(-1, 1))
                for _ in range(self.shape[-1])
            ]
        rounding, overflow = self.pick(plan.roundings), self.pick(plan.overflows)
        self.put(n.Cast, types=tuple(types), rounding=rounding, overflow=overflow)
        self.quantizers.append((f"quant{len(self.quantizers)}", self.at))

    def settle(self) -> None:
        """A cast where codes have become wide, and now and then where they have not."""
        if self.kind.width > self.plan.width + 4 or abs(self.kind.frac) > 16 or not self.often(3):
            self.cast()

    # ---- blocks

    def block(self) -> None:
        frame = len(self.shape) == 3
        blocks: list[tuple[Callable[[], None], bool]] = [
            (self.dense, self.may(n.Dense) and not (frame and self.plan.style == "stream")),
            (self.convolution, frame and self.may(n.Conv2D)),
            (self.activation, True),
            (self.pool, frame and self.may(n.Pool2D)),
            (self.convolution, frame and self.may(n.Conv2D)),
            (self.join, self.may(n.Add) or self.may(n.Multiply) or self.may(n.Concat)),
            (self.move, self.may(n.Upsample) or self.may(n.Slice)),
        ]
        self.pick([make for make, can in blocks if can])()
        self.settle()

    def weights(self, shape: tuple[int, ...], outputs: int) -> dict[str, Any]:
        """Weights with zeros among them, and biases of the order of one product."""
        kind = FixedPoint(True, self.dice.number(2, self.plan.weight_width), self.dice.number(0, 4))
        weight = self.dice.array(kind.lo, kind.hi, shape) * (self.dice.array(0, 4, shape) > 0)
        reach = 1 << (kind.width + min(self.kind.width, 8) - 2)
        bias_frac = self.kind.frac + kind.frac + self.dice.number(-1, 1)
        bias = self.dice.array(-reach, reach, (outputs,))
        return {"weight": weight, "weight_type": kind, "bias": bias, "bias_frac": bias_frac}

    def dense(self) -> None:
        before = self.shape
        outputs = self.dice.number(1, self.plan.channels)
        self.put(n.Dense, **self.weights((before[-1], outputs), outputs))
        self.activation()

    def convolution(self, same: bool = False) -> None:
        rows, columns, channels = self.shape
        groups = self.pick([g for g in range(1, channels + 1) if channels % g == 0])
        kernel = [self.dice.number(1, min(3, side)) for side in (rows, columns)]
        sides = zip(kernel, (rows, columns), strict=True)
        dilation = [self.pick([d for d in (1, 2) if (k - 1) * d < side]) for k, side in sides]
        edges = [(k - 1) * d for k, d in zip(kernel, dilation, strict=True)]
        stride = (1, 1) if same else (self.dice.number(1, 2), self.dice.number(1, 2))
        padding = [self.dice.number(0, edge) for edge in (edges[0], edges[0], edges[1], edges[1])]
        if same:
            padding = [edges[0] // 2, edges[0] - edges[0] // 2, edges[1] // 2, edges[1] - edges[1] // 2]
        outputs = channels if same else groups * self.dice.number(1, max(1, self.plan.channels // groups))
        if rows * columns * kernel[0] * kernel[1] * outputs * channels // groups > self.plan.products:
            kernel, dilation, padding = [1, 1], [1, 1], [0, 0, 0, 0]
        self.put(
            n.Conv2D,
            **self.weights((*kernel, channels // groups, outputs), outputs),
            stride=stride,
            dilation=(dilation[0], dilation[1]),
            padding=tuple(padding),
            groups=groups,
        )
        if not same:
            self.activation()

    def activation(self) -> None:
        kinds = [kind for kind in (n.Relu, n.Cast, n.Clip, n.LeakyRelu, n.Affine, n.Table) if self.may(kind)]
        if not kinds:
            return
        kind, low, high = self.pick(kinds), int(self.reached.min()), int(self.reached.max())
        many = self.shape[-1] if self.plan.per_channel and not self.often(2) else 1
        if kind is n.Relu:
            self.put(n.Relu)
        elif kind is n.Cast:
            self.cast()
        elif kind is n.Clip:
            lo = self.dice.number(low, high)
            self.put(n.Clip, lo=lo, hi=self.dice.number(lo, high + 1))
        elif kind is n.LeakyRelu:
            self.put(n.LeakyRelu, slope=self.dice.array(-3, 6, (many,)), slope_frac=self.dice.number(0, 3))
        elif kind is n.Affine:
            given = self.weights((many,), self.shape[-1] if many > 1 else 1)
            self.put(n.Affine, **given)
        else:
            steps, width = self.dice.number(0, 6), self.dice.number(1, self.plan.width)
            out = FixedPoint(self.dice.number(0, 1) == 1, width, self.dice.number(0, width))
            breaks = np.sort(self.dice.array(low - 2, high + 2, (many, steps)), axis=-1)
            self.put(
                n.Table, out=out, breaks=breaks, levels=self.dice.array(out.lo, out.hi, (many, steps + 1))
            )

    def pool(self) -> None:
        size = [self.dice.number(1, min(3, side)) for side in self.shape[:2]]
        if not self.often(4):
            size = list(self.shape[:2])
        stride = (self.dice.number(1, 3), self.dice.number(1, 3))
        reach = [
            self.dice.number(0, side - 1) if not self.often(3) else 0
            for side in (size[0], size[0], size[1], size[1])
        ]
        pooling = self.pick(tuple(n.Pooling))
        shift = self.dice.number(0, 2) if pooling is n.Pooling.SUM else 0
        self.put(
            n.Pool2D,
            pooling=pooling,
            size=(size[0], size[1]),
            stride=stride,
            padding=tuple(reach),
            shift=shift,
        )

    def join(self) -> None:
        """A branch away from here and back: a residual, a gate, or channels side by side."""
        if self.kind.width > self.plan.width:
            self.cast()
        here = self.at
        if len(self.shape) == 3 and self.may(n.Conv2D) and self.often(2):
            self.convolution(same=True)
            self.cast()
        else:
            self.activation()
        if self.kind.width > self.plan.width:
            self.cast()
        branch = self.at
        same = self.build.tensor(here).shape == self.shape
        joins: list[NodeKind] = [k for k in (n.Add, n.Multiply) if self.may(k) and same]
        room = self.build.tensor(here).shape[-1] + self.shape[-1] <= 2 * self.plan.channels
        if self.may(n.Concat) and (room or not joins):
            joins.append(n.Concat)
        self.put(self.pick(joins), inputs=(here, branch) if self.often(2) else (branch, here))

    def move(self) -> None:
        shape = self.shape
        kinds = [k for k in (n.Slice, n.Upsample, n.Transpose, n.Reshape) if self.may(k)]
        if len(shape) != 3 or max(shape[:2]) > self.plan.frame:
            kinds = [k for k in kinds if k is not n.Upsample]
        kind = self.pick(kinds) if kinds else n.Relu
        if kind is n.Slice:
            axis = self.dice.number(0, len(shape) - 1)
            start = self.dice.number(0, shape[axis] - 1)
            self.put(
                n.Slice, out=self.kind, axis=axis, start=start, stop=self.dice.number(start + 1, shape[axis])
            )
        elif kind is n.Upsample:
            self.put(n.Upsample, factor=(self.dice.number(1, 2), self.dice.number(1, 2)))
        elif kind is n.Transpose:
            left, axes = list(range(len(shape))), []
            while left:
                axes.append(left.pop(self.dice.number(0, len(left) - 1)))
            self.put(n.Transpose, out=self.kind, axes=tuple(axes))
        elif kind is n.Reshape:
            size = int(np.prod(shape))
            rows = self.pick([d for d in range(1, size + 1) if size % d == 0])
            self.put(n.Reshape, out=self.kind, shape=(rows, size // rows))
        elif self.may(n.Relu):
            self.put(n.Relu)

    def end(self) -> None:
        """Classes from a frame, or what there is; a result that stays wide is one too."""
        if len(self.shape) > 1 and self.may(n.Flatten, n.Dense) and not self.often(2):
            self.put(n.Flatten, out=self.kind)
            if self.shape[0] * self.plan.channels <= self.plan.products:
                self.dense()
        if self.kind.width > 24:
            self.cast()
        last = (
            self.pick([None, *(k for k in (n.TopK, n.Softmax) if self.may(k))])
            if len(self.shape) == 1
            else None
        )
        if last is n.TopK:
            self.put(n.TopK, k=self.dice.number(1, min(3, self.shape[-1])))
        elif last is n.Softmax:
            steps = self.dice.array(0, 40, (self.dice.number(1, 12),))
            falling = np.sort(np.concatenate([[64], steps]))[::-1]
            frac = self.dice.number(1, 8)
            self.put(n.Softmax, out=FixedPoint(False, frac, frac), exponentials=falling, frac=frac)
