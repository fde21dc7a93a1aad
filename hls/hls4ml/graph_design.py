"""What the back end `Dwell` does with an hls4ml graph: a design, predictions, a build.

The design is written where hls4ml would put its C++ project; nothing is compiled. Predictions are those of the
design's golden model, which the Verilog equals bit for bit; with ``simulator="verilator"`` that is proven once
more, on the very samples that are asked for.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dwell import plugins
from dwell.artifact import write_atomic_dir, write_rung
from dwell.errors import ConfigError, InternalError, error_from_json
from dwell.hls.convert import read_network
from dwell.hls.design import DESIGN_JSON, Design
from dwell.hls.hls4ml.graph_network import network_of
from dwell.hls.hls4ml.graph_options import graph_options
from dwell.hls.hls4ml.report import cosim_report, synthesis_report
from dwell.hls.qmodel import run_model
from dwell.hls.synthesis import BoardLike, load_board, synthesize_design

SIMULATORS = ("golden", "verilator")
REPORT_JSON = "dwell_report.json"
_DIGEST = "dwell_design_digest"
_LOG = logging.getLogger(__name__)


def write_graph(graph: Any) -> Design:
    """The design of an hls4ml graph, in the graph's output directory, which a former design leaves.

    Climbs rung 2 against the framework that the graph came from. Raises `UnsupportedLayerError` for a layer
    that cannot be carried exactly, `VerificationError` where the design's model is not the network,
    `ConfigError` for a directory in which something else lies.
    """
    from dwell.hls.rtl import write_design

    out = Path(graph.config.get_output_dir())
    if out.exists() and not (out / DESIGN_JSON).is_file() and any(out.iterdir()):
        raise ConfigError(
            f"{out} holds something that is no design",
            hint="name another output_dir, or remove the folder",
            place=str(out),
        )
    output = str(graph.config.get_config_value("Output") or "logits")
    made = read_network(network_of(graph), str(graph.config.get_project_name()), output=output)
    for note in (*made.model.notes, *made.simplified):
        _LOG.info("%s", note)
    options = graph_options(graph, made.model, board_of(graph).name)
    with write_atomic_dir(out) as folder:
        write_design(made.model, options, folder)
        write_rung(folder, made.rung)
    design = Design.load(out)
    setattr(graph, _DIGEST, design.digest)
    return design


def board_of(graph: Any) -> BoardLike:
    """The board whose part the graph is for. Raises `ConfigError` for a part that no board has."""
    part = str(graph.config.get_config_value("Part"))
    boards = [load_board(name) for name in sorted(plugins.entry_points("dwell.boards"))]
    for board in boards:
        if board.part.lower() == part.lower():
            return board
    known = ", ".join(f"{b.part} ({b.name})" for b in boards)
    raise ConfigError(f"no board is known with the part {part}", hint=f"parts: {known}", place="part")


def design_of(graph: Any) -> Design:
    """The design that `compile` or `write` has left. Raises `ConfigError` where there is none of this graph."""
    digest = getattr(graph, _DIGEST, None)
    if digest is None:
        raise ConfigError("the graph has no design yet", hint="call compile() first")
    design = Design.load(graph.config.get_output_dir())
    if design.digest != digest:
        raise ConfigError(
            f"{design.path} holds the design of another graph",
            hint="call compile() again",
            place=str(design.path),
        )
    return design


def predict(graph: Any, x: npt.ArrayLike, *, simulator: str = "golden") -> npt.NDArray[Any]:
    """The network's outputs, flattened as hls4ml gives them: (N, outputs), or (outputs,) for one sample.

    `x` is (N, …) of the network's input shape, or that shape alone. `simulator`: ``golden`` is the design's
    integer model; ``verilator`` also runs the Verilog on the same samples and raises `VerificationError`
    where it differs.
    """
    if simulator not in SIMULATORS:
        raise ConfigError(
            f"there is no simulator {simulator!r}", hint=f"choose one of {', '.join(SIMULATORS)}"
        )
    design = design_of(graph)
    model = design.qmodel()
    given = np.asarray(x)
    shape = model.tensors[model.input].shape
    size = int(np.prod(shape))
    if given.size == 0 or given.size % size:
        raise ConfigError(f"inputs of shape {given.shape}, where {('N', *shape)} is wanted", place="predict")
    samples = given.reshape(-1, *shape)
    if simulator == "verilator":
        simulate(design, samples)
    values = model.to_real(model.output, run_model(model, samples))
    kind = given.dtype if given.dtype.kind == "f" else np.dtype(np.float32)
    flat = np.asarray(values, dtype=kind).reshape(len(samples), -1)
    return flat[0] if len(samples) == 1 else flat


def simulate(design: Design, samples: npt.NDArray[Any] | None = None) -> Mapping[str, Any]:
    """The design's Verilog against its golden model by `dwell simulate`, a process of its own; its JSON.

    Raises what that command raises: `VerificationError` with the first mismatch, `ToolNotFoundError`, ….
    """
    with tempfile.TemporaryDirectory(prefix="dwell-predict-") as folder:
        command = [sys.executable, "-m", "dwell", "simulate", str(design.path.resolve()), "--json"]
        if samples is not None:
            vectors = Path(folder) / "vectors.npz"
            np.savez(vectors, x=samples)
            command += ["--vectors", str(vectors)]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    try:
        said: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        raise InternalError(f"dwell simulate said no JSON: {done.stderr.strip()[-500:]}") from None
    if done.returncode != 0:
        raise error_from_json(said.get("error", said))
    return said


def build(graph: Any, *, synth: bool, cosim: bool, tool: str) -> dict[str, Any]:
    """Synthesize the graph's design (`tool`) and, with `cosim`, simulate it; a report in hls4ml's shape.

    The report is kept as `dwell_report.json` beside the design. Raises as `synthesize_design` and `simulate`.
    """
    if getattr(graph, _DIGEST, None) is None:
        write_graph(graph)
    design = design_of(graph)
    report: dict[str, Any] = {}
    if synth:
        result = synthesize_design(design, load_board(design.board), tool=tool)
        report["CSynthesisReport"] = synthesis_report(design, result.to_json(design.clock_mhz))
    if cosim:
        report["CosimReport"] = cosim_report(simulate(design))
    (design.path / REPORT_JSON).write_text(json.dumps(report, indent=1, sort_keys=True) + "\n")
    return report
