"""`dwell bridge`: one run of a project's design, an instrument, a board and a policy, into a record."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from dwell import plugins
from dwell.errors import ConfigError, InterruptedByUserError
from dwell.hls.design import Design
from dwell.host.bridge.board import Board
from dwell.host.bridge.commands import Budget, Policy
from dwell.host.bridge.loop import COUNTERS, Bridge, RunPlan, RunResult
from dwell.host.bridge.record import Recorder, RecordHeader, open_record
from dwell.host.bridge.stopping import StopRequest
from dwell.host.bridge.summary import compare_record, keep_summary, summary_path
from dwell.host.bridge.threshold import threshold_code
from dwell.host.instruments.protocol import Instrument, ScanRequest
from dwell.project import BridgeSection, Project, load_project

DEFAULT_INSTRUMENT = "nion-sim"
DEFAULT_POLICY = "revisit"
DEFAULT_BOARD = "software"
_ELECTRONS_PER_PA_US = 6.241509074


def run_command(args: Mapping[str, Any]) -> dict[str, Any]:
    """The command's work, in the environment `build`: plain arguments in, the JSON keys of `dwell bridge`
    out.

    `args`: `project`, `overrides`, `board`, `instrument` (empty for the project's own), `instrument_python`
    (of the instrument's environment), `out` (the record), `stop_file` (its appearance ends the run).
    """
    project = load_project(Path(args["project"]), args["overrides"])
    work = project.work
    latest = work / "latest"
    for stage in ("convert", "data"):
        if not (latest / stage).exists():
            raise ConfigError(
                f"{project.name} has not been built: it has no {latest / stage}",
                hint=f"run `dwell build {project.root}` first",
                place=str(latest / stage),
            )
    out, asked = Path(args["out"]), str(args["board"] or DEFAULT_BOARD)
    _check_free(out)
    design = Design.load(latest / "convert")
    kind, _, target = asked.partition(":")
    link = plugins.load_plugin(plugins.BOARD_LINKS, kind, place="--board")
    settings = settle(project)
    code = _threshold(settings, design, latest / "data" / "val.npz")
    try:
        with StopRequest(Path(args["stop_file"])) as stop:
            result, _ = run_experiment(
                lambda: open_instrument(project, args["instrument"], Path(args["instrument_python"]), work),
                lambda: link.open(design, target, work),
                open_policy(project),
                settings,
                code,
                out,
                stop,
                seed=project.seed,
                about={"project": project.name, "design": design.name},
            )
    except Exception:
        with contextlib.suppress(Exception):  # there may be no record; what went wrong first is what is told
            keep_summary(out, asked)
        raise
    summary = keep_summary(out, asked)
    if result.stopped == "stopped: asked to":
        raise InterruptedByUserError(
            "stopped on request: the beam is blanked and the record is whole",
            hint=f"the record is {out}",
            place=str(out),
        )
    return summary


def _check_free(out: Path) -> None:
    """Raise `ConfigError` if a record at `out` and its summary would overwrite something, or each other."""
    if summary_path(out) == out:
        raise ConfigError(
            f"{out} is where the summary goes", hint="give the record a name ending in .h5", place=str(out)
        )
    for path in (out, summary_path(out)):
        if path.exists():
            raise ConfigError(
                f"{path} exists", hint="no run is ever overwritten: give another name", place=str(path)
            )


def settle(project: Project) -> BridgeSection:
    """The project's [bridge], its dose that of the detector's training where it names none."""
    imaging = project.model.params.model_dump().get("imaging", {})
    settings = project.bridge
    if settings.dose_e_per_A2 is None and "dose_e_per_A2" in imaging:
        return settings.model_copy(update={"dose_e_per_A2": float(imaging["dose_e_per_A2"])})
    return settings


def open_instrument(project: Project, name: str, python: Path, work: Path) -> Instrument:
    """The project's instrument, or another by its name with its defaults."""
    section = project.instrument
    chosen = name or (section.name if section else DEFAULT_INSTRUMENT)
    plugin = plugins.load_plugin(plugins.INSTRUMENTS, chosen, place="instrument.name")
    params = section.params if section is not None and section.name == chosen else plugin.params()
    opened: Instrument = plugin.open(params, python, work, project.model.params.model_dump())
    return opened


def open_policy(project: Project) -> Policy:
    """The project's policy."""
    section = project.policy
    made = plugins.load_plugin(
        plugins.POLICIES, section.name if section else DEFAULT_POLICY, place="policy.name"
    )
    policy: Policy = made(section.params if section else made.params())
    return policy


def _threshold(settings: BridgeSection, design: Design, validation: Path) -> int:
    if settings.threshold is None:
        return threshold_code(design.qmodel(), validation, settings.false_alarm_rate)
    scale = design.output.scale
    if not isinstance(scale, float) or design.output.offset != 0.0:
        raise ConfigError(
            "bridge.threshold cannot be written as a code: the design's scores have several scales or an offset",
            hint="name bridge.false_alarm_rate instead: the threshold is then found on the validation set",
            place="bridge.threshold",
        )
    return int(np.ceil(settings.threshold / scale * 2.0**design.output.type.frac))


def run_experiment(
    instrument: Callable[[], Instrument],
    board: Callable[[], Board],
    policy: Policy,
    settings: BridgeSection,
    threshold: int,
    out: Path,
    stop: Callable[[], bool],
    *,
    seed: int,
    about: Mapping[str, Any],
) -> tuple[RunResult, dict[str, Any] | None]:
    """Open instrument and board, run, close both whatever happens; the result and the spectra's comparison.

    Raises what `Bridge.run` raises. The record at `out` is whole in every case in which it was begun.
    """
    with contextlib.ExitStack() as stack:
        scope = instrument()
        stack.callback(scope.close)
        link = board()
        stack.callback(link.close)
        current = scope.state().probe_current_pA
        if settings.dose_e_per_A2 is None:
            raise ConfigError("[bridge] names no dose, nor does [model]", place="bridge.dose_e_per_A2")
        dwell_us = settings.dose_e_per_A2 * settings.pixel_A**2 / (current * _ELECTRONS_PER_PA_US)
        scan = ScanRequest(settings.lines, settings.pixels, dwell_us, settings.frames)
        plan = RunPlan(
            scan, settings.pixels * settings.pixel_A / 10.0, threshold, settings.dead_time, seed, stop
        )
        attributes = {
            **about,
            "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "threshold": threshold,
            "settings": settings.model_dump(),
            "probe_current_pA": current,
            "dwell_us": dwell_us,
            "software": software_versions(),
            "instrument": _about(scope),
            "board": asdict(link.info),
            "design_digest": link.info.design_digest,
            "build_digest": link.info.build_digest,
        }
        header = RecordHeader(
            scan.lines, scan.pixels, plan.pitch_nm, scope.info.energies_eV, COUNTERS, attributes
        )
        recorder = stack.enter_context(Recorder(out, header))
        budget = Budget(settings.dose_budget_e, settings.time_budget_s, current)
        result = Bridge(scope, link, policy, recorder, budget, plan).run()
    return result, compare_record(open_record(out))


def _about(instrument: Instrument) -> dict[str, Any]:
    info = instrument.info
    return {
        "name": info.name,
        "simulated": info.simulated,
        "shares_clock": info.shares_clock,
        "versions": dict(info.versions),
    }


def software_versions() -> dict[str, str]:
    """Versions of what runs on the host's side."""
    found = {}
    for name in ("dwell", "numpy", "h5py", "Pyro5"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found
