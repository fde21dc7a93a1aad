"""What the stage `report` does."""

from __future__ import annotations

from importlib import metadata
from typing import Any

from dwell.report.collect import collect
from dwell.report.render import render
from dwell.stage import StageContext

FILE = "report.html"


def run_report(ctx: StageContext) -> dict[str, Any]:
    """Write `report.html` into the artifact."""
    data = collect(ctx.inputs, ctx.params["name"])
    page = render(data)
    (ctx.out / FILE).write_text(page)
    return {
        "bytes": len(page.encode()),
        "rungs": sorted(n for n, rung in data.rungs.items() if rung["ok"] is not None),
        "tools": {"matplotlib": metadata.version("matplotlib")},
    }
