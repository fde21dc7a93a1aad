"""Rung 3: the C++ of an hls4ml project, compiled by g++, against the integer graph.

It is the very C++ that Vitis HLS would get.
"""

from __future__ import annotations

import shutil
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from dwell.errors import ToolFailedError, ToolNotFoundError, UnsupportedLayerError, VerificationError
from dwell.hls.frontends.hush import hushed
from dwell.hls.frontends.network import QuantizedNetwork
from dwell.hls.gate import probe_frames, to_codes
from dwell.hls.hls4ml.elsewhere import must_leave, run_elsewhere
from dwell.hls.hls4ml.options import ProjectOptions
from dwell.hls.hls4ml.project import settle_project, write_project
from dwell.hls.hls4ml.source import BACKEND
from dwell.hls.qmodel import Codes, QModel, quantize_input, run_codes

NAME = "integer graph = C++ emulation of hls4ml"
_TAIL_LINES = 20


def compare_emulation(model: QModel, graph: Any, windows: int) -> dict[str, Any]:
    """Run a compiled project on at least `windows` windows and compare every decision with `model`.

    Returns the JSON of rung 3. Raises `VerificationError` with the first decision that differs.
    """
    codes = _inputs(model, windows)
    fed = np.ascontiguousarray(model.to_real(model.input, codes), dtype=np.float32)
    with hushed():
        found = np.asarray(graph.predict(fed))
    got = run_codes(model, codes)
    expected = to_codes(model, model.output, found.reshape(got.shape))
    different = expected != got
    if different.any():
        where = tuple(int(i) for i in np.argwhere(different)[0])
        raise VerificationError(
            f"hls4ml's emulation gives another decision in {int(different.sum())} of {got.size}",
            first_mismatch={
                "quantizer": "output",
                "index": list(where),
                "expected": int(got[where]),
                "got": float(expected[where]),
            },
            hint="the project and the integer graph are not the same network: convert again",
            place="emulate",
        )
    return {
        "rung": 3,
        "name": NAME,
        "ok": True,
        "compared": int(got.size),
        "mismatches": 0,
        "tool": f"hls4ml {metadata.version('hls4ml')}, g++",
        "detail": {
            "frames": len(codes),
            "windows": int(np.prod(got.shape[:-1])),
            "backend": BACKEND,
            "io_type": str(graph.config.get_config_value("IOType")),
        },
    }


def _inputs(model: QModel, windows: int) -> Codes:
    """Input codes for at least `windows` windows: the probes of rung 2, then codes drawn evenly."""
    probes = quantize_input(model, probe_frames(model, windows))
    kind = model.tensors[model.input].type
    each = max(1, int(np.prod(model.tensors[model.output].shape[:-1])))
    more = max(0, -(-windows // each) - len(probes))
    drawn = np.random.default_rng(1).integers(kind.lo, kind.hi + 1, (more, *probes.shape[1:]))
    return np.concatenate([probes, drawn])


def compile_project(model: QModel, network: QuantizedNetwork, graph: Any, out: Path) -> None:
    """Build the emulation library of a written project and load it into `graph`; no binary stays.

    Raises `ToolNotFoundError` without g++, `ToolFailedError` when the project does not compile.
    """
    if shutil.which("g++") is None:
        raise ToolNotFoundError(
            "g++ is not installed", hint="install it: apt-get install g++", place="emulate"
        )
    log = out / "emulation.log"
    with hushed() as heard:
        try:
            graph.compile()
        except Exception as error:  # hls4ml raises bare Exception when its build script fails
            text = f"{heard.getvalue()}\n{error}"
            log.write_text(text)
            tail = "\n".join(text.splitlines()[-_TAIL_LINES:])
            raise ToolFailedError("g++ (emulation of the hls4ml project)", log=log, tail=tail) from error
    log.write_text(heard.getvalue().replace(str(out), "."))
    settle_project(model, network, out)


def not_applicable(place: str, reason: str) -> dict[str, Any]:
    """The JSON of a rung 3 that nobody can climb: ``ok`` is null, and `reason` says why."""
    return {
        "rung": 3,
        "name": NAME,
        "ok": None,
        "compared": 0,
        "mismatches": 0,
        "tool": f"hls4ml {metadata.version('hls4ml')}",
        "reason": f"{place}: {reason}",
    }


def emulate(
    model: QModel, network: QuantizedNetwork, options: ProjectOptions, out: Path, windows: int
) -> dict[str, Any]:
    """Write the project of a network into `out`, compile it and compare it: the JSON of rung 3.

    Where hls4ml cannot carry the network exactly, ``ok`` is null with the reason, and `out` may be absent.
    Raises `VerificationError`, `ToolNotFoundError`, `ToolFailedError`.
    """
    if must_leave(network):
        found: dict[str, Any] = run_elsewhere(model, network, options, out, windows)["rung"]
        return found
    try:
        graph = write_project(model, network, options, out)
    except UnsupportedLayerError as error:
        shutil.rmtree(out, ignore_errors=True)
        return not_applicable(error.layer, error.reason)
    compile_project(model, network, graph, out)
    return compare_emulation(model, graph, windows)
