"""`dwell convert`, `simulate`, `synthesize`, `report`: a room's command each, in the build environment."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from dwell.cli.output import JsonOption, print_result
from dwell.commands import ready_environment, run_command
from dwell.errors import ConfigError
from dwell.progress import reporter


class Io(StrEnum):
    """How values enter a design: all at once, or pixel by pixel; by itself, as the network's kind has it."""

    AUTO = "auto"
    PARALLEL = "parallel"
    STREAM = "stream"


class Style(StrEnum):
    """How a design computes: an adder for every product, a stream of pixels, or multipliers used again."""

    UNROLLED = "unrolled"
    STREAM = "stream"
    FOLDED = "folded"


class Stitch(StrEnum):
    """Who wires FINN's layers."""

    OWN = "own"
    VIVADO = "vivado"


class Multiplier(StrEnum):
    """What a folded layer multiplies with."""

    AUTO = "auto"
    DSP = "dsp"
    LUT = "lut"


class Output(StrEnum):
    """What comes out of a design."""

    LOGITS = "logits"
    CLASS = "class"
    PROBABILITIES = "probabilities"


class Level(StrEnum):
    """How much of the system is simulated."""

    CORE = "core"
    BENCH = "bench"
    BOARD = "board"


class SynthesisTool(StrEnum):
    """What synthesizes."""

    YOSYS = "yosys"
    VIVADO = "vivado"
    VITIS_HLS = "vitis_hls"


def add_to(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("convert")(convert_command)
    app.command("simulate")(simulate_command)
    app.command("synthesize")(synthesize_command)
    app.command("report")(report_command)


def existing(path: Path, what: str) -> str:
    """The full path of something that has to be there. Raises `ConfigError` if it is not."""
    full = path.expanduser().resolve()
    if not full.exists():
        raise ConfigError(f"there is no {what} at {path}", hint="check the path", place=str(full))
    return str(full)


def call(
    name: str,
    function: str,
    args: dict[str, Any],
    *,
    json: bool,
    also: tuple[str, ...] = (),
    environment: str = "build",
) -> None:
    """Run a command in `environment`; `also` names those that it starts processes in."""
    with reporter(quiet=json) as report:
        for other in also:
            ready_environment(other, report)
        result = run_command(name, function, args, report, environment=environment)
    print_result("", result, as_json=json)


def convert_command(
    model: Annotated[Path, typer.Argument(help="A QONNX (.onnx) or Keras (.keras, .h5) file.")],
    backend: Annotated[str, typer.Option(help="Which back end makes the design.")],
    out: Annotated[Path, typer.Option(help="The folder of the design.")],
    board: Annotated[str, typer.Option(help="The board it is meant for.")] = "pynq-z2",
    io: Annotated[Io, typer.Option(help="Pixel by pixel, or all inputs at once.")] = Io.AUTO,
    style: Annotated[
        Style | None, typer.Option(help="How it computes; by default as io and reuse say.")
    ] = None,
    reuse: Annotated[
        str,
        typer.Option(
            metavar="R|NAME=R,…",
            help="How often a multiplier is used for one result, for all layers or by name.",
        ),
    ] = "1",
    input_type: Annotated[
        str | None, typer.Option(metavar="T", help="The input's type, such as ufixed<8,0>.")
    ] = None,
    output: Annotated[Output, typer.Option(help="What comes out.")] = Output.LOGITS,
    ptq: Annotated[
        int | None, typer.Option(metavar="BITS", help="Quantize a float Keras file to so many bits first.")
    ] = None,
    calibrate: Annotated[
        Path | None, typer.Option(metavar="FILE.npz", help="With --ptq: typical inputs, as `x`.")
    ] = None,
    pixels_per_clock: Annotated[
        int, typer.Option(metavar="N", help="Pixels a streaming design takes in a clock: 1, 2, 4, … 32.")
    ] = 1,
    multiplier: Annotated[
        Multiplier, typer.Option(help="What folded layers multiply with.")
    ] = Multiplier.AUTO,
    reload: Annotated[
        bool, typer.Option("--reload", help="Make folded weights, or FINN's, writable over AXI4-Lite.")
    ] = False,
    target_fps: Annotated[
        int | None, typer.Option(min=1, help="Back end finn: frames a second that decide its folds.")
    ] = None,
    folding: Annotated[Path | None, typer.Option(help="Back end finn: a file of folds by layer.")] = None,
    stitch: Annotated[
        Stitch, typer.Option(help="Back end finn: our own stitching, or FINN's with Vivado.")
    ] = Stitch.OWN,
    json: JsonOption = False,
) -> None:
    """Convert one model file to a design."""
    args = {
        "model": existing(model, "model file"),
        "backend": backend,
        "board": board,
        "io": io.value,
        "style": None if style is None else style.value,
        "reuse": reuse,
        "input_type": input_type,
        "output": output.value,
        "ptq": ptq,
        "calibrate": None if calibrate is None else existing(calibrate, "file of frames"),
        "pixels_per_clock": pixels_per_clock,
        "multiplier": multiplier.value,
        "reload": reload,
        "target_fps": target_fps,
        "folding": None if folding is None else existing(folding, "folding file"),
        "stitch": stitch.value,
        "out": str(out.expanduser().resolve()),
    }
    # QKeras' files need Keras 2, which that environment has on top of all that `build` has
    environment = "qkeras" if model.suffix.lower() == ".h5" else "build"
    also = ("finn",) if backend == "finn" else ()
    call("convert", "dwell.hls.commands:convert", args, json=json, also=also, environment=environment)


def simulate_command(
    design: Annotated[Path, typer.Argument(help="A design's folder.")],
    vectors: Annotated[
        Path | None, typer.Option(metavar="FILE.npz", help="Inputs `x`, and `y` to compare with.")
    ] = None,
    level: Annotated[
        Level, typer.Option(help="The core in bulk, the cocotb bench, or a board.")
    ] = Level.CORE,
    stalls: Annotated[bool, typer.Option("--stalls", help="Random gaps and back-pressure.")] = False,
    allow_edited: Annotated[
        bool, typer.Option("--allow-edited", help="Simulate a design that was changed after it was built.")
    ] = False,
    count: Annotated[
        int, typer.Option(min=1, help="How many windows to make up without --vectors.")
    ] = 10_000,
    seed: Annotated[int, typer.Option(min=0, help="The seed of made-up windows and of stalls.")] = 1,
    simulator: Annotated[str, typer.Option(help="verilator, or icarus for the bench.")] = "verilator",
    out: Annotated[
        Path | None, typer.Option(help="Where logs, JUnit XML and waves of a failing bench are kept.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Compare a design's Verilog with its golden model: rungs 4, 5 and 6."""
    args = {
        "design": existing(design, "design"),
        "vectors": existing(vectors, "vectors file") if vectors is not None else None,
        "level": level.value,
        "stalls": stalls,
        "allow_edited": allow_edited,
        "count": count,
        "seed": seed,
        "simulator": simulator,
        "out": str(out.expanduser().resolve()) if out is not None else None,
    }
    also = ("board",) if level is Level.BOARD else ()
    call("simulate", "dwell.sim.commands:simulate", args, json=json, also=also)


def synthesize_command(
    design: Annotated[Path, typer.Argument(help="A design's folder.")],
    tool: Annotated[SynthesisTool, typer.Option(help="What synthesizes.")] = SynthesisTool.YOSYS,
    route: Annotated[bool, typer.Option("--route", help="Place and route too.")] = False,
    cosim: Annotated[
        bool, typer.Option("--cosim", help="Vitis HLS: simulate its RTL and compare the results.")
    ] = False,
    export: Annotated[bool, typer.Option("--export", help="Vitis HLS: export an IP.")] = False,
    json: JsonOption = False,
) -> None:
    """Find a design's resources and its timing; of an hls4ml project with --tool vitis_hls."""
    args = {
        "design": existing(design, "design"),
        "tool": tool.value,
        "route": route,
        "cosim": cosim,
        "export": export,
    }
    call("synthesize", "dwell.hls.commands:synthesize", args, json=json)


def report_command(
    directory: Annotated[Path, typer.Argument(help="A project that has been built.")],
    out: Annotated[Path | None, typer.Option(help="The HTML file; beside the build by default.")] = None,
    json: JsonOption = False,
) -> None:
    """Write one HTML file that shows a build."""
    args = {
        "directory": existing(directory, "project"),
        "out": str(out.expanduser().resolve()) if out is not None else None,
    }
    call("report", "dwell.report.commands:report", args, json=json)
