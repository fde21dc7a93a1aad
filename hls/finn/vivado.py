"""FINN's own FIFOs, HLSSynthIP and CreateStitchedIP, with Vivado. Runs in environment `finn`, as a process of its own.

Tested with a stand-in for the tool (`tests/fake_tools/vivado`), never with Vivado itself.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dwell.errors import InternalError, ToolFailedError
from dwell.hls.finn.novivado import prepare
from dwell.logs import new_log

_SOURCES = (".v", ".sv", ".svh", ".vh")
#: A FINN FIFO holds so many beats at least.
_SHALLOWEST = 2


def stitch(args: Mapping[str, Any]) -> dict[str, Any]:
    """`args`: `out` (where `generate` has worked), `part`, `clock_mhz`, `depths` (of FIFOs, see `_set_depths`) and
    `tool` (a path).

    Writes the sources that Vivado lists into `out`/vivado/, among them the module `finn_design_wrapper`. Raises
    `ToolFailedError` where Vivado fails or leaves no wrapper.
    """
    out, tool = Path(args["out"]), Path(args["tool"])
    os.environ["FINN_TOOL_DIR_OVERRIDE"] = str(tool.parent)
    os.environ.setdefault("XILINX_VIVADO", str(tool.parent.parent))
    build = out / "finn_build"
    prepare(build)
    from finn.transformation.fpgadataflow.create_stitched_ip import CreateStitchedIP
    from finn.transformation.fpgadataflow.hlssynth_ip import HLSSynthIP
    from finn.util.exception import FINNError
    from finn.util.settings import get_settings
    from qonnx.core.modelwrapper import ModelWrapper

    from dwell.hls.finn.layers.own import register

    register()
    os.environ["FINN_RTLLIB"] = str(get_settings().finn_rtllib)
    model = _with_fifos(ModelWrapper(str(out / "checkpoints" / "final.onnx")), args)
    try:
        model = model.transform(HLSSynthIP(str(args["part"])))
        model = model.transform(CreateStitchedIP(str(args["part"]), 1000.0 / float(args["clock_mhz"])))
    except FINNError as error:
        raise _failed(build, str(error)) from error
    model.save(str(out / "checkpoints" / "vivado.onnx"))
    project = Path(model.get_metadata_prop("vivado_stitch_proj"))
    return {"sources": _collected(project, build, out / "vivado")}


def _with_fifos(model: Any, args: Mapping[str, Any]) -> Any:
    """FINN's FIFOs, of the depths found by simulation, between all layers."""
    from finn.transformation.fpgadataflow.insert_fifo import InsertFIFO
    from finn.transformation.fpgadataflow.prepare_ip import PrepareIP
    from finn.transformation.fpgadataflow.specialize_layers import SpecializeLayers
    from qonnx.transformation.general import GiveReadableTensorNames, GiveUniqueNodeNames, SortGraph

    part = str(args["part"])
    _set_depths(model, args["depths"])
    for step in (
        InsertFIFO(create_shallow_fifos=True),
        SpecializeLayers(part),
        SortGraph(),
        GiveUniqueNodeNames(),
        GiveReadableTensorNames(),
        PrepareIP(part, 1000.0 / float(args["clock_mhz"])),
    ):
        model = model.transform(step)
    return model


def _set_depths(model: Any, depths: Mapping[str, Any]) -> None:
    """`depths` maps ``MAKER>TAKER`` to depths of the links between them, in the order of the maker's outputs."""
    from qonnx.custom_op.registry import getCustomOp

    left = {pair: list(found) for pair, found in depths.items()}
    for node in model.graph.node:
        operation = getCustomOp(node)
        takers = [model.find_consumer(name) for name in node.output]
        operation.set_nodeattr(
            "outFIFODepths",
            [
                _SHALLOWEST if t is None else max(_SHALLOWEST, left[f"{node.name}>{t.name}"].pop(0))
                for t in takers
            ],
        )
        entering = [name for name in node.input if model.get_initializer(name) is None]
        operation.set_nodeattr("inFIFODepths", [_SHALLOWEST] * len(entering))
    if any(left.values()):
        raise InternalError(f"FIFO depths of links that FINN's graph has not: {left}")


def _collected(project: Path, build: Path, out: Path) -> list[str]:
    """Copies of all sources that the project lists, by name."""
    listed = project / "all_verilog_srcs.txt"
    if not listed.is_file():
        raise _failed(build, "it left no list of sources")
    out.mkdir()
    for line in listed.read_text().split("\n"):
        file = Path(line.strip())
        if file.suffix not in _SOURCES:
            continue
        if not file.is_file():
            raise _failed(build, f"the source {file} is not there")
        copy = out / file.name
        if copy.exists() and copy.read_bytes() != file.read_bytes():
            raise InternalError(f"two different files {file.name} in Vivado's project")
        shutil.copyfile(file, copy)
    return sorted(file.name for file in out.iterdir())


def _failed(build: Path, why: str) -> ToolFailedError:
    """The error for a run that failed; what Vivado said is kept, for FINN's folder goes."""
    log = new_log("vivado")
    logs = sorted(build.glob("vivado_stitch_proj_*/vivado.log"), key=lambda file: file.stat().st_mtime)
    text = logs[-1].read_text(errors="replace") if logs else ""
    log.write_text(f"{text}\n{why}\n")
    tail = "\n".join(log.read_text().splitlines()[-20:])
    return ToolFailedError("vivado", log=log, tail=tail, hint=f"FINN: {' '.join(why.split())}; see {log}")
