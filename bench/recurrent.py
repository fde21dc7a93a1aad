"""Recurrent layers: clocks and resources of one body for all steps, and of a body for each.

    python bench/recurrent.py [--only NAME]... [--vectors N] [--no-synthesis]

- lstm-R: 16 steps of 8 inputs, 16 units, as the Keras door reads a QKeras LSTM: inputs, states and outputs of 8
  bits, weights of 6, gates of 6 by table; its matrix of 24 by 64 with reuse factor R (16, 96). Random weights.
- gru-body, gru-unrolled: 4 steps of 4 inputs, 6 units, the same types; one body for all steps, with adder graphs
  (style `stream`), and a body for each step, a sample a clock (style `unrolled`).

All codes of all vectors are compared with the golden model, at full speed and with gaps and stalls; clocks are those
of design.json, which the simulation has to show. LUT, FF, DSP, BRAM36 by Yosys for xc7z020; MHz estimated.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from dwell.hls.qmodel import FixedPoint, Overflow, QModel, Rounding
from dwell.hls.qmodel.build import Builder
from dwell.hls.rtl import RtlOptions, write_design
from dwell.hls.synthesis import load_board, synthesize_design
from dwell.sim.core_rung import climb_core
from dwell.sim.dut import load_dut
from dwell.sim.vectors import default_frames

INPUT, STATE, RESULT = (FixedPoint(True, 8, frac) for frac in (5, 6, 6))
WEIGHT_FRAC, GATE_FRAC = 4, 5
#: Fraction bits of a state as it goes round: a gate times a gate, or times a state.
ROUND_FRAC = GATE_FRAC + STATE.frac


def sigmoid(x: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-x)))


def gate(build: Builder, name: str, source: str, function: Callable[[np.ndarray], np.ndarray]) -> str:
    """A table of 6 bits over everything that a sum can be."""
    span, frac = build.interval(source), build.tensor(source).type.frac
    codes = np.arange(span.least, span.greatest + 1)
    levels = np.clip(np.rint(np.ldexp(function(np.ldexp(codes, -frac)), GATE_FRAC)), -31, 31).astype(np.int64)
    steps = np.flatnonzero(np.diff(levels)) + 1
    return build.table(name, source, codes[steps][None], levels[[0, *steps]][None], GATE_FRAC)


def parts(build: Builder, sizes: tuple[int, ...]) -> list[str]:
    """Features and states, each in its own type."""
    build.input("taken", (sum(sizes),), FixedPoint(True, 20, ROUND_FRAC))
    names, at = [], 0
    for number, size in enumerate(sizes):
        cut = build.slice(f"part{number}", "taken", 0, at, at + size)
        way = (Rounding.RND_CONV, Overflow.SAT) if number else (Rounding.TRN, Overflow.WRAP)
        names.append(build.cast(f"own{number}", cut, (STATE if number else INPUT,), *way))
        at += size
    return names


def random_matrix(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    return np.clip(np.rint(rng.normal(0, 8, (rows, columns))), -31, 31).astype(np.int64)


def lstm(features: int, units: int) -> QModel:
    """The body of an LSTM, its gates a unit after the other."""
    rng, build = np.random.default_rng(0), Builder()
    x, h, c = parts(build, (features, units, units))
    both = build.concat("both", (x, h))
    bias = rng.integers(-60, 60, 4 * units)
    sums = build.dense("gates", both, random_matrix(rng, features + units, 4 * units), WEIGHT_FRAC, bias, 8)
    pairs = build.reshape("units", sums, (units, 4))
    i, f, g, o = (
        gate(build, name, build.slice(f"z{name}", pairs, 1, at, at + 1), np.tanh if name == "g" else sigmoid)
        for at, name in enumerate("ifgo")
    )
    kept = build.multiply("kept", f, build.reshape("memory", c, (units, 1)))
    new = build.add("new", kept, build.multiply("fresh", i, g))
    hidden = build.multiply("hidden", o, gate(build, "seen", new, np.tanh))
    fine = build.cast(
        "fine", hidden, (FixedPoint(True, ROUND_FRAC + 1, ROUND_FRAC),), Rounding.TRN, Overflow.SAT
    )
    left = [build.flatten("results", fine), build.flatten("cells", new)]
    return build.finish("lstm_body", build.concat("given", (left[0], *left)))


def gru(features: int, units: int) -> QModel:
    """The body of a GRU, all of its units at once."""
    rng, build = np.random.default_rng(0), Builder()
    x, h = parts(build, (features, units))
    both = build.concat("both", (x, h))
    zr = build.dense(
        "gates",
        both,
        random_matrix(rng, features + units, 2 * units),
        WEIGHT_FRAC,
        rng.integers(-60, 60, 2 * units),
        8,
    )
    z, r = (
        gate(build, name, build.slice(f"s{name}", zr, 0, at * units, (at + 1) * units), sigmoid)
        for at, name in enumerate("zr")
    )
    past = build.cast("past", build.multiply("reset", r, h), (STATE,), Rounding.RND_CONV, Overflow.SAT)
    both2 = build.concat("both2", (x, past))
    candidate = build.dense(
        "candidate",
        both2,
        random_matrix(rng, features + units, units),
        WEIGHT_FRAC,
        rng.integers(-60, 60, units),
        8,
    )
    hh = gate(build, "hh", candidate, np.tanh)
    rest = build.affine("rest", z, [-1], 0, [1], 0)
    new = build.add("new", build.multiply("held", z, h), build.multiply("fresh", rest, hh))
    return build.finish("gru_body", build.concat("given", (new, new)))


def network(body: QModel, steps: int, features: int, states: int) -> QModel:
    """The body over all steps; its last results in 8 bits."""
    build = Builder()
    build.input("x", (steps, features), INPUT)
    at = build.recurrent("cell", "x", body, np.zeros(states, dtype=np.int64))
    return build.finish("recurrent", build.cast("out", at, (RESULT,), Rounding.TRN, Overflow.SAT))


Case = tuple[QModel, RtlOptions]
CASES: dict[str, Callable[[], Case]] = {
    "lstm-16": lambda: (network(lstm(8, 16), 16, 8, 32), RtlOptions(style="folded", reuse={"cell": 16})),
    "lstm-96": lambda: (network(lstm(8, 16), 16, 8, 32), RtlOptions(style="folded", reuse={"cell": 96})),
    "gru-body": lambda: (network(gru(4, 6), 4, 4, 6), RtlOptions(style="stream")),
    "gru-unrolled": lambda: (network(gru(4, 6), 4, 4, 6), RtlOptions(style="unrolled")),
}


def main() -> None:
    """Print a line for each case."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", action="append", choices=CASES)
    parser.add_argument("--vectors", type=int, default=1000)
    parser.add_argument("--no-synthesis", action="store_true")
    given = parser.parse_args()
    for name in given.only or CASES:
        model, options = CASES[name]()
        with tempfile.TemporaryDirectory() as folder:
            design = write_design(model, options, Path(folder) / "design")
            dut = load_dut(design.path)
            frames, extremes = default_frames(dut, given.vectors, 1)
            result = climb_core(dut, frames, seed=1, stalls=True, extremes=extremes)
            steps = next((e["ii_cycles"] for e in design.layers if e["kind"] == "Recurrent"), 0)
            print(
                f"{name}: {result.windows} frames, {result.mismatches} mismatches; a frame every "
                f"{result.frame_cycles} clocks, latency {design.latency_cycles}, a step {steps}",
                flush=True,
            )
            if given.no_synthesis:
                continue
            found = synthesize_design(design, load_board(design.board))
            cells = found.cells
            print(
                f"{name}: {cells.lut} LUT, {cells.ff} FF, {cells.dsp} DSP, {cells.bram36:g} BRAM36 ({found.tool}); "
                f"{found.timing.fmax_mhz:.0f} MHz estimated",
                flush=True,
            )


if __name__ == "__main__":
    main()
