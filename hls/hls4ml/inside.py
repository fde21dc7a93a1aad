"""What runs in the environment `qkeras` for a Keras 2 file: see `elsewhere`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dwell.hls.frontends.network import network_from_file
from dwell.hls.hls4ml.emulation import emulate
from dwell.hls.hls4ml.options import ProjectOptions
from dwell.hls.hls4ml.project import layers_of, write_project
from dwell.hls.qmodel import load_model


def run(args: Mapping[str, Any]) -> dict[str, Any]:
    """`args` as `run_elsewhere` gives them, and what it returns."""
    model = load_model(Path(args["qmodel"]))
    network = network_from_file(Path(args["path"]), None)
    options, out = ProjectOptions(**args["options"]), Path(args["out"])
    if args["windows"]:
        return {"rung": emulate(model, network, options, out, int(args["windows"])), "layers": []}
    return {"rung": None, "layers": layers_of(write_project(model, network, options, out))}
