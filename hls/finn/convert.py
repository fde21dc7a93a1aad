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

from dwell.commands import run_command
from dwell.errors import VerificationError
from dwell.hls.design import Design
from dwell.hls.finn import sizing
from dwell.hls.finn.agreement import check_execution, check_integers, check_ports
from dwell.hls.finn.flatten import rewrite
from dwell.hls.finn.golden import from_first_quantizer, to_last_sum
from dwell.hls.finn.matrices import thresholds
from dwell.hls.finn.measured import measured
from dwell.hls.finn.quantizers import with_tables
from dwell.hls.finn.reload_text import Writable, outside, print_weights
from dwell.hls.finn.sizing import Frame, Sizes
from dwell.hls.finn.thresholds import moved_thresholds
from dwell.hls.finn.top import Core, Outside, print_core, print_outside
from dwell.hls.finn.vivado_core import OWN, VIVADO, by_vivado, print_wrapped, vivado
from dwell.hls.finn.weights import Matrix, for_any_weights, match
from dwell.hls.qmodel import Codes, FixedPoint, QModel
from dwell.hls.rtl.circuit.builder import Range
from dwell.hls.rtl.design.write import library_files, write_netlist
from dwell.hls.rtl.folded.reload_map import memories_entry
from dwell.hls.rtl.netlist import Netlist, Port, header
from dwell.hls.rtl.options import RtlOptions
from dwell.hls.rtl.verilog.names import identifier
from dwell.progress import Reporter, reporter

ENVIRONMENT = "finn"
DEFAULT_FPS = 100_000


@dataclass(frozen=True)
class FinnOptions:
    """`target_fps` frames a second decide the folds, unless `folding` names a file of them.

    With `reload` weights are writable while frames run. `stitch` is `own`, or `vivado` for FINN's own stitching.
    Without `guard` folds stay at which the library is known to lose data: to show that simulation notices.
    """

    part: str
    board: str
    clock_mhz: float = 100.0
    target_fps: int = DEFAULT_FPS
    folding: Path | None = None
    guard: bool = True
    reload: bool = False
    stitch: str = OWN


@dataclass(frozen=True)
class _Made:
    """What came out of FINN."""

    result: Mapping[str, Any]
    core: Core
    sources: tuple[Path, ...]
    frame: Frame
    model: QModel
    folder: Path
    matrices: tuple[Matrix, ...] = ()


def convert(network: Path, model: QModel, options: FinnOptions, out: Path, work: Path) -> Design:
    """Write the design directory `out`; `work` is an empty folder whose checkpoints and reports are worth keeping.

    `model` is the integer graph of the same network, as the door reads it. Raises `UnsupportedLayerError`
    for a layer that FINN has not in RTL, `ConfigError` for a bad folding file or network,
    `VerificationError` where FINN's integers are not the model's, `ToolNotFoundError` without FINN+ or a Vivado that
    is asked for, `ToolFailedError` where that fails.
    """
    tool = vivado(reload=options.reload) if options.stitch == VIVADO else None
    with reporter(quiet=True) as report:
        made = _generate(network, model, options, work, report)
        sizes = _size(made, work, report)
        if tool:
            asked = {"part": options.part, "clock_mhz": options.clock_mhz}
            sources, remark = by_vivado(made.core, sizes.depths, asked, tool, made.folder, report)
            remarks = [*made.result["remarks"], remark]
            made = replace(made, sources=sources, result={**made.result, "remarks": remarks})
        net = _netlist(made, sizes, options, work, report)
    rtl = RtlOptions(style="folded", clock_mhz=options.clock_mhz, board=options.board)
    design = write_netlist(
        made.model, net, rtl, out, backend="finn", tools={"finn-plus": made.result["version"]}
    )
    for part in ("checkpoints", "report"):
        shutil.copytree(made.folder / part, out / "finn" / part)
    return design


def _generate(network: Path, model: QModel, options: FinnOptions, work: Path, report: Reporter) -> _Made:
    """FINN's layers; made a second time where thresholds have to be moved to give the codes of `model`."""
    made, moved = _run(network, model, options, work, None, report)
    if moved:
        file = work / "thresholds_moved.npz"
        np.savez(file, **moved)  # type: ignore[arg-type]  # the stub takes a keyword for allow_pickle
        names = ", ".join(moved)
        again = work / "again"
        again.mkdir()
        made, left = _run(network, model, options, again, file, report)
        if left:
            raise VerificationError(
                f"FINN does not keep the thresholds of the network behind {', '.join(left)}",
                first_mismatch={"layer": next(iter(left))},
                hint="convert with --backend rtl",
            )
        remark = f"thresholds of the network's own rounding, where FINN's give other codes: behind {names}"
        made = replace(made, result={**made.result, "remarks": [*made.result["remarks"], remark]})
    check_execution(made.result["execution"])
    check_integers(made.model, made.folder)
    check_ports(made.model, made.result["ports"])
    return made


def _run(
    network: Path, model: QModel, options: FinnOptions, work: Path, moved: Path | None, report: Reporter
) -> tuple[_Made, dict[str, Codes]]:
    """What FINN makes in the folder `work`, and the thresholds in it that have to be moved."""
    args = {
        "model": str(network),
        "out": str(work),
        "part": options.part,
        "clock_mhz": options.clock_mhz,
        "target_fps": options.target_fps,
        "folding": str(options.folding) if options.folding else None,
        "guard": options.guard,
        "reload": options.reload,
        "thresholds": str(moved) if moved else None,
    }
    result = run_command(
        ENVIRONMENT, "dwell.hls.finn.generate:generate", args, report, environment=ENVIRONMENT
    )
    rewrite(work / "sources")
    ports = result["ports"]
    golden = from_first_quantizer(model, float(result["input_scale"]), float(result["input_offset"]))
    golden = to_last_sum(golden)
    matrices = match(golden, result["matrices"], work / "sources", all_of_them=options.reload)
    lowest = {str(m["layer"]): m["lowest"] for m in result["matrices"] if m["lowest"] is not None}
    found = thresholds(work)
    wrong = moved_thresholds(golden, matrices, lowest, found, any_weights=options.reload)
    if options.reload and not wrong:
        golden = with_tables(golden)
        golden = for_any_weights(golden, matrices, lowest, found, int(ports["output"]["width"]))
    core = Core.from_json(json.loads((work / "stitched.json").read_text()))
    verilog = sorted((work / "sources").glob("*.sv"), key=lambda p: (not p.stem.endswith("_pkg"), p.name))
    sources = (*verilog, *sorted((work / "sources").glob("*.v")))
    used = matrices if options.reload else ()
    return _Made(result, core, sources, _frame(ports), golden, work, used), wrong


def _frame(ports: Mapping[str, Any]) -> Frame:
    sides = [(p["beats"], -(-p["elements"] * p["width"] // 8)) for p in (ports["input"], ports["output"])]
    return Frame(sides[0][0], sides[0][1], sides[1][0], sides[1][1])


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
    plan = Writable.plan(made.matrices, made.core, model) if options.reload else None
    core = made.core.without_memories() if plan else made.core
    by_tool = options.stitch == VIVADO
    layers = f"{top}_layers"
    core_file.write_text(print_wrapped(core, layers) if by_tool else print_core(core, layers, sizes.depths))
    flat = _flat(made, [core_file], layers, work / "layers.v", report)
    entry, result = model.tensors[model.input], model.tensors[model.output]
    into = Port(model.input, entry.type, ports["input"]["elements"], _line_beats(entry.shape, ports["input"]))
    # FINN's result may be wider than the codes need: the port carries the model's own type.
    outof = Port(
        model.output, result.type, ports["output"]["elements"], _line_beats(result.shape, ports["output"])
    )
    head = header(model, "finn")
    shell = _outside(made, top, head, into, outof)
    if plan:
        shell = replace(shell, weights=outside(plan, core, top, made.frame.out_beats))
    modules = {
        f"{top}.v": print_outside(shell, core),
        f"{top}_layers.v": _as_third_party(flat.read_text(), made.result["version"]),
        **(print_weights(plan, core, top, head) if plan else {}),
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
        weights=memories_entry(plan.memories, plan.loads) if plan else None,
        notes=tuple(made.result["remarks"]),
    )
    folder = work / "final"
    folder.mkdir()
    return measured(net, model, made.frame, folder)


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
    matrix = next((m for m in made.matrices if m.layer == layer["name"]), None)
    queue = next((str(q["name"]) for q in made.core.queued if q["layers"][0] == layer["name"]), "")
    return {
        "name": layer["name"],
        "kind": layer["kind"].removesuffix("_rtl"),
        "style": "folded",
        "kernel": {"kind": "finn", **layer["folds"]},
        **({"matrix": matrix.to_json()} if matrix else {}),
        "in_type": layer["in_type"],
        "weight_type": layer["weight_type"],
        "out_type": layer["out_type"],
        "cycles_estimate": layer["cycles"],
        "fifo_depth": sizes.depths.get(queue, 0),
        "latency_cycles": None,
        "lut_estimate": None,
    }
