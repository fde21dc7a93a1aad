"""Random networks through every style: what is drawn, how it is checked, how a failing one is made small."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path

import numpy as np
from batches import build_batches

from dwell.errors import (
    ConfigError,
    ResourceError,
    ToolFailedError,
    UnsupportedLayerError,
    VerificationError,
)
from dwell.hls.qmodel import Conv2D, Dense, Input, Node, QModel, save_model, window_of
from dwell.hls.qmodel.build import Builder
from dwell.hls.qmodel.random_models import GraphPlan, RandomFamily, random_conv_model, random_model
from dwell.hls.rtl import RtlOptions, write_design
from dwell.hls.rtl.folded.folding import legal_reuse
from dwell.sim.bench.plan import make_plans
from dwell.sim.compare import mismatch_error
from dwell.sim.core_rung import climb_core
from dwell.sim.dut import Dut, load_dut
from dwell.sim.vectors import default_frames
from dwell.sim.verilated import Core, Pauses, RunOptions

WINDOWS = 200
#: Refusals that say why: the network is legal, the style does not carry it.
REFUSALS = (UnsupportedLayerError, ConfigError, ResourceError)


@dataclass(frozen=True)
class Network:
    """A random network and what to make of it."""

    name: str
    model: QModel
    options: RtlOptions


def _unrolled(seed: int, rng: np.random.Generator) -> tuple[QModel, RtlOptions]:
    return random_model(seed, GraphPlan()), RtlOptions(style="unrolled")


def _chain(seed: int, rng: np.random.Generator) -> tuple[QModel, RtlOptions]:
    """Convolutions of stride 1 with no padding, on frames of any size."""
    family = RandomFamily(
        input_channels=int(rng.integers(1, 4)), input_width=int(rng.integers(1, 9)),
        weight_width=int(rng.integers(1, 7)), activation_width=int(rng.integers(1, 7)), dilations=(1, 2),
    )  # fmt: skip
    model = random_conv_model(seed, family)
    return model, RtlOptions(max_width=window_of(model)[1] + int(rng.integers(1, 9)))


def _stream(seed: int, rng: np.random.Generator) -> tuple[QModel, RtlOptions]:
    return random_model(seed, GraphPlan(style="stream")), RtlOptions()


def _lanes(seed: int, rng: np.random.Generator) -> tuple[QModel, RtlOptions]:
    """Several pixels a clock, of which a line has some."""
    lanes = int(rng.choice([2, 4]))
    plan = GraphPlan(style="stream", frame=2 * lanes)
    drawn = (random_model(int(rng.integers(1 << 31)), plan) for _ in itertools.count())
    model = next(m for m in drawn if m.tensors[m.input].shape[1] % lanes == 0)
    return model, RtlOptions(pixels_per_clock=lanes)


def _stream_folded(seed: int, rng: np.random.Generator) -> tuple[QModel, RtlOptions]:
    model = random_model(seed, GraphPlan(style="stream"))
    return model, RtlOptions(reuse=_reuse(model, rng), multiplier=_multiplier(rng))


def _folded(seed: int, rng: np.random.Generator) -> tuple[QModel, RtlOptions]:
    model = random_model(seed, GraphPlan(style="folded"))
    return model, RtlOptions(style="folded", reuse=_reuse(model, rng), multiplier=_multiplier(rng))


def _multiplier(rng: np.random.Generator) -> str:
    return str(rng.choice(["auto", "dsp", "lut"]))


def _reuse(model: QModel, rng: np.random.Generator) -> dict[str, int] | int:
    """A legal reuse factor for each layer that has one."""
    chosen = {}
    for node in model.nodes:
        if isinstance(node, Conv2D | Dense):
            outputs = node.weight.shape[-1]
            chosen[node.name] = int(rng.choice(legal_reuse(node.weight.size // outputs, outputs)))
    return chosen or 1


Draw = Callable[[int, np.random.Generator], tuple[QModel, RtlOptions]]

VARIANTS: Mapping[str, Draw] = {
    "unrolled": _unrolled,
    "chain": _chain,
    "stream": _stream,
    "lanes": _lanes,
    "stream_folded": _stream_folded,
    "folded": _folded,
}


def draw(variant: str, seed: int) -> Network:
    """The network of that variant and seed."""
    rng = np.random.default_rng([seed, sum(variant.encode())])
    model, options = VARIANTS[variant](seed, rng)
    name = f"{variant}{seed}"
    return Network(
        name, replace(model, name=name), replace(options, latency_cutoff=float(rng.uniform(1.5, 6.0)))
    )


@dataclass(frozen=True)
class Failure:
    """A network that failed, and what was said."""

    network: Network
    message: str


@dataclass
class Outcome:
    """What became of many networks."""

    passed: int = 0
    windows: int = 0
    refused: list[str] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)


def check_networks(networks: Iterator[Network], count: int, folder: Path) -> Outcome:
    """Take networks until `count` are accepted, and hold their Verilog against their golden models."""
    outcome, accepted = Outcome(), []
    for network in networks:
        try:
            accepted.append((network, written(network, folder / network.name)))
        except REFUSALS as error:
            outcome.refused.append(f"{network.name}: {error}")
        except Exception as error:
            outcome.failures.append(Failure(network, message_of(error)))
        if len(accepted) + len(outcome.failures) == count:
            break
    if not accepted:
        return outcome
    cores = build_batches([dut for _, dut in accepted], folder / "batch")
    for (network, dut), core in zip(accepted, cores, strict=True):
        try:
            outcome.windows += check_design(dut, core)
            outcome.passed += 1
        except (VerificationError, ToolFailedError) as error:
            outcome.failures.append(Failure(network, message_of(error)))
    return outcome


def written(network: Network, folder: Path) -> Dut:
    """The design of a network, on disk."""
    write_design(network.model, network.options, folder)
    return load_dut(folder)


def message_of(error: Exception) -> str:
    """What an error says, and the end of the log where it has one."""
    return f"{type(error).__name__}: {error}\n{getattr(error, 'tail', '')}".strip()


def check_design(dut: Dut, core: Core | ToolFailedError, windows: int = WINDOWS) -> int:
    """Rung 4 with stalls, and frames that break off. Returns how many decisions were compared.

    Raises `VerificationError` as the rung does, and `core` if it is an error.
    """
    if isinstance(core, ToolFailedError):
        raise core
    frames, extremes = default_frames(dut, windows, 1)
    result = climb_core(dut, frames, seed=1, stalls=True, extremes=extremes, core=core)
    plan = make_plans(dut, frames, stalls=False, most_clocks=400)[-1]
    if plan.phase.name != "frame_cut_short":
        return result.windows
    sent, expected = plan.phase.sent, plan.phase.expected
    options = RunOptions(
        dut.output.size, len(expected), 2, plan.phase.clocks, Pauses(20, 20), dut.settle_clocks
    )
    run = core.run(sent, options)
    found = plan.compare(run)
    if found.mismatches or run.fault:
        raise mismatch_error(dut, found, by="Verilator, frame cut short", fault=run.fault)
    return result.windows + found.compared


# ---- making a failing network small


def shrink(failure: Failure, folder: Path, most_tries: int = 24) -> Failure:
    """The shortest stretch of a failing network that still fails: first its end is cut, then its beginning."""
    left = most_tries

    def fails(model: QModel | None) -> str:
        nonlocal left
        if model is None or left <= 0:
            return ""
        left -= 1
        smaller = replace(failure.network, name=f"s{left}", model=replace(model, name=f"s{left}"))
        return why_it_fails(smaller, folder / f"s{left}")

    best = failure
    for make in (ends, beginnings):
        for model in make(best.network.model):
            if message := fails(model):
                best = Failure(replace(best.network, model=model), message)
                break
    return best


def why_it_fails(network: Network, folder: Path) -> str:
    """What is wrong with the design of a network, built by itself; nothing if it is refused or sound."""
    try:
        dut = written(network, folder)
        check_design(dut, build_batches([dut], folder / "batch")[0])
    except REFUSALS:
        return ""
    except Exception as error:
        return message_of(error)
    return ""


def ends(model: QModel) -> Iterator[QModel | None]:
    """The network up to each of its tensors, the shortest first, without the whole of it."""
    for node in model.order()[1:-1]:
        yield _stretch(model, model.input, node.output)


def beginnings(model: QModel) -> Iterator[QModel | None]:
    """The network from each of its tensors on, the shortest first, without the whole of it."""
    for node in reversed(model.order()[1:-1]):
        yield _stretch(model, node.output, model.output)


def _stretch(model: QModel, first: str, last: str) -> QModel | None:
    """What computes `last` from `first` alone, or None if it needs more, or is no network by itself."""
    wanted, kept = {last}, list[Node]()
    for node in reversed(model.order()):
        if node.output in wanted and node.output != first:
            if isinstance(node, Input):
                return None
            kept.append(node)
            wanted |= set(node.inputs)
    build, entry = Builder(), model.tensors[first]
    try:
        build.append(Input(first, (), first), entry.type, entry.shape)
        for node in reversed(kept):
            build.append(node, model.tensors[node.output].type)
        return build.finish(model.name, last)
    except ConfigError:
        return None


def keep(failure: Failure, root: Path) -> Path:
    """The failing network as a directory that `load_model` reads, with its options beside it."""
    folder = root / failure.network.name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    save_model(failure.network.model, folder)
    chosen = failure.network.options
    options = {f.name: getattr(chosen, f.name) for f in fields(chosen) if f.init}
    (folder / "options.json").write_text(json.dumps(options, indent=1, default=asdict) + "\n")
    (folder / "message.txt").write_text(failure.message + "\n")
    return folder


def report(outcome: Outcome, kept: Sequence[Path]) -> str:
    """What failed, and where it lies."""
    lines = [f"{len(outcome.failures)} of {outcome.passed + len(outcome.failures)} networks failed"]
    for failure, path in zip(outcome.failures, kept, strict=False):
        lines.append(f"{path}\n    {failure.message[:600]}")
    return "\n".join(lines)
