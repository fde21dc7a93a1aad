"""Files of Keras 2 (QKeras) in a process of the environment `qkeras`, which alone can load them."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dwell.commands import run_command
from dwell.errors import InternalError
from dwell.hls.frontends.keras_net.values import Floats
from dwell.hls.frontends.reading import Ask, Ending, Reading, Slack
from dwell.hls.qmodel import Codes, FixedPoint, load_model, save_model
from dwell.progress import SilentReporter

_READ = "dwell.hls.frontends.keras_net.process:read_inside"
_EXECUTE = "dwell.hls.frontends.keras_net.process:execute_inside"
_ASK = "dwell.hls.frontends.keras_net.process:ask_inside"
ENVIRONMENT = "qkeras"


def read_outside(
    path: Path, *, name: str, input_type: FixedPoint | None, names: Mapping[str, str] | None
) -> Reading:
    """The integer graph of a file of Keras 2; raises what its reading raises."""
    args = {
        "path": str(path.resolve()),
        "name": name,
        "input_type": None if input_type is None else str(input_type),
        "names": dict(names) if names else None,
    }
    with tempfile.TemporaryDirectory(prefix="dwell-keras-") as folder:
        out = str(Path(folder) / "qmodel")
        said = run_command(
            "read-keras", _READ, {**args, "out": out}, SilentReporter(), environment=ENVIRONMENT
        )
        model = load_model(Path(out))
    slack = {
        tensor: Slack(str(source), float(noise), _asking(args, tensor))
        for tensor, (source, noise) in said["slack"].items()
    }
    ending = None
    if said["ending"] is not None:
        ending = Ending("", tuple(said["ending"]["scale"]), "", float(said["ending"]["noise"]))
    return Reading(model, slack, ending=ending)


def _asking(args: Mapping[str, Any], tensor: str) -> Ask:
    """Keras 2's own kernels on sums between codes: a process each time, for it is seldom asked."""

    def ask(sums: npt.NDArray[np.float64], channels: Codes) -> Codes:
        given = {**args, "tensor": tensor, "sums": sums.tolist(), "channels": channels.tolist()}
        said = run_command("ask-keras", _ASK, given, SilentReporter(), environment=ENVIRONMENT)
        return np.array(said["codes"], dtype=np.int64)

    return ask


def execute_outside(path: Path, frames: npt.ArrayLike, places: Sequence[str]) -> dict[str, Floats]:
    """What Keras 2 computes at `places`, and the output as ``""``."""
    with tempfile.TemporaryDirectory(prefix="dwell-keras-") as folder:
        given, found = Path(folder) / "frames.npy", Path(folder) / "values.npz"
        np.save(given, np.asarray(frames, dtype=np.float32))
        args = {"path": str(path.resolve()), "frames": str(given), "places": list(places), "out": str(found)}
        run_command("run-keras", _EXECUTE, args, SilentReporter(), environment=ENVIRONMENT)
        with np.load(found, allow_pickle=False) as archive:
            values = {key: np.asarray(archive[f"v{at}"]) for at, key in enumerate(["", *places])}
    if any(len(value) != len(np.asarray(frames)) for value in values.values()):
        raise InternalError("Keras gave back another number of results than of frames")
    return values


# ---- inside the environment


def read_inside(args: Mapping[str, Any]) -> dict[str, Any]:
    """`args`: `path`, `name`, `input_type`, `names`, `out` (a folder for the integer graph)."""
    reading = _read(args)
    save_model(reading.model, Path(args["out"]))
    ending = reading.ending
    return {
        "slack": {tensor: [slack.source, slack.noise] for tensor, slack in reading.slack.items()},
        "ending": None if ending is None else {"scale": list(ending.scale), "noise": ending.noise},
    }


def ask_inside(args: Mapping[str, Any]) -> dict[str, Any]:
    """`args`: those of `read_inside` and `tensor`, `sums`, `channels`; gives `codes`."""
    slack = _read(args).slack[str(args["tensor"])]
    channels = np.array(args["channels"], dtype=np.int64)
    return {"codes": slack.ask(np.array(args["sums"], dtype=np.float64), channels).tolist()}


def _read(args: Mapping[str, Any]) -> Reading:
    from dwell.hls.frontends.keras_net.files import load_keras2
    from dwell.hls.frontends.keras_net.reader import read_model

    model = load_keras2(Path(args["path"]))
    said = args["input_type"]
    kind = None if said is None else FixedPoint.parse(str(said))
    return read_model(model, name=str(args["name"]), input_type=kind, names=args["names"])


def execute_inside(args: Mapping[str, Any]) -> dict[str, Any]:
    """`args`: `path`, `frames` (an .npy file), `places`, `out` (an .npz file)."""
    from dwell.hls.frontends.keras_net.execute import execute_model
    from dwell.hls.frontends.keras_net.files import load_keras2

    model = load_keras2(Path(args["path"]))
    found = execute_model(model, np.load(args["frames"], allow_pickle=False), args["places"])
    values = {f"v{at}": found[key] for at, key in enumerate(["", *args["places"]])}
    np.savez(args["out"], **values)  # type: ignore[arg-type]
    return {}
