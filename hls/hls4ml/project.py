"""A network as an hls4ml Vitis project.

hls4ml converts the source file on a way of its own, with the flow mended where it loses information.
"""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dwell.errors import (
    ConfigError,
    UnsupportedLayerError,
)
from dwell.hls.frontends.hush import hushed
from dwell.hls.frontends.network import QuantizedNetwork
from dwell.hls.hls4ml.elsewhere import must_leave, run_elsewhere
from dwell.hls.hls4ml.obstacles import HINT, obstacle
from dwell.hls.hls4ml.options import ProjectOptions
from dwell.hls.hls4ml.source import BACKEND, read_graph
from dwell.hls.qmodel import QModel, load_model, model_digest, save_model

PROJECT_JSON = "project.json"
FORMAT = "dwell-hls4ml-1"


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
            graph = read_graph(model, network, _choices(options, out))
            graph.write()
        finally:
            out.mkdir(parents=True, exist_ok=True)
            (out / "hls4ml.log").write_text(heard.getvalue().replace(str(out), "."))
    settle_project(model, network, out)
    _describe(model, options, out)
    return graph


def _choices(options: ProjectOptions, out: Path) -> dict[str, Any]:
    return {
        "output_dir": str(out),
        "project_name": options.name,
        "backend": BACKEND,
        "io_type": options.io_type,
        "part": options.part,
        "clock_period": 1000.0 / options.clock_mhz,
    }


def _describe(model: QModel, options: ProjectOptions, out: Path) -> None:
    """What later commands need to know of the project, and the golden model that its results must equal."""
    save_model(model, out / "qmodel")
    body = {"format": FORMAT, "backend": BACKEND, **asdict(options), "qmodel_digest": model_digest(model)}
    (out / PROJECT_JSON).write_text(json.dumps(body, indent=1, sort_keys=True) + "\n")


def read_project(folder: Path) -> tuple[str, QModel]:
    """The top function's name and the golden model of a project. Raises `ConfigError` for another folder."""
    place, hint = folder / PROJECT_JSON, "make one: dwell convert MODEL --backend hls4ml --out DIR"
    try:
        body = json.loads(place.read_text())
    except (OSError, ValueError) as error:
        what = f"{folder} holds no hls4ml project: {error}"
        raise ConfigError(what, hint=hint, place=str(place)) from error
    model = load_model(folder / "qmodel")
    if body.get("format") != FORMAT or body.get("qmodel_digest") != model_digest(model):
        raise ConfigError(f"{place} does not describe what lies beside it", hint=hint, place=str(place))
    return str(body["name"]), model


def project_layers(
    model: QModel, network: QuantizedNetwork, options: ProjectOptions, out: Path
) -> list[dict[str, str]]:
    """Write the project, in another process where this one cannot load the file; its layers, as hls4ml has them."""
    if must_leave(network):
        found: list[dict[str, str]] = run_elsewhere(model, network, options, out, 0)["layers"]
        return found
    return layers_of(write_project(model, network, options, out))


def layers_of(graph: Any) -> list[dict[str, str]]:
    """Name, kind and output type of each layer of hls4ml's graph."""
    return [
        {
            "name": str(layer.name),
            "kind": str(layer.class_name),
            "out_type": str(layer.get_output_variable().type.precision),
        }
        for layer in graph.get_layers()
    ]


def settle_project(model: QModel, network: QuantizedNetwork, out: Path) -> None:
    """Make a project the same on every machine: no binaries, no random stamp, no time, no absolute path."""
    for path in [*out.rglob("*.so"), *out.rglob("*.o")]:
        path.unlink()
    if (out / "keras_model.keras").exists():  # saved once more by hls4ml, with the time in it
        shutil.copyfile(network.path, out / "keras_model.keras")
    stamp = model_digest(model)[:8]
    for name, pattern, text in (
        ("hls4ml_config.yml", r"(?m)^OutputDir: .*$", "OutputDir: ."),
        ("hls4ml_config.yml", r"(?m)^Stamp: .*$", f"Stamp: {stamp}"),
        ("build_lib.sh", r"(?m)^LIB_STAMP=.*$", f"LIB_STAMP={stamp}"),
    ):
        path = out / name
        path.write_text(re.sub(pattern, text, path.read_text()))
