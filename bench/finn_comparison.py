"""One network through `finn`, through `rtl` folded, and hls4ml's bounds: clocks, resources, build time, exactness.

    python bench/finn_comparison.py [--only small|tfc] [--tfc FILE] [--rates N,N,…] [--frames N]
                                    [--page FILE] [--again]

- small: a strided convolutional network made here (`bench/brevitas_networks.py`).
- tfc: the 784-64-64-64-10 network of 2-bit weights and activations (`tfc_2w2a.onnx`); left out where it is not there.

Each network goes through FINN at each of the frame rates asked for; the folded design beside it gets the reuse
factors whose clocks a frame come closest. Clocks are measured by simulation, cells are counted by the same Yosys.
Writes the page and a JSON beside it. Needs the environment `finn`. Returns 1 if anything is not exact.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import log, prod
from pathlib import Path

import numpy as np
from finn_page import Estimate, Found, Group, Network, Row, Source, from_json, page, to_json, wrong
from hls4ml_bound import bound, layers_of

from dwell.errors import ConfigError, DwellError, VerificationError
from dwell.hls.convert import read_network
from dwell.hls.design import Design
from dwell.hls.finn.convert import FinnOptions, convert
from dwell.hls.finn.frames import typed
from dwell.hls.frontends.network import QuantizedNetwork, network_from_file
from dwell.hls.gate import compare_frames
from dwell.hls.hls4ml.obstacles import obstacle
from dwell.hls.qmodel import Conv2D, Dense, FixedPoint, QModel, value_range
from dwell.hls.qmodel.build import Builder
from dwell.hls.qmodel.simplify import simplify
from dwell.hls.rtl import RtlOptions, write_design
from dwell.hls.rtl.folded.folding import legal_reuse
from dwell.hls.rtl.folded.window_kernel import window_matrix
from dwell.hls.synthesis import load_board, synthesize_sources
from dwell.sim.compare import Comparison, compare, measure, mismatch_error
from dwell.sim.core_rung import TIMED_FRAMES
from dwell.sim.dut import Dut, load_dut
from dwell.sim.vectors import default_frames
from dwell.sim.verilated import CoreRun, RunOptions, VerilatedCore, build_core
from dwell.sim.workload import Frame, Workload

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reference" / "finn-comparison.md"
BOARD = "pynq-z2"
CLOCK_MHZ = 100.0
RATES = (25_000, 100_000, 400_000)
"""Frames a second that FINN is asked for."""
TRIES = 8
"""Reuse factors tried for a number of clocks a frame."""


@dataclass(frozen=True)
class Case:
    """A network file and the frame rates it is asked for."""

    title: str
    about: str
    path: Path
    rates: tuple[int, ...]


@dataclass(frozen=True)
class Made:
    """A design, the processor time that it took, and its folds in words."""

    design: Design
    seconds: float
    folds: str


# ---- measuring a design


@dataclass(frozen=True)
class Measured:
    """Clocks and mismatches of a design, all from simulation."""

    frame_cycles: int
    first: int
    last: int
    frames: int
    decisions: int
    mismatches: int


def simulate(dut: Dut, count: int) -> Measured:
    """`count` frames back to back at full speed, and one alone, against the golden model."""
    core = VerilatedCore(build_core(dut.top, dut.sources))
    frames, _ = default_frames(dut, count * dut.decisions(dut.input.shape), 1)
    frames = [frames[i % len(frames)] for i in range(max(len(frames), TIMED_FRAMES))]
    work, run, found = _play(dut, core, frames)
    alone, one, lone = _play(dut, core, frames[:1])
    whole = len(run.out_clocks) == work.result_starts[-1] and len(one.out_clocks) == alone.result_starts[-1]
    compared, mismatches = found.compared + lone.compared, found.mismatches + lone.mismatches
    if not whole:  # too few results to say when they come
        return Measured(0, 0, 0, len(frames) + 1, compared, mismatches)
    entered = int(one.in_clocks[0])
    return Measured(
        frame_cycles=measure(work, run).frame_cycles,
        first=int(one.out_clocks[0]) - entered,
        last=int(one.out_clocks[-1]) - entered,
        frames=len(frames) + 1,
        decisions=compared,
        mismatches=mismatches,
    )


def _play(dut: Dut, core: VerilatedCore, frames: Sequence[Frame]) -> tuple[Workload, CoreRun, Comparison]:
    work = Workload(dut, frames)
    expected = work.expected_beats(work.golden())
    options = RunOptions(dut.output.size, len(expected), 1, work.clocks, settle_clocks=dut.settle_clocks)
    run = core.run(work.beats, options)
    found = compare(work, expected, run.beats)
    if run.fault and not found.mismatches:
        raise mismatch_error(dut, found, by="Verilator", fault=run.fault)
    return work, run, found


class Stopwatch:
    """Processor time of this process and of those it has waited for, in seconds."""

    def __init__(self) -> None:
        self._start = self._now()

    def seconds(self) -> float:
        return self._now() - self._start

    @staticmethod
    def _now() -> float:
        uses = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(use.ru_utime + use.ru_stime for use in uses)


def row(flow: str, asked: str, made: Made, golden: QModel, frames: int) -> Row:
    """Everything about one design, whose codes have to be those of `golden`."""
    design = made.design
    found = simulate(replace(load_dut(design.path), model=golden), frames)
    watch = Stopwatch()
    netlist = synthesize_sources(list(design.sources), design.top, load_board(BOARD), timeout_s=3600.0)
    cells = netlist.cells
    return Row(
        flow=flow,
        asked=asked,
        folds=made.folds,
        frame_cycles=found.frame_cycles,
        first=found.first,
        last=found.last,
        lut=cells.lut,
        ff=cells.ff,
        dsp=cells.dsp,
        bram36=cells.bram36,
        mhz=netlist.timing.fmax_mhz,
        build_s=made.seconds,
        synthesis_s=watch.seconds(),
        frames=found.frames,
        decisions=found.decisions,
        mismatches=found.mismatches,
    )


# ---- the flows


def finn_design(network: QuantizedNetwork, model: QModel, rate: int, folder: Path) -> Made:
    """FINN's design for `rate` frames a second."""
    work = folder / "work"
    work.mkdir(parents=True)
    watch = Stopwatch()
    options = FinnOptions(load_board(BOARD).part, BOARD, clock_mhz=CLOCK_MHZ, target_fps=rate)
    design = convert(network.path, model, options, folder / "design", work)
    return Made(design, watch.seconds(), finn_folds(design))


def finn_folds(design: Design) -> str:
    """PE and SIMD of each matrix unit, and what was changed about them."""
    units = [layer for layer in design.layers if layer["kind"] == "MVAU"]
    folds = [f"{unit['name']} PE {unit['kernel']['PE']} SIMD {unit['kernel']['SIMD']}" for unit in units]
    return "; ".join([", ".join(folds), *design.notes])


def rtl_design(model: QModel, clocks: int, folder: Path) -> Made:
    """The folded design whose clocks a frame, as it promises them, come closest to `clocks`."""
    tried: dict[str, Made] = {}
    budget = clocks
    for number in range(TRIES):
        reuse = reuse_factors(model, budget)
        folds = listed(reuse)
        if folds in tried:
            break
        watch = Stopwatch()
        options = RtlOptions(style="folded", reuse=reuse, board=BOARD, clock_mhz=CLOCK_MHZ)
        design = write_design(simplify(model)[0], options, folder / str(number))
        tried[folds] = Made(design, watch.seconds(), folds)
        if design.frame_cycles == clocks:
            break
        budget = max(1, round(budget * clocks / design.frame_cycles))
    return min(tried.values(), key=lambda made: abs(log(made.design.frame_cycles / clocks)))


def listed(reuse: Mapping[str, int]) -> str:
    """Reuse factors in words."""
    return ", ".join(f"{name} {factor}" for name, factor in reuse.items())


def reuse_factors(model: QModel, clocks: int) -> dict[str, int]:
    """For each layer the largest reuse factor with which all results of a frame take at most `clocks` clocks."""
    out = {}
    for node in model.order():
        if isinstance(node, Conv2D | Dense):
            matrix, results = window_matrix(node), prod(model.tensors[node.output].shape[:-1])
            legal = legal_reuse(matrix.inputs, matrix.outputs)
            out[node.name] = max((r for r in legal if r * results <= clocks), default=1)
    return out


def compare_source(network: QuantizedNetwork, count: int) -> Source:
    """`count` random frames through the golden model and through the source network's own kernels."""
    reading = network.reading("network")
    model = reading.model
    low, high = value_range(model, model.input)
    shape = (count, *model.tensors[model.input].shape)
    codes = np.random.default_rng(1).integers(int(low.min()), int(high.max()) + 1, shape)
    try:
        same = compare_frames(reading, network, model.to_real(model.input, codes).astype(np.float32))
    except VerificationError as error:
        return Source("QONNX executor", count, 0, str(error))
    return Source(same.source, same.frames, same.compared, "")


def compare_network(case: Case, frames: int, folder: Path, say: Callable[[str], None]) -> Network:
    """All rows of a network."""
    network = typed(network_from_file(case.path, None))
    source = compare_source(network, frames)
    say(f"golden model against the network: {source.fault or f'{source.codes} codes equal'}")
    model = read_network(network, "network").source
    against = obstacle(model, network)
    groups = []
    for rate in case.rates:
        place = folder / str(rate)
        made = finn_design(network, model, rate, place / "finn")
        golden = made.design.qmodel()
        finn = row("finn", f"{rate:,}/s", made, golden, frames)
        say(_shown(finn))
        ours = rtl_design(golden, finn.frame_cycles, place / "rtl")
        rtl = row("rtl", f"{finn.frame_cycles:,} clocks", ours, golden, frames)
        say(_shown(rtl))
        groups.append(Group(finn, rtl, _estimate(golden, finn.frame_cycles)))
    reason = "" if against is None else f"not possible, for {against[0]!r}: {against[1]}"
    return Network(case.title, case.about, source, reason, tuple(groups))


def _estimate(model: QModel, clocks: int) -> Estimate:
    found = bound(layers_of(model), clocks)
    return Estimate(
        f"{clocks:,} clocks",
        listed(found.reuse),
        found.frame_cycles,
        found.lone_cycles,
        found.dsp,
        found.bram36,
    )


def _shown(found: Row) -> str:
    return (
        f"{found.flow} {found.asked}: a frame every {found.frame_cycles} clocks, {found.last} alone; {found.lut} LUT, "
        f"{found.ff} FF, {found.dsp} DSP, {found.bram36:g} BRAM36; {found.mismatches} wrong of {found.decisions}; "
        f"{found.build_s:.0f} s"
    )


# ---- the command


def cases(given: argparse.Namespace, folder: Path) -> tuple[list[Case], list[str]]:
    """The networks, and why one is left out."""
    chosen, left_out = [], []
    rates = tuple(int(part) for part in given.rates.split(",")) if given.rates else ()
    if given.only in (None, "small"):
        from brevitas_networks import export, strided_cnn

        path = export(strided_cnn(), folder / "small.onnx")
        about = (
            "Made by `bench/brevitas_networks.py`, weights from a seed: frames of 10 × 10, convolutions 3×3 1→4, "
            "3×3 4→6 with stride 2, 3×3 6→3; weights and activations of 4 bits."
        )
        chosen.append(Case("A strided convolutional network", about, path, rates or RATES))
    if given.only in (None, "tfc"):
        about = "784-64-64-64-10, dense, weights and activations of 2 bits, from the QONNX model zoo."
        if given.tfc.is_file():
            chosen.append(Case("`tfc_2w2a.onnx`", about, given.tfc, rates or RATES))
        else:
            left_out.append("`tfc_2w2a.onnx` was not there when this page was made, and is left out.")
    return chosen, left_out


def setup(frames: int, tools: Mapping[str, str]) -> str:
    """What the figures were made with."""
    named = ", ".join(f"{name} {version}" for name, version in tools.items())
    return (
        f"{frames:,} frames a design, among them extremes of the input type. {named}; "
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores."
    )


def tool_versions() -> dict[str, str]:
    """Versions of what made the figures."""
    from importlib.metadata import version

    from dwell.hls.finn.novivado import VERSION
    from dwell.sim.toolchain import find_verilator

    return {
        "FINN+": VERSION,
        "Yosys": version("pyosys"),
        "Verilator": find_verilator().version,
        "hls4ml": version("hls4ml"),
    }


def warm_up(folder: Path) -> None:
    """Build Verilator's own library, which is no design's build time."""
    build = Builder()
    at = build.input("x", (2,), FixedPoint(False, 2, 0))
    weight = np.ones((2, 1), dtype=np.int64)
    model = build.finish("warm", build.dense("d", at, weight, 0, np.zeros(1, dtype=np.int64), 0))
    design = write_design(model, RtlOptions(style="unrolled"), folder)
    build_core(design.top, design.sources)


def parser() -> argparse.ArgumentParser:
    """What the command takes."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--only", choices=("small", "tfc"))
    made.add_argument("--tfc", type=Path, default=ROOT / ".." / "shared" / "data" / "tfc_2w2a.onnx")
    made.add_argument("--rates", help="frames a second, with commas between them")
    made.add_argument("--frames", type=int, default=1000)
    made.add_argument("--page", type=Path, default=PAGE)
    made.add_argument("--again", action="store_true", help="the page from its JSON; measure nothing")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page and its JSON."""
    given = parser().parse_args(arguments)
    try:
        if given.again:
            return write_page(given.page)
        with tempfile.TemporaryDirectory(prefix="dwell-comparison-") as name:
            return _run(given, Path(name))
    except DwellError as error:
        print(f"error: {error}\nhint: {error.hint}", file=sys.stderr)
        return error.exit_code


def _run(given: argparse.Namespace, folder: Path) -> int:
    os.environ["DWELL_CACHE"] = str(folder / "cache")  # build times are of a first build
    warm_up(folder / "warm")
    tools = tool_versions()
    chosen, left_out = cases(given, folder)
    networks = []
    for number, case in enumerate(chosen):
        print(case.title, flush=True)
        made = compare_network(
            case, given.frames, folder / str(number), lambda text: print(f"  {text}", flush=True)
        )
        networks.append(made)
    found = Found(setup(given.frames, tools), tuple(networks), tuple(left_out))
    given.page.parent.mkdir(parents=True, exist_ok=True)
    given.page.with_suffix(".json").write_text(to_json(found))
    return write_page(given.page)


def write_page(path: Path) -> int:
    """The page of the JSON beside it. Returns 1 where something is not exact."""
    try:
        found = from_json(path.with_suffix(".json").read_text())
    except FileNotFoundError as error:
        raise ConfigError(f"{error.filename} is not there", hint="measure: leave --again out") from None
    path.write_text(page(found))
    faults = wrong(found.networks)
    print("\n".join([str(path), *(f"not exact: {fault}" for fault in faults)]))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
