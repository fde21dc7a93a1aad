"""hls4ml projects of Keras 2 files (QKeras), made and emulated in a process of the environment `qkeras`."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dwell.commands import run_command
from dwell.hls.frontends.network import QuantizedNetwork
from dwell.hls.hls4ml.options import ProjectOptions
from dwell.hls.hls4ml.source import KERAS_DOORS
from dwell.hls.qmodel import QModel, save_model
from dwell.progress import SilentReporter

_RUN = "dwell.hls.hls4ml.inside:run"
ENVIRONMENT = "qkeras"


def must_leave(network: QuantizedNetwork) -> bool:
    """Whether this process cannot load the network's file."""
    from dwell.hls.frontends.keras_net.files import at_home, is_keras2

    return network.door.name in KERAS_DOORS and is_keras2(network.path) and not at_home()


def run_elsewhere(
    model: QModel, network: QuantizedNetwork, options: ProjectOptions, out: Path, windows: int
) -> dict[str, Any]:
    """`rung` (null where `windows` is 0) and `layers` of a project written into `out`; raises what is raised there."""
    with tempfile.TemporaryDirectory(prefix="dwell-hls4ml-") as folder:
        save_model(model, Path(folder) / "qmodel")
        args = {
            "qmodel": str(Path(folder) / "qmodel"),
            "path": str(network.path.resolve()),
            "options": asdict(options),
            "out": str(out.resolve()),
            "windows": windows,
        }
        return run_command("hls4ml", _RUN, args, SilentReporter(), environment=ENVIRONMENT)
