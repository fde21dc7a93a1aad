"""Rung 2 of a network that came through hls4ml: its framework against the integer graph."""

from __future__ import annotations

import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dwell.errors import VerificationError
from dwell.hls.frontends.hush import hushed
from dwell.hls.frontends.network import QuantizedNetwork, network_from_file
from dwell.hls.gate import climb, probe_frames, to_codes
from dwell.hls.qmodel import Codes, FixedPoint, QModel

_NAME = "source framework = integer graph, at the output"
#: Codes by which an output may be off where its scale is no power of two: float32 rounds on its way there.
_FLOAT_TOLERANCE = 1e-3


def onnx_network(graph: Any, input_type: FixedPoint | None) -> QuantizedNetwork | None:
    """The ONNX network that the graph was made from, or None where it was made from another framework."""
    given = graph.config.config.get("OnnxModel")
    if given is None:
        return None
    if isinstance(given, str | Path):
        return network_from_file(Path(given), input_type)
    kept = tempfile.TemporaryDirectory(prefix="dwell-onnx-")
    path = Path(kept.name) / f"{graph.config.get_project_name()}.onnx"
    given.save(str(path)) if hasattr(given, "save") else path.write_bytes(given.SerializeToString())
    graph.dwell_onnx_folder = kept  # the file lives as long as the graph does
    return network_from_file(path, input_type)


def climb_graph(model: QModel, graph: Any) -> dict[str, Any]:
    """Compare `model` with the framework of `graph`; the rung's JSON, ``ok`` null where there is none to ask.

    Raises `VerificationError` with the first difference.
    """
    network = onnx_network(graph, model.tensors[model.input].type)
    if network is not None:
        return climb(model, network)
    keras_model = graph.config.config.get("KerasModel")
    if not hasattr(keras_model, "predict"):
        why = "the graph was not converted in this process: there is no framework to ask"
        return {
            "rung": 2,
            "name": _NAME,
            "ok": None,
            "compared": 0,
            "mismatches": 0,
            "tool": "",
            "reason": why,
        }
    codes = model.quantize(probe_frames(model))
    fed = np.asarray(model.to_real(model.input, codes), dtype=np.float32)
    with hushed():
        values = np.asarray(keras_model.predict(fed, batch_size=64, verbose=0))
    got = model.run_codes(codes)
    compared = compare_output(model, values, got)
    return {
        "rung": 2,
        "name": _NAME,
        "ok": True,
        "compared": compared,
        "mismatches": 0,
        "tool": f"Keras predict, hls4ml {metadata.version('hls4ml')}",
        "detail": {"frames": len(fed)},
    }


def compare_output(model: QModel, values: npt.NDArray[Any], got: Codes) -> int:
    """How many output codes are equal to the framework's `values`; raises at the first that is not."""
    expected = to_codes(model, model.output, values.reshape(got.shape))
    scales = np.atleast_1d(np.asarray(model.tensors[model.output].scale, dtype=np.float64))
    exact = bool(np.all(np.frexp(scales)[0] == 0.5))
    wrong = np.abs(expected - got) > (0.0 if exact else _FLOAT_TOLERANCE)
    if wrong.any():
        where = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise VerificationError(
            f"{int(wrong.sum())} of {got.size} outputs are not those of the framework",
            first_mismatch={"index": list(where), "expected": float(expected[where]), "got": int(got[where])},
            hint="a layer was converted to something else: convert the saved file with `dwell convert`",
            place="output",
        )
    return int(got.size)
