"""Every layer as a tiny network, and every style that it may go through: the cells of the support matrix."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from recurrent_nets import FEATURE, lstm_body, rnn_body

from dwell.hls.qmodel import FixedPoint, Overflow, Pooling, QModel, Rounding
from dwell.hls.qmodel.build import Builder
from dwell.hls.qmodel.recurrence import multiplying
from dwell.hls.rtl import RtlOptions
from dwell.hls.rtl.folded.folding import legal_reuse

VECTOR = (6,)
INPUT, SIGNED = FixedPoint(True, 6, 3), FixedPoint(True, 5, 2)


class Net:
    """A network under way: a first layer of its own, then what a row appends."""

    def __init__(self, size: tuple[int, int] | None, seed: int, *, windows: bool = True) -> None:
        self.windows = windows
        self.rng, self.build, self.frame = np.random.default_rng(seed), Builder(), size is not None
        self.source = VECTOR if size is None else (*size, 2)
        self.at = ""
        self._count = 0

    def name(self, kind: str) -> str:
        self._count += 1
        return f"{kind}{self._count}"

    @property
    def shape(self) -> tuple[int, ...]:
        return self.build.tensor(self.at).shape

    @property
    def channels(self) -> int:
        return self.shape[-1]

    def weights(self, *shape: int, bits: int = 4) -> np.ndarray:
        limit = 1 << (bits - 1)
        return self.rng.integers(-limit, limit, shape) * (self.rng.random(shape) < 0.8)

    def start(self, shape: tuple[int, ...], kind: FixedPoint = INPUT) -> None:
        self.at = self.build.input("x", shape, kind)

    def head(self) -> None:
        """Something before the layer in question, as it is in a network: 3 or 4 channels of 5 signed bits."""
        self.start(self.source)
        if self.frame and self.windows:
            self.conv(3, (2, 2))
        else:
            self.dense(3 if self.frame else 4)
        self.cast(SIGNED)

    def conv(
        self, outputs: int, kernel: tuple[int, int], *, groups: int = 1, weight: np.ndarray | None = None,
        **rest: tuple[int, ...],
    ) -> None:  # fmt: skip
        codes = self.weights(*kernel, self.channels // groups, outputs) if weight is None else weight
        bias = self.rng.integers(-40, 40, outputs)
        self.at = self.build.conv2d(
            self.name("conv"),
            self.at,
            codes,
            2,
            bias,
            self.frac + 1,
            groups=groups,
            **rest,  # type: ignore[arg-type]
        )

    def dense(self, outputs: int, weight: np.ndarray | None = None) -> None:
        codes = self.weights(self.channels, outputs) if weight is None else weight
        bias = self.rng.integers(-40, 40, outputs)
        self.at = self.build.dense(self.name("dense"), self.at, codes, 2, bias, self.frac + 1)

    @property
    def frac(self) -> int:
        return self.build.tensor(self.at).type.frac

    def cast(
        self, *types: FixedPoint, rounding: Rounding = Rounding.RND_CONV, overflow: Overflow = Overflow.SAT
    ) -> None:
        self.at = self.build.cast(self.name("cast"), self.at, types, rounding, overflow)

    def table(self, function: Callable[[np.ndarray], np.ndarray]) -> None:
        """A function of the real value in eight bits, by its steps."""
        kind, out = self.build.tensor(self.at).type, FixedPoint(True, 8, 7)
        codes = np.arange(kind.lo, kind.hi + 1)
        levels = np.clip(np.rint(function(codes * kind.step) / out.step), out.lo, out.hi).astype(np.int64)
        steps = np.flatnonzero(np.diff(levels))
        breaks = codes[steps + 1]
        values = levels[[0, *(steps + 1)]]
        self.at = self.build.table(
            self.name("table"), self.at, breaks[None], values[None], out.frac, kind=out
        )

    def pool(
        self, pooling: Pooling, size: tuple[int, int], *, shift: int = 0, **rest: tuple[int, ...]
    ) -> None:
        self.at = self.build.pool2d(
            self.name("pool"),
            self.at,
            pooling,
            size,
            shift=shift,
            **rest,  # type: ignore[arg-type]
        )

    def put(self, method: str, *arguments: object) -> None:
        """Any method of the builder that takes a name and a source first."""
        self.at = getattr(self.build, method)(self.name(method), self.at, *arguments)

    def vector(self) -> None:
        """From a frame to a vector, as the end of a classifier."""
        if len(self.shape) > 1:
            self.put("flatten")
            self.dense(4)
            self.cast(SIGNED)


# ---- rows


def _residual(net: Net, join: str) -> None:
    here = net.at
    if net.frame:
        net.conv(net.channels, (3, 3), padding=(1, 1, 1, 1))
    else:
        net.dense(net.channels)
    net.cast(SIGNED)
    sources = (here, net.at)
    name = net.name(join)
    net.at = net.build.concat(name, sources) if join == "concat" else getattr(net.build, join)(name, *sources)


def _conv1d(net: Net, **rest: tuple[int, ...]) -> None:
    """A line (places, channels), as a frame of one row."""
    net.start((12, 2))
    net.put("reshape", (1, 12, 2))
    net.conv(3, (1, 3), **rest)
    net.cast(SIGNED)
    net.put("reshape", (net.shape[1], 3))


def _separable(net: Net) -> None:
    net.conv(net.channels, (3, 3), groups=net.channels)
    net.cast(SIGNED)
    net.conv(4, (1, 1))


def _roundings(net: Net, phase: int) -> None:
    """Each rounding once, every cast with another overflow, each to two bits less."""
    net.start(net.source, FixedPoint(True, 9, 6))
    shape = (2, 2, net.channels, 2) if net.frame else (net.channels, 3)
    weight = net.rng.integers(-40, 40, shape)
    net.conv(2, (2, 2), weight=weight) if net.frame else net.dense(3, weight)
    kind = FixedPoint(True, net.build.tensor(net.at).type.width, net.frac)
    for index, rounding in enumerate(Rounding):
        kind = replace(kind, width=kind.width - 2, frac=kind.frac - 1)
        overflow = list(Overflow)[(index + phase) % 4]
        net.cast(kind, rounding=rounding, overflow=overflow)


def _per_channel(net: Net) -> None:
    net.conv(3, (2, 2)) if net.frame else net.dense(3)
    net.cast(FixedPoint(True, 5, 2), FixedPoint(False, 0, 0), FixedPoint(False, 3, 1))


def _hard_sigmoid(net: Net) -> None:
    net.put("affine", [1], 2, [2], 2)
    net.put("clip", 0, 1 << net.frac)
    net.cast(FixedPoint(False, 6, 6))


def _wide(net: Net) -> None:
    net.start(net.source, FixedPoint(True, 16, 10))
    if net.frame:
        net.conv(2, (2, 2), weight=net.weights(2, 2, 2, 2, bits=12))
    else:
        net.dense(3, net.weights(net.channels, 3, bits=12))


def _signs(net: Net, ternary: bool) -> None:
    net.head()
    shape = (3, 3, net.channels, 3) if net.frame else (net.channels, 5)
    weight = net.rng.choice([-1, 0, 1] if ternary else [-1, 1], shape)
    net.conv(3, (3, 3), weight=weight) if net.frame else net.dense(5, weight)


def _softmax(net: Net) -> None:
    net.vector()
    falling = np.rint(255 * np.exp(-np.arange(24) / 4)).astype(np.int64)
    net.put("softmax", falling, 7)


def _steps(net: Net, kind: str, *, sequence: bool) -> None:
    """A line (steps, features) through a cell: one that starts at zero, or one that starts elsewhere."""
    net.start((8, 3), FEATURE)
    body = lstm_body(3, 4) if kind == "lstm" else rnn_body(3, 4, 2)
    first = np.zeros(8, dtype=np.int64) if kind == "lstm" else net.rng.integers(-500, 500, 4)
    net.at = net.build.recurrent(net.name(kind), net.at, body, first, sequence=sequence)
    net.cast(SIGNED)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-x))


@dataclass(frozen=True)
class Row:
    """A layer: `make` appends it to a network that has a head, unless `bare`; `form` says what it is of."""

    name: str
    make: Callable[[Net], None]
    form: str = "any"
    bare: bool = False


def _row(name: str, make: Callable[[Net], None], form: str = "any", *, bare: bool = False) -> Row:
    return Row(name, make, form, bare)


SAME3 = {"padding": (1, 1, 1, 1)}

ROWS: tuple[Row, ...] = (
    _row("Dense", lambda net: net.dense(5)),
    _row("Flatten, Dense", lambda net: net.vector(), "frame"),
    _row("Conv2D, valid", lambda net: net.conv(4, (3, 3)), "frame"),
    _row("Conv2D, same", lambda net: net.conv(4, (3, 3), **SAME3), "frame"),
    _row("Conv2D, stride 2", lambda net: net.conv(4, (3, 3), stride=(2, 2)), "frame"),
    _row("Conv2D, stride 2, same", lambda net: net.conv(4, (3, 3), stride=(2, 2), **SAME3), "frame"),
    _row("Conv2D, uneven", lambda net: net.conv(4, (2, 3), stride=(2, 1), padding=(0, 1, 2, 0)), "frame"),
    _row("Conv2D, dilated", lambda net: net.conv(4, (2, 2), dilation=(2, 2)), "frame"),
    _row("Conv2D, 1×1", lambda net: net.conv(5, (1, 1)), "frame"),
    _row("Conv2D, grouped", lambda net: (net.conv(4, (1, 1)), net.conv(6, (2, 2), groups=2)), "frame"),
    _row("Depthwise Conv2D", lambda net: net.conv(net.channels, (3, 3), groups=net.channels), "frame"),
    _row("Depthwise Conv2D, multiplier 2", lambda net: net.conv(6, (2, 2), groups=3), "frame"),
    _row("Separable Conv2D", _separable, "frame"),
    _row("Conv1D, valid", _conv1d, "frame", bare=True),
    _row("Conv1D, causal", lambda net: _conv1d(net, padding=(0, 0, 2, 0)), "frame", bare=True),
    _row("Conv1D, stride 2", lambda net: _conv1d(net, stride=(1, 2)), "frame", bare=True),
    _row("Binary weights", lambda net: _signs(net, False), bare=True),
    _row("Ternary weights", lambda net: _signs(net, True), bare=True),
    _row("16-bit input, 12-bit weights", _wide, bare=True),
    _row("Batch normalization", lambda net: net.put("affine", net.weights(net.channels, bits=6), 3, [5], 4)),
    _row("ReLU", lambda net: net.put("relu")),
    _row("Leaky ReLU", lambda net: net.put("leaky_relu", [3], 4)),
    _row("PReLU", lambda net: net.put("leaky_relu", net.rng.integers(-3, 9, net.channels), 4)),
    _row("Clip (ReLU6, hard tanh)", lambda net: net.put("clip", -3, 7)),
    _row("Hard sigmoid", _hard_sigmoid),
    _row("Sigmoid, by table", lambda net: net.table(_sigmoid)),
    _row("Tanh, by table", lambda net: net.table(np.tanh)),
    _row(
        "Thresholds for each channel",
        lambda net: net.put(
            "table", np.sort(net.rng.integers(-16, 16, (net.channels, 5))), [[0, 1, 2, 3, 4, 5]] * net.channels
        ),
    ),
    *(
        _row(f"Requantize: 7 roundings, overflows from {mode}", lambda net, at=at: _roundings(net, at), bare=True)  # type: ignore[misc]
        for at, mode in enumerate(Overflow)
    ),
    _row("Requantize, a type for each channel", _per_channel),
    _row("Max pooling 2×2", lambda net: net.pool(Pooling.MAX, (2, 2)), "frame"),
    _row("Max pooling 3×3, stride 2, same", lambda net: net.pool(Pooling.MAX, (3, 3), stride=(2, 2), **SAME3), "frame"),
    _row("Average pooling 2×2", lambda net: net.pool(Pooling.SUM, (2, 2), shift=2), "frame"),
    _row("Average pooling 3×3, same", lambda net: net.pool(Pooling.SUM, (3, 3), stride=(1, 1), **SAME3), "frame"),
    _row("Global max pooling", lambda net: net.pool(Pooling.MAX, net.shape[:2]), "frame"),  # type: ignore[arg-type]
    _row("Global average pooling", lambda net: net.pool(Pooling.SUM, net.shape[:2]), "frame"),  # type: ignore[arg-type]
    _row("Add (residual)", lambda net: _residual(net, "add")),
    _row("Multiply (gate)", lambda net: _residual(net, "multiply")),
    _row("Concatenate", lambda net: _residual(net, "concat")),
    _row("Upsampling 2×2", lambda net: net.put("upsample", (2, 2)), "frame"),
    _row("Reshape", lambda net: net.put("reshape", (*net.shape[1::-1], 3) if net.frame else (2, 2))),
    _row("Transpose", lambda net: net.put("transpose", (1, 0, 2)), "frame"),
    _row("Slice", lambda net: net.put("slice", 0, 1, 3)),
    _row("Argmax", lambda net: (net.vector(), net.put("topk", 1))),
    _row("TopK, 3 of 4", lambda net: (net.vector(), net.put("topk", 3))),
    _row("Argmax of each pixel", lambda net: net.put("topk", 1), "frame"),
    _row("Softmax, by table", _softmax),
    _row("LSTM, last step", lambda net: _steps(net, "lstm", sequence=False), "frame", bare=True),
    _row("LSTM, every step", lambda net: _steps(net, "lstm", sequence=True), "frame", bare=True),
    _row("Simple RNN, its own first state", lambda net: _steps(net, "rnn", sequence=True), "frame", bare=True),
)  # fmt: skip


def model_of(row: Row, size: tuple[int, int] | None, *, windows: bool = True) -> QModel:
    """The network of a row, of frames of `size` or of vectors; `windows`: its first layer is a convolution."""
    net = Net(size, sum(row.name.encode()), windows=windows)
    if not row.bare:
        net.head()
    row.make(net)
    return net.build.finish("cell", net.at)


# ---- columns


def _reused(model: QModel, style: str) -> RtlOptions:
    """Each layer with a multiplier used about four times."""
    reuse = {}
    for _, node in multiplying(model):
        outputs = node.weight.shape[-1]
        legal = legal_reuse(node.weight.size // outputs, outputs)
        reuse[node.name] = min(legal, key=lambda factor: abs(factor - 4))
    return RtlOptions(style=style, reuse=reuse or 1)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Column:
    """A style and an io: frames of `size`, or vectors and no windows where `vectors`, if the layer allows."""

    name: str
    options: Callable[[QModel], RtlOptions]
    size: tuple[int, int]
    vectors: bool = False


COLUMNS: Mapping[str, Column] = {
    column.name: column
    for column in (
        Column("unrolled", lambda model: RtlOptions(style="unrolled"), (4, 5)),
        Column("folded", lambda model: _reused(model, "folded"), (4, 5), vectors=True),
        Column("stream", lambda model: RtlOptions(), (6, 8)),
        Column("stream x4", lambda model: RtlOptions(pixels_per_clock=4), (6, 8)),
        Column("stream folded", lambda model: _reused(model, "stream"), (6, 8)),
    )
}


def cell(row: Row, column: Column) -> tuple[QModel, RtlOptions]:
    """The network of a cell, and what to make of it."""
    size = None if column.vectors and row.form != "frame" else column.size
    name = f"{column.name}_{ROWS.index(row)}".replace(" ", "_")
    model = replace(model_of(row, size, windows=not column.vectors), name=name)
    return model, column.options(model)
