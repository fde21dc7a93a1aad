"""A design on disk: Verilog, golden model and `design.json`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from importlib import metadata, resources
from pathlib import Path
from typing import Any

from dwell.errors import ConfigError
from dwell.hls.design import DESIGN_JSON, FORMAT, Design, file_digests
from dwell.hls.qmodel import QModel, Tensor, model_digest, save_model, window_of
from dwell.hls.rtl.design.styles import build
from dwell.hls.rtl.netlist import Netlist, Port, type_entry
from dwell.hls.rtl.options import RtlOptions

#: Where the hand-written modules lie.
LIBRARY = "lib"
_MODULE = re.compile(r"\bdwell_\w+")


def write_design(model: QModel, options: RtlOptions, out: Path) -> Design:
    """Lower `model`, check the hardware's arithmetic against its interpreter, and write the directory `out`.

    `out` may exist but not hold a design. Raises `UnsupportedLayerError` for a layer that the style
    cannot carry, `ConfigError` for a bad option or a directory in use, `ResourceError` for a model that is
    too large, `InternalError` if what was lowered disagrees with the interpreter.
    """
    out = Path(out)
    if (out / DESIGN_JSON).exists():
        raise ConfigError(f"{out} already holds a design", hint="name a new directory", place=str(out))
    tools = {"alkaid": metadata.version("alkaid")}
    return write_netlist(model, build(model, options), options, out, backend="rtl", tools=tools)


def write_netlist(
    model: QModel, net: Netlist, options: RtlOptions, out: Path, *, backend: str, tools: Mapping[str, str]
) -> Design:
    """Write the directory of a design that `backend` made with the help of `tools` (versions by name)."""
    _write_verilog(net, out / "rtl")
    save_model(model, out / "qmodel")
    body = _document(model, options, net, out) | {"backend": backend}
    source = {"source_digest": model_digest(model)}
    body["provenance"] = {"dwell": metadata.version("dwell")} | dict(tools) | source
    text = json.dumps(body, indent=1, sort_keys=True, allow_nan=False)
    (out / DESIGN_JSON).write_text(text + "\n")
    return Design.load(out)


def library_files() -> list[Path]:
    """The hand-written Verilog modules."""
    folder = Path(str(resources.files("dwell.hls.rtl"))) / LIBRARY
    return sorted(folder.glob("*.v"))


def _write_verilog(net: Netlist, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in all_modules(net).items():
        (folder / name).write_text(text)


def all_modules(net: Netlist) -> dict[str, str]:
    """The text of every file of a netlist by name: generated modules, and those of the library that they use."""
    return dict(net.modules) | _used(net.modules.values())


def _used(texts: Iterable[str]) -> dict[str, str]:
    """The library's modules that `texts` instantiate, directly or through each other."""
    library = {source.stem: source for source in library_files()}
    used: dict[str, str] = {}
    waiting = list(texts)
    while waiting:
        for name in sorted(set(_MODULE.findall(waiting.pop())) - {Path(n).stem for n in used}):
            if name in library:
                used[f"{name}.v"] = library[name].read_text()
                waiting.append(used[f"{name}.v"])
    return used


def _document(model: QModel, options: RtlOptions, net: Netlist, out: Path) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "name": model.name,
        "top": net.top,
        "style": options.style,
        "board": options.board,
        "clock_mhz": options.clock_mhz,
        "latency_cycles": net.latency_cycles,
        "latency_exact": net.latency_exact,
        "latency_definition": net.latency_definition,
        "ii_cycles": net.ii_cycles,
        "frame_cycles": net.frame_cycles,
        "latency_cutoff": options.latency_cutoff,
        "window": list(window_of(model)),
        "max_width": net.max_width,
        "input": _port(model.tensors[net.input.tensor], net.input),
        "output": _port(model.tensors[net.output.tensor], net.output),
        "layers": [dict(layer) for layer in net.layers],
        "fifo_depth": net.fifo_depth,
        "weights": dict(net.weights) if net.weights else None,
        "checked_codes": net.checked_codes,
        "notes": [*model.notes, *net.notes],
        "files": file_digests(out),
    }


def _port(tensor: Tensor, port: Port) -> dict[str, Any]:
    return {
        "type": type_entry(tensor.type),
        "shape": list(tensor.shape),
        "scale": tensor.scale,
        "offset": tensor.offset,
        "tdata_bits": 8 * port.size,
        "elements": port.elements,
        "line_beats": port.line_beats,
        "layout": f"a beat is {port.elements} codes in C order, packed from the lowest bit, "
        f"{tensor.type.width} bits each",
    }
