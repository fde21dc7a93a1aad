"""Folded networks: clocks predicted and measured, mismatches, resources.

    python bench/folded.py [--only tfc|vacancy|small]... [--tfc FILE] [--clocks N] [--vectors N] [--no-synthesis]

- tfc: the 784-64-64-64-10 network of 2-bit weights and activations (`tfc_2w2a.onnx`), dense layers folded to at
  most N clocks each (392). A line is left out where the file is not there.
- vacancy: a network of the vacancy detector's shape (5x5 1>6, 3x3 6>8, 3x3 8>6, 3x3 6>1, 4-bit weights and
  activations, random weights) as a folded stream, weights reloadable, at most 64 clocks a pixel.
- small: 16-8-8-5 with types fixed<12,6> and reuse factor 4, random weights, beside what is reported of
  hls4ml 1.3.0 for 16-8-8 RF4 <12,6> on xc7a35t: 8,749 LUT, 53 DSP, 34 clocks, II 4 (Vitis 2025.2; a figure of
  others, not checked at its source).

All codes of all vectors are compared with the golden model, at full speed and with gaps and stalls. "predicted":
input beats and the reuse factors of all layers added up, for one image through an empty pipeline.
LUT, FF, DSP, BRAM36 by Yosys for xc7z020; MHz estimated, routing not done.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dwell.hls.design import Design
from dwell.hls.frontends.network import network_from_file
from dwell.hls.qmodel import Conv2D, FixedPoint, Overflow, QModel, Rounding
from dwell.hls.qmodel.build import Builder
from dwell.hls.qmodel.random_models import DETECTOR, random_conv_model
from dwell.hls.rtl import RtlOptions, write_design
from dwell.hls.rtl.folded.folding import reuse_for_clocks
from dwell.hls.rtl.folded.plan import matrices_of
from dwell.hls.rtl.folded.window_kernel import window_matrix
from dwell.hls.synthesis import load_board, synthesize_design
from dwell.sim.core_rung import climb_core
from dwell.sim.dut import load_dut
from dwell.sim.vectors import default_frames
from dwell.sim.verilated import RunOptions, VerilatedCore, build_core
from dwell.sim.workload import Frame, Workload


@dataclass(frozen=True)
class Limits:
    """What a line has to keep; None where nothing is asked."""

    lut: int | None = None
    dsp: int | None = None
    bram36: float | None = None
    clocks_ratio: float | None = None
    interval: int | None = None


Case = tuple[QModel, RtlOptions, Limits]


def tfc(given: argparse.Namespace) -> Case | None:
    """The reference network, folded to fit xc7z020."""
    if not given.tfc.is_file():
        print(f"tfc: left out, {given.tfc} is not there")
        return None
    model = network_from_file(given.tfc, FixedPoint(False, 8, 8)).read("tfc")
    reuse = reuse_for_clocks(matrices_of(model), given.clocks)
    return model, RtlOptions(style="folded", reuse=reuse), Limits(53_200, 220, 140, clocks_ratio=1.1)


def vacancy(_: argparse.Namespace) -> Case:
    """A network of the vacancy detector's shape."""
    model = random_conv_model(0, DETECTOR)
    matrices = [window_matrix(node) for node in model.nodes if isinstance(node, Conv2D)]
    options = RtlOptions(style="stream", reuse=reuse_for_clocks(matrices, 64), reload=True)
    return model, options, Limits(5_000, 40, interval=64)


def small(_: argparse.Namespace) -> Case:
    """16-8-8-5, all types fixed<12,6>."""
    rng = np.random.default_rng(0)
    kind, build = FixedPoint(True, 12, 6), Builder()
    at = build.input("x", (16,), kind)
    for number, size in enumerate((8, 8, 5)):
        before = build.tensor(at).shape[0]
        weight = np.clip(np.round(rng.normal(0, 1 / before**0.5, (before, size)) * 64), -2048, 2047).astype(
            np.int64
        )
        bias = np.round(rng.normal(0, 0.2, size) * 64).astype(np.int64)
        at = build.dense(f"dense{number}", at, weight, 6, bias, 6, weight_type=kind)
        at = build.relu(f"relu{number}", at) if number < 2 else at
        at = build.cast(f"cast{number}", at, [kind], Rounding.TRN, Overflow.SAT)
    return build.finish("small", at), RtlOptions(style="folded", reuse=4), Limits(interval=4)


CASES: dict[str, Callable[[argparse.Namespace], Case | None]] = {
    "tfc": tfc,
    "vacancy": vacancy,
    "small": small,
}


def predicted(design: Design) -> int:
    """Clocks of one image by the folding alone: its beats in, then every layer in turn."""
    layers = sum(int(layer.get("clocks_per_frame", 0)) for layer in design.layers)
    return design.input.line_beats + layers


def one_image(design: Design, driver: Path, frame: Frame) -> int:
    """Clocks from the first beat in to the last result out, nothing else in the pipeline."""
    dut = load_dut(design.path)
    work = Workload(dut, [frame])
    expected = work.expected_beats(work.golden())
    options = RunOptions(
        dut.output.size, len(expected), 1, design.latency_cycles, settle_clocks=dut.settle_clocks
    )
    run = VerilatedCore(driver).run(work.beats, options)
    return int(run.out_clocks[-1]) - int(run.in_clocks[0]) + 1


def simulate(name: str, design: Design, vectors: int, limits: Limits) -> bool:
    """Codes and clocks; whether the limits are kept."""
    dut = load_dut(design.path)
    driver = build_core(dut.top, dut.sources)
    frames, extremes = default_frames(dut, vectors, 1)
    result = climb_core(dut, frames, seed=1, stalls=True, extremes=extremes, core=VerilatedCore(driver))
    print(
        f"{name}: {result.windows} decisions compared, {result.mismatches} mismatches ({result.simulator}); "
        f"latency {result.latency_cycles} of at most {design.latency_cycles} clocks at full speed"
    )
    if dut.any_size:
        print(f"{name}: a pixel every {result.ii_cycles} clocks, predicted {design.ii_cycles}")
        return limits.interval is None or (result.ii_cycles or 0) <= limits.interval
    took, sum_of_folds = one_image(design, driver, frames[0]), predicted(design)
    print(
        f"{name}: an image every {result.frame_cycles} clocks, predicted {design.frame_cycles}; one image alone "
        f"{took} clocks, its folds predict {sum_of_folds} (x {took / sum_of_folds:.3f})"
    )
    kept = limits.clocks_ratio is None or took <= limits.clocks_ratio * sum_of_folds
    return kept and (limits.interval is None or design.frame_cycles <= limits.interval)


def synthesize(name: str, design: Design, limits: Limits) -> bool:
    """Resources; whether the limits are kept."""
    result = synthesize_design(design, load_board(design.board))
    cells = result.cells
    print(
        f"{name}: {cells.lut} LUT, {cells.ff} FF, {cells.dsp} DSP, {cells.bram36:g} BRAM36 ({result.tool}); "
        f"{result.timing.fmax_mhz:.0f} MHz estimated"
    )
    pairs = ((cells.lut, limits.lut), (cells.dsp, limits.dsp), (cells.bram36, limits.bram36))
    return all(limit is None or used <= limit for used, limit in pairs)


def main() -> int:
    """Print the lines. Returns 1 if a limit is passed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=list(CASES), action="append")
    parser.add_argument("--tfc", type=Path, default=Path("../shared/data/tfc_2w2a.onnx"))
    parser.add_argument("--clocks", type=int, default=392, help="of a layer of tfc, at most")
    parser.add_argument("--vectors", type=int, default=1000)
    parser.add_argument("--no-synthesis", action="store_true")
    given = parser.parse_args()
    kept = True
    with tempfile.TemporaryDirectory() as folder:
        for name in given.only or CASES:
            case = CASES[name](given)
            if case is None:
                continue
            model, options, limits = case
            design = write_design(model, options, Path(folder) / name)
            folds = [layer for layer in design.layers if "reuse" in layer["kernel"]]
            print(f"{name}: " + ", ".join(f"{f['name']} {f['kernel']['reuse']}" for f in folds), end="; ")
            print(f"{sum(int(f['kernel']['multipliers']) for f in folds)} multipliers")
            good = simulate(name, design, given.vectors, limits)
            if not given.no_synthesis:
                good = synthesize(name, design, limits) and good
            print(f"{name}: {'ok' if good else 'A LIMIT IS PASSED'}")
            kept = kept and good
    return 0 if kept else 1


if __name__ == "__main__":
    raise SystemExit(main())
