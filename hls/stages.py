"""The stages of this room: from a quantized network to a design, its emulation and its synthesis."""

from __future__ import annotations

from typing import Any

from dwell.hls.backends import FINN
from dwell.hls.finn.folds import read_folding
from dwell.project import Project
from dwell.stage import Stage, quantizer_environment


def _convert_params(project: Project) -> dict[str, Any]:
    return _finn_params(project) if project.convert.backend == FINN else _rtl_params(project)


def _finn_params(project: Project) -> dict[str, Any]:
    chosen = project.convert
    return {
        "name": project.name,
        "backend": chosen.backend,
        "input_type": chosen.input_type,
        "clock_mhz": chosen.clock_mhz,
        "target_fps": chosen.target_fps,
        "folding": None if chosen.folding is None else read_folding(project.root / chosen.folding),
        "reload": chosen.reload,
        "board": project.board.name,
    }


def _convert_environments(project: Project) -> tuple[str, ...]:
    """FINN+ runs in an environment of its own, beside that of the stage."""
    return (FINN,) if project.convert.backend == FINN else ()


def _rtl_params(project: Project) -> dict[str, Any]:
    chosen = project.convert
    return {
        "name": project.name,
        "backend": chosen.backend,
        "style": None if chosen.style == "auto" else chosen.style,
        "io": chosen.io,
        "input_type": chosen.input_type,
        "output": chosen.output,
        "clock_mhz": chosen.clock_mhz,
        "latency_cutoff": chosen.latency_cutoff,
        "max_width": chosen.max_width,
        "pixels_per_clock": chosen.pixels_per_clock,
        "reuse": chosen.reuse,
        "multiplier": chosen.multiplier,
        "reload": chosen.reload,
        "board": project.board.name,
    }


def _emulate_params(project: Project) -> dict[str, Any]:
    return {"name": project.name, "clock_mhz": project.convert.clock_mhz, "board": project.board.name}


def _synthesize_params(project: Project) -> dict[str, Any]:
    return {"tool": project.synthesize.tool, "board": project.board.name}


CONVERT = Stage(
    name="convert",
    environment=quantizer_environment,
    inputs=("quantize",),
    run="dwell.hls.run_stages:run_convert",
    code=(
        "dwell.hls.backends",
        "dwell.hls.choices",
        "dwell.hls.convert",
        "dwell.hls.design",
        "dwell.hls.finn",
        "dwell.hls.fit",
        "dwell.hls.frontends",
        "dwell.hls.gate",
        "dwell.hls.qmodel",
        "dwell.hls.rtl",
        "dwell.hls.run_stages",
    ),
    params=_convert_params,
    also=_convert_environments,
)

EMULATE = Stage(
    name="emulate",
    environment=quantizer_environment,
    inputs=("quantize", "convert"),
    run="dwell.hls.run_stages:run_emulate",
    code=(
        "dwell.hls.frontends",
        "dwell.hls.gate",
        "dwell.hls.hls4ml",
        "dwell.hls.qmodel",
        "dwell.hls.run_stages",
    ),
    params=_emulate_params,
)

SYNTHESIZE = Stage(
    name="synthesize",
    environment="build",
    inputs=("convert",),
    run="dwell.hls.commands_synth:run_synthesize",
    code=(
        "dwell.hls.commands_synth",
        "dwell.hls.design",
        "dwell.hls.synthesis",
        "dwell.hls.vendor",
        "dwell.hls.vivado",
        "dwell.hls.yosys_worker",
    ),
    params=_synthesize_params,
)
