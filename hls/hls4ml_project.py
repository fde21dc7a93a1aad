"""The same network as an hls4ml Vitis project, and its C++ emulation: rung 3.

hls4ml converts the source file on a way of its own, with the flow mended where it loses information. Its
emulation, compiled with g++ from the very C++ that Vitis HLS would get, has to give the codes that the
integer graph gives.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dwell.errors import (
    ConfigError,
    ToolFailedError,
    ToolNotFoundError,
    UnsupportedLayerError,
    VerificationError,
)
from dwell.hls.frontends.hush import hushed
from dwell.hls.frontends.network import QuantizedNetwork
from dwell.hls.gate import probe_frames, to_codes
from dwell.hls.qmodel import MAX_WIDTH, Conv2D, QModel

BACKEND = "Vitis"
IO_TYPE = "io_stream"
#: Drops the type of a quantizer whose input has another reader, or that follows a signed one.
_LOSSY_PASS = "merge_linear_activation"
_TAIL_LINES = 20


@dataclass(frozen=True)
class ProjectOptions:
    """What hls4ml is told about the target; `io_type` is ``io_stream`` or ``io_parallel``."""

    name: str
    part: str = "xc7z020clg400-1"
    clock_mhz: float = 100.0
    io_type: str = IO_TYPE


def write_project(model: QModel, network: QuantizedNetwork, options: ProjectOptions, out: Path) -> Any:
    """Write the Vitis project of `network` into `out` and return hls4ml's graph.

    `model` is the integer graph of the same network. Raises `UnsupportedLayerError` for what hls4ml would
    convert wrongly, `ConfigError` for a name that C++ cannot bear.
    """
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", options.name):
        raise ConfigError(f"{options.name!r} is no name for a C++ function", hint="use letters, digits and _")
    for node in model.nodes:
        if isinstance(node, Conv2D) and node.dilation != (1, 1):
            raise UnsupportedLayerError(
                node.name,
                "Conv2D",
                ("Conv2D with dilation 1",),
                reason="hls4ml ignores dilation",
                hint="use the rtl back end",
            )
    with hushed() as heard:
        try:
            graph = _graph(model, network, options, out)
            graph.write()
        except (AssertionError, NotImplementedError, KeyError, TypeError, ValueError) as error:
            raise UnsupportedLayerError(
                network.path.name,
                "network",
                ("what hls4ml converts",),
                reason=f"hls4ml says: {error}",
                hint="use the rtl back end",
            ) from error
        finally:
            out.mkdir(parents=True, exist_ok=True)
            (out / "hls4ml.log").write_text(heard.getvalue().replace(str(out), "."))
    settle_project(model, network, out)
    return graph


def _graph(model: QModel, network: QuantizedNetwork, options: ProjectOptions, out: Path) -> Any:
    from hls4ml.model.flow import get_flow, update_flow

    if _LOSSY_PASS in get_flow("convert").optimizers:
        update_flow("convert", remove_optimizers=[_LOSSY_PASS])
    common = {
        "output_dir": str(out),
        "project_name": options.name,
        "backend": BACKEND,
        "io_type": options.io_type,
        "part": options.part,
        "clock_period": 1000.0 / options.clock_mhz,
    }
    if network.door.name == "keras":
        return _from_keras(network, common)
    if network.door.name == "qonnx":
        return _from_qonnx(model, network, common)
    raise ConfigError(
        f"hls4ml does not read files of the front end {network.door.name}", hint="use the rtl back end"
    )


def _from_keras(network: QuantizedNetwork, common: dict[str, Any]) -> Any:
    import hls4ml

    from dwell.hls.frontends.keras_file import load_keras

    # Placeholder precision: every type follows from the network's own quantizers.
    config = {"Model": {"Precision": "ap_fixed<1,0>", "ReuseFactor": 1, "Strategy": "Latency"}}
    return hls4ml.converters.convert_from_keras_model(
        load_keras(network.path),
        hls_config=config,
        allow_da_fallback=False,
        allow_v2_fallback=False,
        **common,
    )


def _from_qonnx(model: QModel, network: QuantizedNetwork, common: dict[str, Any]) -> Any:
    import hls4ml
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.transformation.channels_last import ConvertToChannelsLastAndClean
    from qonnx.transformation.gemm_to_matmul import GemmToMatMul
    from qonnx.util.cleanup import cleanup_model

    wrapper = cleanup_model(ModelWrapper(str(network.path)))
    wrapper = cleanup_model(wrapper.transform(ConvertToChannelsLastAndClean()).transform(GemmToMatMul()))
    config = hls4ml.utils.config_from_onnx_model(
        wrapper, granularity="name", backend=BACKEND, default_precision=_wide_enough(model)
    )
    return hls4ml.converters.convert_from_onnx_model(wrapper, hls_config=config, **common)


def _wide_enough(model: QModel) -> str:
    """A type that holds every tensor of the graph: hls4ml gives it to layers that declare none."""
    frac = max(tensor.type.frac for tensor in model.tensors.values())
    integer = max(t.type.width - t.type.frac + int(not t.type.signed) for t in model.tensors.values())
    width = frac + max(integer, 1)
    if width > MAX_WIDTH:
        raise UnsupportedLayerError(
            model.name,
            "network",
            (f"types of {MAX_WIDTH} bits",),
            reason=f"one type for all needs {width} bits",
        )
    return f"fixed<{width},{width - frac}>"


def compare_emulation(model: QModel, graph: Any, windows: int) -> dict[str, Any]:
    """Run a compiled project on at least `windows` windows and compare every decision with `model`.

    Returns the JSON of rung 3. Raises `VerificationError` with the first decision that differs.
    """
    codes = model.quantize(probe_frames(model, windows))
    fed = np.ascontiguousarray(model.to_real(model.input, codes), dtype=np.float32)
    with hushed():
        found = np.asarray(graph.predict(fed))
    got = model.run_codes(codes)
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
        "name": "integer graph = C++ emulation of hls4ml",
        "ok": True,
        "compared": int(got.size),
        "mismatches": 0,
        "tool": f"hls4ml {_version('hls4ml')}, g++",
        "detail": {"frames": len(codes), "windows": int(np.prod(got.shape[:-1])), "backend": BACKEND},
    }


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


def settle_project(model: QModel, network: QuantizedNetwork, out: Path) -> None:
    """Make a project the same on every machine: no binaries, no random stamp, no time, no absolute path."""
    for path in [*out.rglob("*.so"), *out.rglob("*.o")]:
        path.unlink()
    if (out / "keras_model.keras").exists():  # saved once more by hls4ml, with the time in it
        shutil.copyfile(network.path, out / "keras_model.keras")
    stamp = model.digest()[:8]
    for name, pattern, text in (
        ("hls4ml_config.yml", r"(?m)^OutputDir: .*$", "OutputDir: ."),
        ("hls4ml_config.yml", r"(?m)^Stamp: .*$", f"Stamp: {stamp}"),
        ("build_lib.sh", r"(?m)^LIB_STAMP=.*$", f"LIB_STAMP={stamp}"),
    ):
        path = out / name
        path.write_text(re.sub(pattern, text, path.read_text()))


def _version(name: str) -> str:
    from importlib import metadata

    return metadata.version(name)
