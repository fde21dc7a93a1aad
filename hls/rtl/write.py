"""A design on disk: Verilog, golden model and `design.json`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from importlib import metadata, resources
from pathlib import Path
from typing import Any

from dwell.errors import ConfigError
from dwell.hls.design import DESIGN_JSON, FORMAT, LATENCY_DEFINITION, Design, file_digests
from dwell.hls.qmodel import Conv2D, Dense, FixedPoint, QModel, Tensor
from dwell.hls.rtl.check import check_stages
from dwell.hls.rtl.circuit import Range
from dwell.hls.rtl.kernel import print_kernel
from dwell.hls.rtl.lowering import Stage, lower
from dwell.hls.rtl.names import identifier, unique
from dwell.hls.rtl.options import RtlOptions
from dwell.hls.rtl.tops import Shell, print_top

#: Where the hand-written modules lie.
LIBRARY = "lib"


def write_design(model: QModel, options: RtlOptions, out: Path) -> Design:
    """Lower `model`, check the circuits against its interpreter, and write the design directory `out`.

    `out` may exist but not hold a design. Raises `UnsupportedLayerError` for a layer that the style
    cannot carry, `ConfigError` for a bad option or a directory in use, `ResourceError` for an unrolled
    model that is too large, `InternalError` if the circuits disagree with the interpreter.
    """
    out = Path(out)
    if (out / DESIGN_JSON).exists():
        raise ConfigError(f"{out} already holds a design", hint="name a new directory", place=str(out))
    stages = lower(model, options)
    compared = check_stages(model, stages)
    top = identifier(model.name)
    shell = Shell(
        top=top,
        header=_header(model, options),
        stages=stages,
        modules=tuple(f"{top}_{name}" for name in unique([stage.name for stage in stages])),
        input_bits=_input_bits(stages),
        output_type=model.tensors[model.output].type,
        max_width=options.max_width if options.style == "stream" else None,
    )
    _write_verilog(shell, out / "rtl")
    model.save(out / "qmodel")
    text = json.dumps(
        _document(model, options, shell, compared, out), indent=1, sort_keys=True, allow_nan=False
    )
    (out / DESIGN_JSON).write_text(text + "\n")
    return Design.load(out)


def library_files() -> list[Path]:
    """The hand-written Verilog modules."""
    folder = Path(str(resources.files("dwell.hls.rtl"))) / LIBRARY
    return sorted(folder.glob("*.v"))


def _input_bits(stages: Sequence[Stage]) -> int:
    return stages[0].pixel_bits


def _header(model: QModel, options: RtlOptions) -> str:
    return (
        f"// {model.name}: a network in hardware, style {options.style}.\n"
        f"// Made by dwell {metadata.version('dwell')} from the integer graph {model.digest()[:16]}. "
        "Do not edit.\n"
    )


def _write_verilog(shell: Shell, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for source in library_files():
        shutil.copyfile(source, folder / source.name)
    (folder / f"{shell.top}.v").write_text(print_top(shell))
    for stage, module in zip(shell.stages, shell.modules, strict=True):
        (folder / f"{module}.v").write_text(print_kernel(stage, module, shell.header))


def _document(model: QModel, options: RtlOptions, shell: Shell, compared: int, out: Path) -> dict[str, Any]:
    entry, result = model.tensors[model.input], model.tensors[model.output]
    streamed = options.style == "stream"
    return {
        "format": FORMAT,
        "name": model.name,
        "top": shell.top,
        "backend": "rtl",
        "style": options.style,
        "board": options.board,
        "clock_mhz": options.clock_mhz,
        "latency_cycles": shell.latency,
        "ii_cycles": 1,
        "latency_definition": LATENCY_DEFINITION,
        "latency_cutoff": options.latency_cutoff,
        "window": list(model.window),
        "max_width": options.max_width if streamed else 0,
        "input": _port(entry, 8 * shell.in_bytes, streamed),
        "output": _port(result, 8 * shell.out_bytes, streamed),
        "layers": [_layer(model, shell, stage, index) for index, stage in enumerate(shell.stages)],
        "fifo_depth": 1 << shell.depth_log2,
        "checked_codes": compared,
        "provenance": {
            "dwell": metadata.version("dwell"),
            "alkaid": metadata.version("alkaid"),
            "source_digest": model.digest(),
        },
        "files": file_digests(out),
    }


def _port(tensor: Tensor, bits: int, streamed: bool) -> dict[str, Any]:
    beat = "a pixel: its channels" if streamed else "a sample: its elements in C order"
    return {
        "type": _type(tensor.type),
        "shape": list(tensor.shape),
        "scale": tensor.scale,
        "tdata_bits": bits,
        "layout": f"a beat is {beat}, packed from the lowest bit, {tensor.type.width} bits each",
    }


def _type(kind: FixedPoint | Range) -> dict[str, Any]:
    width = kind.width if isinstance(kind, FixedPoint) else kind.bits
    return {"signed": kind.signed, "width": width, "frac": kind.frac, "text": str(kind)}


def _layer(model: QModel, shell: Shell, stage: Stage, index: int) -> dict[str, Any]:
    head, tail = stage.nodes[0], stage.nodes[-1]
    window = stage.window
    width = (shell.max_width or 0) - sum(s.window.columns for s in shell.stages[:index] if s.window)
    return {
        "name": stage.name,
        "kind": stage.kind,
        "nodes": [f"{type(node).__name__} {node.name}" for node in stage.nodes],
        "module": shell.modules[index],
        "style": "stream" if stage.streamed else "unrolled",
        "in_type": _type(model.tensors[head.inputs[0]].type),
        "weight_type": _type(head.weight_type) if isinstance(head, Conv2D | Dense) else None,
        "out_type": _type(model.tensors[tail.output].type),
        "wires": {"in_bits": stage.pixel_bits, "out_bits": sum(s.bits for s in stage.result)},
        "window": [window.height, window.width] if window else None,
        "kernel": {
            "adders": stage.circuit.adders,
            "depth": stage.circuit.depth(),
            "stages": stage.schedule.stages,
        },
        "latency_cycles": stage.latency,
        "fifo_depth": 0,
        "line_buffer_bits": window.rows * stage.pixel_bits * width if window else 0,
        "lut_estimate": None,
    }
