"""The whole way through FINN: a QONNX file to a design directory, with no vendor tool."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dwell.commands import run_command
from dwell.errors import VerificationError
from dwell.hls.design import Design
from dwell.hls.finn import sizing
from dwell.hls.finn.flatten import rewrite
from dwell.hls.finn.golden import from_first_quantizer, to_last_sum
from dwell.hls.finn.sizing import Frame, Sizes
from dwell.hls.finn.top import Core, Outside, print_core, print_outside
from dwell.hls.qmodel import Codes, FixedPoint, QModel
from dwell.hls.rtl.circuit import Range
from dwell.hls.rtl.names import identifier
from dwell.hls.rtl.netlist import Netlist, Port, header
from dwell.hls.rtl.options import RtlOptions
from dwell.hls.rtl.write import all_modules, library_files, write_netlist
from dwell.progress import Reporter, reporter

ENVIRONMENT = "finn"
DEFAULT_FPS = 100_000
#: Frames at full speed on which latency and interval are measured.
MEASURED_FRAMES = 24


@dataclass(frozen=True)
class FinnOptions:
    """`target_fps` frames a second decide the folds, unless `folding` names a file of them.

    Without `guard` folds stay at which the library is known to lose data: to show that simulation notices.
    """

    part: str
    board: str
    clock_mhz: float = 100.0
    target_fps: int = DEFAULT_FPS
    folding: Path | None = None
    guard: bool = True


@dataclass(frozen=True)
class _Made:
    """What came out of FINN."""

    result: Mapping[str, Any]
    core: Core
    sources: tuple[Path, ...]
    frame: Frame
    model: QModel


def convert(network: Path, model: QModel, options: FinnOptions, out: Path, work: Path) -> Design:
    """Write the design directory `out`; `work` is an empty folder whose checkpoints and reports are worth keeping.

    `model` is the integer graph of the same network, as the door reads it. Raises `UnsupportedLayerError`
    for a layer that FINN has not in RTL, `ConfigError` for a bad folding file or network,
    `VerificationError` where FINN's integers are not the model's, `ToolNotFoundError` without FINN+.
    """
    with reporter(quiet=True) as report:
        made = _generate(network, model, options, work, report)
        _check_integers(made, work)
        sizes = _size(made, work, report)
        net = _netlist(made, sizes, options, work, report)
    rtl = RtlOptions(style="folded", clock_mhz=options.clock_mhz, board=options.board)
    design = write_netlist(
        made.model, net, rtl, out, backend="finn", tools={"finn-plus": made.result["version"]}
    )
    for part in ("checkpoints", "report"):
        shutil.copytree(work / part, out / "finn" / part)
    return design


def _generate(network: Path, model: QModel, options: FinnOptions, work: Path, report: Reporter) -> _Made:
    args = {
        "model": str(network),
        "out": str(work),
        "part": options.part,
        "clock_mhz": options.clock_mhz,
        "target_fps": options.target_fps,
        "folding": str(options.folding) if options.folding else None,
        "guard": options.guard,
    }
    result = run_command(
        ENVIRONMENT, "dwell.hls.finn.generate:generate", args, report, environment=ENVIRONMENT
    )
    rewrite(work / "sources")
    core = Core.from_json(json.loads((work / "stitched.json").read_text()))
    ports = result["ports"]
    sides = [(p["beats"], -(-p["elements"] * p["width"] // 8)) for p in (ports["input"], ports["output"])]
    frame = Frame(sides[0][0], sides[0][1], sides[1][0], sides[1][1])
    verilog = sorted((work / "sources").glob("*.sv"), key=lambda p: (not p.stem.endswith("_pkg"), p.name))
    sources = (*verilog, *sorted((work / "sources").glob("*.v")))
    golden = from_first_quantizer(model, float(result["input_scale"]), float(result["input_offset"]))
    golden = to_last_sum(golden)
    _check_ports(golden, ports)
    return _Made(result, core, sources, frame, golden)


def _check_ports(model: QModel, ports: Mapping[str, Any]) -> None:
    """FINN's types at both ends have to hold the golden model's codes, and the sizes have to agree."""
    for side, name in (("input", model.input), ("output", model.output)):
        tensor, port = model.tensors[name], ports[side]
        kind = FixedPoint(port["signed"], port["width"], 0)
        low, high = model.value_range(name)
        size = int(np.prod(tensor.shape))
        if int(low.min()) < kind.lo or int(high.max()) > kind.hi or port["elements"] * port["beats"] != size:
            raise VerificationError(
                f"FINN's {side} is {size} elements of {kind}, the network's has codes {low.min()} to {high.max()}",
                first_mismatch={"port": side},
                hint="convert with --backend rtl",
            )


def _check_integers(made: _Made, work: Path) -> None:
    """FINN's execution in Python against the golden model: equal integers."""
    with np.load(work / "frames.npz") as arrays:
        codes, wanted = arrays["codes"], arrays["y"]
    model = made.model
    got = model.run_codes(codes.reshape(len(codes), *model.tensors[model.input].shape)).reshape(
        len(codes), -1
    )
    different = np.argwhere(got != wanted.reshape(len(codes), -1))
    if len(different):
        frame, element = (int(v) for v in different[0])
        raise VerificationError(
            f"FINN's layers give other integers than the golden model in {len(different)} of {got.size} places",
            first_mismatch={
                "frame": frame,
                "element": element,
                "expected": int(got[frame, element]),
                "got": int(wanted.reshape(len(codes), -1)[frame, element]),
            },
            hint="convert with --backend rtl",
        )


def _flat(made: _Made, extra: list[Path], top: str, out: Path, report: Reporter) -> Path:
    library = [p for p in library_files() if p.stem == "dwell_fifo"]
    args = {"sources": [str(p) for p in (*made.sources, *library, *extra)], "top": top, "out": str(out)}
    run_command("flatten", "dwell.hls.finn.flatten:flatten_command", args, report)
    return out


def _size(made: _Made, work: Path, report: Reporter) -> Sizes:
    """FIFO depths by simulation; a graph of one layer needs none."""
    if not made.core.queued:
        return Sizes({}, 0, 0)
    folder = work / "sizing"
    folder.mkdir()
    module = "finn_core"
    own = Path(str(resources.files("dwell.hls.finn"))) / "lib"
    written = sizing.write_harness(made.core, module, made.frame, folder)
    extra = [*written, *sorted(own.glob("*.v"))]
    flat = _flat(made, extra, f"{module}_harness", folder / "flat.v", report)
    checks = [p for p in library_files() if p.stem == "dwell_check"]
    measure = sizing.measure_with((flat, *checks), module, made.core, made.frame)
    return sizing.size_fifos(made.core, measure)


def _netlist(made: _Made, sizes: Sizes, options: FinnOptions, work: Path, report: Reporter) -> Netlist:
    model, ports = made.model, made.result["ports"]
    top = identifier(model.name)
    core_file = work / "core.v"
    core_file.write_text(print_core(made.core, f"{top}_layers", sizes.depths))
    flat = _flat(made, [core_file], f"{top}_layers", work / "layers.v", report)
    entry, result = model.tensors[model.input], model.tensors[model.output]
    into = Port(model.input, entry.type, ports["input"]["elements"], _line_beats(entry.shape, ports["input"]))
    # FINN's result may be wider than the codes need: the port carries the model's own type.
    outof = Port(
        model.output, result.type, ports["output"]["elements"], _line_beats(result.shape, ports["output"])
    )
    shell = _outside(made, top, header(model, "finn"), into, outof)
    modules = {
        f"{top}.v": print_outside(shell, made.core),
        f"{top}_layers.v": _as_third_party(flat.read_text(), made.result["version"]),
    }
    net = Netlist(
        top=top,
        modules=modules,
        input=into,
        output=outof,
        latency_cycles=0,
        ii_cycles=0,
        frame_cycles=0,
        layers=tuple(_layer(layer, sizes, made) for layer in made.result["layers"]),
        checked_codes=int(made.result["execution"]["frames"]) * int(np.prod(result.shape)),
        latency_exact=False,
        fifo_depth=sum(sizes.depths.values()),
        notes=tuple(made.result["remarks"]),
    )
    return _measured(net, made, work)


def _line_beats(shape: tuple[int, ...], port: Mapping[str, Any]) -> int:
    """Beats of a line of a frame, or of a whole vector."""
    return int(port["beats"]) // shape[0] if len(shape) == 3 else int(port["beats"])


def _outside(made: _Made, top: str, head: str, into: Port, outof: Port) -> Outside:
    port = made.result["ports"]["output"]
    given = FixedPoint(port["signed"], port["width"], outof.type.frac)
    return Outside(
        top=top,
        header=head,
        core=f"{top}_layers",
        in_bits=into.bits,
        in_bytes=into.size,
        in_beats=made.frame.in_beats,
        out_elements=outof.elements,
        out_span=Range(given.lo, given.hi, given.frac),
        out_type=outof.type,
        out_bytes=outof.size,
        out_line_beats=outof.line_beats,
        out_lines=made.frame.out_beats // outof.line_beats,
    )


def _as_third_party(text: str, version: str) -> str:
    return (
        f"// The layers of FINN+ {version} (BSD-3-Clause, (C) Advanced Micro Devices, Inc. and the FINN authors),\n"
        "// flattened by Yosys, memories' contents included. Not written to be read.\n"
        f"/* verilator lint_off WIDTH */\n/* verilator lint_off UNUSED */\n{text}"
    )


def _layer(layer: Mapping[str, Any], sizes: Sizes, made: _Made) -> dict[str, Any]:
    queue = next((str(q["name"]) for q in made.core.queued if q["layers"][0] == layer["name"]), "")
    return {
        "name": layer["name"],
        "kind": layer["kind"].removesuffix("_rtl"),
        "style": "folded",
        "kernel": {"kind": "finn", **layer["folds"]},
        "in_type": layer["in_type"],
        "weight_type": layer["weight_type"],
        "out_type": layer["out_type"],
        "cycles_estimate": layer["cycles"],
        "fifo_depth": sizes.depths.get(queue, 0),
        "latency_cycles": None,
        "lut_estimate": None,
    }


def _measured(net: Netlist, made: _Made, work: Path) -> Netlist:
    """`net` with the latency and the intervals of a run at full speed, whose results have to be the model's."""
    folder = work / "final"
    folder.mkdir()
    files = []
    for name, text in all_modules(net).items():
        files.append(folder / name)
        files[-1].write_text(text)
    model, frame = made.model, made.frame
    rng = np.random.default_rng(1)
    low, high = model.value_range(model.input)
    shape = model.tensors[model.input].shape
    codes = rng.integers(int(low.min()), int(high.max()) + 1, (MEASURED_FRAMES, *shape))
    data = _packed(codes.reshape(-1, net.input.elements), net.input)
    marks = np.zeros(len(data), dtype=np.uint8)
    marks[:: frame.in_beats] = 1
    played = sizing.simulator().play(
        net.top, tuple(sorted(files)), data, marks, net.output.size, MEASURED_FRAMES * frame.out_beats
    )
    wanted = _packed(model.run_codes(codes).reshape(-1, net.output.elements), net.output, extend=True)
    trouble = "; ".join((*played.assertions, *([played.fault] if played.fault else [])))
    if trouble or played.data.shape != wanted.shape or (played.data != wanted).any():
        wrong = np.argwhere(played.data != wanted)[:1].tolist() if played.data.shape == wanted.shape else []
        raise VerificationError(
            f"the stitched layers do not give the golden model's codes {trouble}".strip(),
            first_mismatch={"beat": wrong[0][0] if wrong else len(played.data), "frames": MEASURED_FRAMES},
            hint="convert with --backend rtl",
        )
    into = played.in_clocks.reshape(-1, frame.in_beats).astype(np.int64)
    out = played.out_clocks.reshape(-1, frame.out_beats).astype(np.int64)
    cycles = max(sizing.interval(played.out_clocks, frame.out_beats), int(np.diff(into[:, 0]).max()))
    return replace(
        net,
        latency_cycles=int((out[:, -1] - into[:, -1]).max()),
        frame_cycles=cycles,
        ii_cycles=-(-cycles // frame.in_beats),
    )


def _packed(codes: Codes, port: Port, *, extend: bool = False) -> npt.NDArray[np.uint8]:
    """Beats of `port` (N, bytes) for codes (N, elements); with `extend` the last one's sign in the padding."""
    bits = np.zeros((len(codes), 8 * port.size), dtype=np.uint8)
    width = port.type.width
    for element in range(port.elements):
        for bit in range(width):
            bits[:, element * width + bit] = (codes[:, element] >> bit) & 1
    if extend and port.type.signed:
        bits[:, port.elements * width :] = bits[:, [port.elements * width - 1]]
    return np.packbits(bits, axis=1, bitorder="little")
