"""A network as an hls4ml Vitis project.

hls4ml converts the source file on a way of its own, with the flow mended where it loses information.
"""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dwell.errors import (
    ConfigError,
    UnsupportedLayerError,
)
from dwell.hls.frontends.hush import hushed
from dwell.hls.frontends.network import QuantizedNetwork
from dwell.hls.hls4ml.obstacles import HINT, obstacle
from dwell.hls.hls4ml.qonnx_scales import merge_channel_scales
from dwell.hls.qmodel import MAX_WIDTH, QModel

BACKEND = "Vitis"
PROJECT_JSON = "project.json"
FORMAT = "dwell-hls4ml-1"
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
    found = obstacle(model, network)
    if found is not None:
        raise UnsupportedLayerError(
            found[0], "network", ("what hls4ml converts",), reason=found[1], hint=HINT
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
                hint=HINT,
            ) from error
        finally:
            out.mkdir(parents=True, exist_ok=True)
            (out / "hls4ml.log").write_text(heard.getvalue().replace(str(out), "."))
    settle_project(model, network, out)
    _describe(model, options, out)
    return graph


def _describe(model: QModel, options: ProjectOptions, out: Path) -> None:
    """What later commands need to know of the project, and the golden model that its results must equal."""
    model.save(out / "qmodel")
    body = {"format": FORMAT, "backend": BACKEND, **asdict(options), "qmodel_digest": model.digest()}
    (out / PROJECT_JSON).write_text(json.dumps(body, indent=1, sort_keys=True) + "\n")


def read_project(folder: Path) -> tuple[str, QModel]:
    """The top function's name and the golden model of a project. Raises `ConfigError` for another folder."""
    place, hint = folder / PROJECT_JSON, "make one: dwell convert MODEL --backend hls4ml --out DIR"
    try:
        body = json.loads(place.read_text())
    except (OSError, ValueError) as error:
        what = f"{folder} holds no hls4ml project: {error}"
        raise ConfigError(what, hint=hint, place=str(place)) from error
    model = QModel.load(folder / "qmodel")
    if body.get("format") != FORMAT or body.get("qmodel_digest") != model.digest():
        raise ConfigError(f"{place} does not describe what lies beside it", hint=hint, place=str(place))
    return str(body["name"]), model


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
    raise ConfigError(f"hls4ml does not read files of the front end {network.door.name}", hint=HINT)


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

    # hls4ml leaves a constant with a scale for each channel as a layer that it cannot compile.
    wrapper = merge_channel_scales(cleanup_model(ModelWrapper(str(network.path))))
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
