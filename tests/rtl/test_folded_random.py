"""Random folded networks over every node that the style carries, code for code, in Icarus."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rtl_frames import check_frames, run_frames

from dwell.hls.qmodel import FixedPoint, Overflow, QModel, Rounding
from dwell.hls.qmodel.build import Builder
from dwell.hls.rtl import RtlOptions, write_design
from dwell.hls.rtl.folded.folding import legal_reuse
from dwell.hls.rtl.folded.plan import LayerIsland, make_plan, matrices_of

pytestmark = pytest.mark.rtl


class Network:
    """Layers drawn one after the other."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.build = Builder()
        size = int(self.rng.choice([4, 6, 8, 9, 12]))
        shape = (size,) if self.rng.integers(3) else (int(self.rng.integers(1, 4)), size)
        kind = FixedPoint(
            bool(self.rng.integers(2)), int(self.rng.integers(1, 8)), int(self.rng.integers(-1, 5))
        )
        self.at = self.build.input("x", shape, kind)
        self.count = 0

    def name(self, kind: str) -> str:
        self.count += 1
        return f"{kind}{self.count}"

    @property
    def channels(self) -> int:
        return self.build.tensor(self.at).shape[-1]

    def dense(self) -> None:
        rng, outputs = self.rng, int(self.rng.choice([1, 3, 4, 6, 10]))
        low = 0 if rng.integers(4) == 0 else -9
        weight = rng.integers(low, 10, (self.channels, outputs))
        weight[:, rng.integers(outputs)] *= int(rng.integers(2))  # now and then an output of the bias alone
        frac = self.build.tensor(self.at).type.frac
        self.at = self.build.dense(
            self.name("dense"), self.at, weight, int(rng.integers(-1, 4)), rng.integers(-60, 61, outputs),
            frac + int(rng.integers(-2, 6)),
        )  # fmt: skip

    def quantize(self) -> None:
        rng, before = self.rng, self.build.tensor(self.at).type
        count = self.channels if rng.integers(2) else 1
        kinds = [
            FixedPoint(bool(rng.integers(2)), int(rng.integers(1, 6)), before.frac - int(rng.integers(0, 6)))
            for _ in range(count)
        ]
        rounding, overflow = rng.choice(list(Rounding)), rng.choice(list(Overflow))
        self.at = self.build.cast(self.name("cast"), self.at, kinds, Rounding(rounding), Overflow(overflow))

    def table(self) -> None:
        rng, span = self.rng, self.build.interval(self.at)
        rows = self.channels if rng.integers(2) else 1
        steps = int(rng.integers(1, 8))
        breaks = np.sort(rng.integers(span.least - 3, span.greatest + 4, (rows, steps)), axis=1)
        levels = rng.integers(-4, 9, (rows, steps + 1))
        self.at = self.build.table(self.name("table"), self.at, breaks, levels, 0)

    def elementwise(self) -> None:
        rng, build = self.rng, self.build
        count = self.channels if rng.integers(2) else 1
        choice = int(rng.integers(6))
        if choice == 0:
            self.at = build.relu(self.name("relu"), self.at)
        elif choice == 1:
            self.at = build.leaky_relu(self.name("leaky"), self.at, rng.integers(1, 4, count), 2)
        elif choice == 2:
            span = build.interval(self.at)
            middle = (span.least + span.greatest) // 2
            self.at = build.clip(self.name("clip"), self.at, middle - 9, middle + 9)
        elif choice == 3:
            frac = build.tensor(self.at).type.frac
            self.at = build.affine(
                self.name("affine"),
                self.at,
                rng.integers(-5, 6, count),
                1,
                rng.integers(-9, 10, count),
                frac + 1,
            )
        elif choice == 4:
            self.table()

    def tail(self) -> None:
        choice = int(self.rng.integers(4))
        if choice == 0:
            self.at = self.build.topk(self.name("top"), self.at, 1 + int(self.rng.integers(self.channels)))


def network(seed: int) -> QModel:
    """Two or three dense layers with what may lie between them."""
    net = Network(seed)
    if net.rng.integers(2):
        net.elementwise()
    for _ in range(int(net.rng.integers(1, 4))):
        net.dense()
        net.elementwise()
        if net.rng.integers(3):
            net.quantize()
        width = net.build.tensor(net.at).type.width
        if width > 14:
            net.quantize()
    net.tail()
    return net.build.finish(f"net{seed}", net.at)


def options(model: QModel, seed: int) -> RtlOptions:
    """Any legal factors, at least one layer folded."""
    rng = np.random.default_rng(seed + 1)
    reuse = {m.name: int(rng.choice(legal_reuse(m.inputs, m.outputs))) for m in matrices_of(model)}
    first = matrices_of(model)[0]
    reuse[first.name] = max(reuse[first.name], legal_reuse(first.inputs, first.outputs)[1])
    return RtlOptions(
        style="folded", reuse=reuse, multiplier=str(rng.choice(["auto", "dsp", "lut"])),  # type: ignore[arg-type]
        latency_cutoff=float(rng.uniform(1, 6)),
    )  # fmt: skip


def check(seed: int, folder: Path) -> None:
    model = network(seed)
    design = write_design(model, options(model, seed), folder / "d")
    kind, shape = model.tensors[model.input].type, model.tensors[model.input].shape
    x = np.random.default_rng(seed).integers(kind.lo, kind.hi + 1, (20, *shape))
    x[0], x[1] = kind.lo, kind.hi
    gap, stall = ((0, 0), (30, 40), (0, 80))[seed % 3]
    run = run_frames(design, folder, list(x), gap_percent=gap, stall_percent=stall, seed=seed + 1)
    check_frames(design, model, run, x)
    if not gap and not stall:
        beats, results = design.input.line_beats, design.output.line_beats
        late = run.out_clocks[results - 1 :: results] - run.in_clocks[beats - 1 :: beats]
        assert int(late.max()) <= design.latency_cycles


@pytest.mark.parametrize("seed", range(10))
def test_random_networks(seed: int, tmp_path: Path) -> None:
    check(seed, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 160))
def test_more_random_networks(seed: int, tmp_path: Path) -> None:
    check(seed, tmp_path)


def test_channels_that_differ_and_have_many_steps_are_gathered(tmp_path: Path) -> None:
    rng, build = np.random.default_rng(0), Builder()
    at = build.input("x", (12,), FixedPoint(True, 10, 3))
    at = build.dense("first", at, rng.integers(-99, 100, (12, 6)), 2, rng.integers(-99, 100, 6), 5)
    at = build.affine("scale", at, rng.integers(1, 9, 6), 2, rng.integers(-99, 100, 6), 5)
    at = build.cast("cast", at, [FixedPoint(True, 12, 2)], Rounding.RND_CONV, Overflow.SAT)
    at = build.dense("second", at, rng.integers(-9, 10, (6, 4)), 2, rng.integers(-99, 100, 4), 4)
    model = build.finish("net", at)
    chosen = RtlOptions(style="folded", reuse={"first": 24, "second": 12})
    island = make_plan(model, chosen).islands[0]
    assert isinstance(island, LayerIsland) and island.layer.lanes.gathered
    design = write_design(model, chosen, tmp_path / "d")
    x = rng.integers(-512, 512, (30, 12))
    run = run_frames(design, tmp_path, list(x), stall_percent=30, seed=3)
    check_frames(design, model, run, x)
