"""What the stages of this room do: climb a rung, leave `simulation.json` and `rungs/N.json`."""

from __future__ import annotations

from typing import Any

from dwell.artifact import write_rung
from dwell.sim.bench.plan import bench_frames
from dwell.sim.bench_rung import climb_bench
from dwell.sim.board.rounds import board_windows
from dwell.sim.core_rung import climb_core
from dwell.sim.dut import load_dut
from dwell.sim.given import read_vectors
from dwell.sim.results import RungResult
from dwell.sim.toolchain import find_verilator
from dwell.sim.vectors import default_frames
from dwell.stage import StageContext

REFERENCE = "reference.npz"
"""The real frames that the quantize stage keeps in its artifact; they go through the core too."""


def run_core(ctx: StageContext) -> dict[str, Any]:
    """Rung 4. Params: `vectors` (windows), `stalls`."""
    dut = load_dut(ctx.inputs["convert"])
    reference = ctx.inputs["quantize"] / REFERENCE
    real = list(read_vectors(dut, reference, origin="reference").frames) if reference.is_file() else []
    frames, extremes = default_frames(dut, int(ctx.params["vectors"]), ctx.seed)
    result = climb_core(
        dut,
        [*real, *frames],
        seed=ctx.seed,
        stalls=bool(ctx.params["stalls"]),
        extremes=extremes,
        progress=ctx.progress,
    )
    return _leave(ctx, result)


def run_bench(ctx: StageContext) -> dict[str, Any]:
    """Rung 5. Params: `bench_frames`, `stalls`, `simulators`. Leaves `junit.xml` whether it holds or not."""
    dut = load_dut(ctx.inputs["convert"])
    result = climb_bench(
        dut,
        bench_frames(dut, int(ctx.params["bench_frames"]), ctx.seed),
        seed=ctx.seed,
        stalls=bool(ctx.params["stalls"]),
        simulators=list(ctx.params["simulators"]),
        out=ctx.out,
        progress=ctx.progress,
    )
    return _leave(ctx, result)


def run_board(ctx: StageContext) -> dict[str, Any]:
    """Rung 6. Params: `board`, `vectors` (decisions), `stalls`. What no overlay can carry is not applicable."""
    from dwell.sim.board.rung import NAME, climb_board, refusal

    design = ctx.inputs["convert"]
    why = refusal(design, str(ctx.params["board"]))
    if why:
        ctx.log.info("rung 6 is not applicable: %s", why)
        rung = {"rung": 6, "name": NAME, "ok": None, "compared": 0, "mismatches": 0, "tool": ""}
        write_rung(ctx.out, {**rung, "reason": why})
        return {"rung6_applicable": False}
    dut = load_dut(design)
    frames, _ = default_frames(dut, board_windows(dut, int(ctx.params["vectors"])), ctx.seed)
    result = climb_board(
        design,
        frames,
        board=str(ctx.params["board"]),
        seed=ctx.seed,
        stalls=bool(ctx.params["stalls"]),
        progress=ctx.progress,
    )
    return {**_leave(ctx, result), "rung6_applicable": True}


def _leave(ctx: StageContext, result: RungResult) -> dict[str, Any]:
    result.write(ctx.out)
    ctx.log.info("rung %d: %d windows, 0 mismatches, %s", result.rung, result.windows, result.simulator)
    return {**result.to_json(), "tools": {"verilator": find_verilator().version}}
