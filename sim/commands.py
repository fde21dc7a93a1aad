"""`dwell simulate`, as the command line calls it: a dict in, a dict out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from dwell.errors import ConfigError
from dwell.sim.bench.plan import bench_frames
from dwell.sim.bench_rung import climb_bench
from dwell.sim.board.rounds import board_windows
from dwell.sim.core_rung import climb_core
from dwell.sim.dut import Dut, load_dut
from dwell.sim.given import check_reference, read_vectors
from dwell.sim.results import RungResult
from dwell.sim.vectors import default_frames
from dwell.sim.verilated.cache import cache_root
from dwell.sim.workload import Frame

SIMULATORS = ("verilator", "icarus")
_BENCH_WINDOWS_A_FRAME = 500


def simulate(args: Mapping[str, Any]) -> dict[str, Any]:
    """Climb rung 4 (`level` core), 5 (bench) or 6 (board) with a design directory.

    `args`: `design`; `vectors` (an .npz file or None), else `count` windows are made up from `seed`; `level`;
    `stalls`; `allow_edited`; `simulator` (verilator, icarus or both, comma between; the core has only
    Verilator); `out` (None: a folder in the cache, named in the result). Gives the keys of the command
    line's contract. Raises `VerificationError` with the first mismatch.
    """
    level = str(args.get("level") or "core")
    simulators = _simulators(str(args.get("simulator") or "verilator"), level)
    design, seed, stalls = Path(str(args["design"])), int(args.get("seed") or 0), bool(args.get("stalls"))
    dut = load_dut(design, allow_edited=bool(args.get("allow_edited")))
    vectors = args.get("vectors")
    count = int(args.get("count") or 10_000)
    frames, extremes, about = _frames(
        dut, level, None if vectors is None else Path(str(vectors)), count, seed
    )
    chosen = args.get("out")
    out = Path(str(chosen)) if chosen else cache_root() / "runs" / f"{dut.name}-{level}"
    out.mkdir(parents=True, exist_ok=True)
    if level == "core":
        result = climb_core(dut, frames, seed=seed, stalls=stalls, extremes=extremes)
    elif level == "board":
        from dwell.sim.board.rung import climb_board

        result = climb_board(
            design, frames, board=str(args.get("board") or "pynq-z2"), seed=seed, stalls=stalls,
            allow_edited=bool(args.get("allow_edited")),
        )  # fmt: skip
    else:
        result = climb_bench(dut, frames, seed=seed, stalls=stalls, simulators=simulators, out=out)
    return _written(replace(result, detail={**result.detail, **about}), out)


def _simulators(text: str, level: str) -> Sequence[str]:
    chosen = [name.strip() for name in text.split(",")]
    unknown = [name for name in chosen if name not in SIMULATORS]
    if unknown:
        raise ConfigError(
            f"'{unknown[0]}' is not a simulator known here",
            hint=f"one of {', '.join(SIMULATORS)}",
            place="--simulator",
        )
    if level not in ("core", "bench", "board"):
        raise ConfigError(f"there is no level '{level}'", hint="core, bench or board", place="--level")
    if level != "bench" and chosen != ["verilator"]:
        raise ConfigError(
            f"the {level} runs on Verilator only",
            hint="use --level bench for another simulator",
            place="--simulator",
        )
    return chosen


def _frames(
    dut: Dut, level: str, vectors: Path | None, count: int, seed: int
) -> tuple[Sequence[Frame], int, Mapping[str, object]]:
    """What to send, how many windows of it are at the extremes, and what a user's file says about it."""
    if vectors is not None:
        given = read_vectors(dut, vectors)
        return given.frames, 0, {"array": given.name, **check_reference(dut, given)}
    if level == "board":
        count = board_windows(dut, count)
    if level != "bench":
        return *default_frames(dut, count, seed), {}
    return bench_frames(dut, max(1, min(20, count // _BENCH_WINDOWS_A_FRAME)), seed), 0, {}


def _written(result: RungResult, out: Path) -> dict[str, Any]:
    result.write(out)
    return {**result.to_json(), "out": str(out)}
