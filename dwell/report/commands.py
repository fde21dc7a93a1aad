"""`dwell report` on a project that has been built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from dwell.errors import ConfigError
from dwell.report.collect import collect
from dwell.report.loop import collect_loop, newest_run
from dwell.report.render import render
from dwell.report.run import FILE


def report(args: Mapping[str, Any]) -> dict[str, Any]:
    """`dwell report DIR`: a page from whatever the last build of a project left, and its newest run.

    Unlike the stage, it does not ask for every artifact. Raises `ConfigError` for a folder that was
    never built, or a run whose record cannot be read.
    """
    directory = Path(args["directory"])
    latest = directory / ".dwell" / "latest"
    if not latest.is_dir():
        raise ConfigError(
            f"{directory} has not been built", hint=f"dwell build {directory}", place=str(directory)
        )
    artifacts = {path.name: path.resolve() for path in sorted(latest.iterdir()) if path.name != "report"}
    data = collect({k: v for k, v in artifacts.items() if v.is_dir()}, directory.name)
    run = newest_run(directory / ".dwell" / "runs")
    if run is not None:
        data = replace(data, loop=collect_loop(run))
    out = Path(args["out"]) if args["out"] else directory / ".dwell" / FILE
    temporary = out.with_name(f".{out.name}.part")
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary.write_text(render(data))
    temporary.replace(out)
    return {
        "path": str(out),
        "rungs": sorted(n for n, rung in data.rungs.items() if rung["ok"] is not None),
        "stages": sorted(data.manifests),
        "run": str(run) if run is not None else None,
    }
