"""Networks with a `Recurrent`, written node by node: cells with one state and with two, and what lies behind them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dwell.hls.qmodel import FixedPoint, Overflow, QModel, Rounding
from dwell.hls.qmodel.build import Builder

FEATURE, STATE, MEMORY, GATE = (
    FixedPoint.parse(t) for t in ("fixed<6,2>", "fixed<6,1>", "fixed<7,3>", "fixed<7,3>")
)
#: Fraction bits of gates, and of the products of two of them, which the state goes round with.
GATE_FRAC, STATE_FRAC = 5, 10


def _table(
    build: Builder, name: str, source: str, function: Callable[[np.ndarray], np.ndarray], high: float
) -> str:
    kind = build.tensor(source).type
    codes = np.arange(kind.lo, kind.hi + 1)
    real = np.clip(function(codes * kind.step), -high, high)
    levels = np.rint(real * (1 << GATE_FRAC)).astype(np.int64)
    steps = np.flatnonzero(np.diff(levels)) + 1
    return build.table(name, source, codes[steps][None], levels[[0, *steps]][None], GATE_FRAC)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return np.asarray(1.0 / (1.0 + np.exp(-x)))


def _parts(build: Builder, sizes: tuple[int, ...], kinds: tuple[FixedPoint, ...]) -> list[str]:
    """The features and the states that a body reads, each in its own type; states are rounded."""
    lowest = FixedPoint(True, 18, STATE_FRAC)
    build.input("taken", (sum(sizes),), lowest)
    names, at = [], 0
    for number, (size, kind) in enumerate(zip(sizes, kinds, strict=True)):
        part = build.slice(f"part{number}", "taken", 0, at, at + size)
        ways = (Rounding.RND, Overflow.SAT) if number else (Rounding.TRN, Overflow.WRAP)
        names.append(build.cast(f"in{number}", part, (kind,), *ways))
        at += size
    return names


def lstm_body(features: int, units: int, seed: int = 0) -> QModel:
    """An LSTM cell, a unit after the other: its state is the hidden codes and those of the memory."""
    rng, build = np.random.default_rng(seed), Builder()
    x, h, c = _parts(build, (features, units, units), (FEATURE, STATE, MEMORY))
    both = build.concat("both", (x, h))
    weight = rng.integers(-7, 8, (features + units, 4 * units))
    sums = build.dense("gates", both, weight, 3, rng.integers(-60, 60, 4 * units), 6)
    pairs = build.reshape("units", build.cast("z", sums, (GATE,), Rounding.RND, Overflow.SAT), (units, 4))
    gates = []
    for number, name in enumerate("ifgo"):
        one = build.slice(f"z{name}", pairs, 1, number, number + 1)
        gates.append(_table(build, name, one, np.tanh if name == "g" else _sigmoid, 31 / 32))
    memory = build.reshape("memory", c, (units, 1))
    kept = build.multiply("kept", gates[1], build.cast("m", memory, (MEMORY,), Rounding.RND, Overflow.SAT))
    aligned = build.cast("held", kept, (FixedPoint(True, 12, STATE_FRAC),), Rounding.TRN, Overflow.SAT)
    new = build.add("new", aligned, build.multiply("fresh", gates[0], gates[2]))
    seen = build.cast("seen", new, (GATE,), Rounding.TRN, Overflow.SAT)
    hidden = build.multiply("hidden", gates[3], _table(build, "tanh", seen, np.tanh, 31 / 32))
    flat, cells = build.flatten("flat", hidden), build.flatten("cells", new)
    return build.finish(
        "lstm_cell", build.concat("given", (flat, flat, cells)), (("cell.z", "z"), ("cell.h", h))
    )


def rnn_body(features: int, units: int, results: int, seed: int = 0) -> QModel:
    """A plain cell whose results are another vector than its state."""
    rng, build = np.random.default_rng(seed), Builder()
    x, h = _parts(build, (features, units), (FEATURE, STATE))
    own = build.dense("own", x, rng.integers(-7, 8, (features, units)), 3, rng.integers(-9, 9, units), 6)
    past = build.dense("past", h, rng.integers(-7, 8, (units, units)), 3, np.zeros(units, dtype=int), 6)
    both = build.add("both", own, past)
    new = build.cast("new", both, (FixedPoint(True, 11, STATE_FRAC),), Rounding.TRN, Overflow.SAT)
    out = build.dense("out", h, rng.integers(-3, 4, (units, results)), 0, np.zeros(results, dtype=int), 0)
    small = build.cast("small", out, (FixedPoint(True, 8, 4),), Rounding.TRN, Overflow.SAT)
    return build.finish("rnn_cell", build.concat("given", (small, new)))


def network(
    body: QModel, steps: int, initial: np.ndarray, *, sequence: bool = False, name: str = "net"
) -> QModel:
    """`body` over `steps` steps, and a dense layer behind it."""
    build, rng = Builder(), np.random.default_rng(5)
    features = body.tensors[body.input].shape[0] - len(initial)
    build.input("x", (steps, features), FEATURE)
    at = build.recurrent("cell", "x", body, initial, sequence=sequence)
    at = build.cast("seen", at, (FixedPoint(True, 7, 5),), Rounding.RND, Overflow.SAT)
    units = build.tensor(at).shape[-1]
    at = build.dense("dense", at, rng.integers(-3, 4, (units, 3)), 1, rng.integers(-9, 9, 3), 3)
    return build.finish(name, at)


def lstm(
    steps: int = 5,
    features: int = 3,
    units: int = 4,
    *,
    seed: int = 0,
    sequence: bool = False,
    name: str = "net",
) -> QModel:
    """An LSTM that starts at zero, and a dense layer."""
    state = np.zeros(2 * units, dtype=np.int64)
    return network(lstm_body(features, units, seed), steps, state, sequence=sequence, name=name)


def rnn(
    steps: int = 5,
    features: int = 3,
    units: int = 4,
    *,
    seed: int = 0,
    sequence: bool = False,
    name: str = "net",
) -> QModel:
    """A plain cell that starts at other codes than zero, and a dense layer."""
    first = np.random.default_rng(seed).integers(-500, 500, units)
    return network(rnn_body(features, units, 2, seed), steps, first, sequence=sequence, name=name)


def frames_of(model: QModel, count: int, seed: int = 1) -> np.ndarray:
    """Input codes (count, steps, features): noise, and the ends of the type."""
    rng, entry = np.random.default_rng(seed), model.tensors[model.input]
    codes = rng.integers(entry.type.lo, entry.type.hi + 1, (count, *entry.shape))
    codes[:2] = entry.type.lo
    codes[2:4] = entry.type.hi
    return codes
