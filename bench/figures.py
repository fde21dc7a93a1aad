"""Print the figures of a build against what they have to reach, from its artifacts and its last run of the loop.

    python bench/figures.py examples/vacancy

Ends with 1 if a figure is missed. Nothing is measured here: each line says which stage measured it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dwell.cli.output import print_table

SETS = {"linear": "linear model", "prism": "PRISM"}


@dataclass(frozen=True)
class Figure:
    """One line: what, the value as text, the limit as text, whether it is reached, and by which stage."""

    what: str
    value: str
    limit: str
    reached: bool
    by: str


def at_most(what: str, value: float, limit: float, unit: str, by: str) -> Figure:
    return Figure(what, f"{value:,} {unit}", f"≤ {limit:,g}", value <= limit, by)


def at_least(what: str, value: float, limit: float, unit: str, by: str) -> Figure:
    return Figure(what, f"{value:,} {unit}", f"≥ {limit:,.0f}", value >= limit, by)


def read(latest: Path, stage: str, file: str) -> dict[str, Any]:
    return dict(json.loads((latest / stage / file).read_text()))


def recall_figures(evaluation: dict[str, Any]) -> Iterator[Figure]:
    for key, name in SETS.items():
        methods = evaluation["sets"][key]
        template, network = methods["matched_template"], methods["quantized"]
        gain = round(network["recall"] - template["recall"], 3)
        drop = round(methods["float"]["recall"] - network["recall"], 3)
        apart = network["low"] > template["high"]
        shown = f"{network['recall']:.3f} against {template['recall']:.3f}"
        yield Figure(f"recall, {name}", shown, "+0.10", gain >= 0.10, "evaluate")
        intervals = (
            f"{network['low']:.3f} to {network['high']:.3f}, {template['low']:.3f} to {template['high']:.3f}"
        )
        yield Figure(f"95 % intervals, {name}", intervals, "apart", apart, "evaluate")
        yield at_most(f"recall lost to quantization, {name}", drop, 0.02, "", "evaluate")
        yield Figure(
            f"template's recall, {name}",
            f"{template['recall']:.3f}",
            "0.30 to 0.70",
            0.3 <= template["recall"] <= 0.7,
            "baseline",
        )


def design_figures(latest: Path) -> Iterator[Figure]:
    bench = read(latest, "simulate_bench", "simulation.json")
    core = read(latest, "simulate_core", "simulation.json")
    cells = read(latest, "synthesize", "synthesis.json")
    yield at_most("initiation interval", bench["ii_cycles"], 1, "clocks", "cocotb bench")
    yield at_most("decision latency", bench["latency_cycles"], 40, "clocks", "cocotb bench")
    yield at_most("LUTs on xc7z020", cells["lut"], 15_000, "", cells["tool"])
    yield at_most("DSPs", cells["dsp"], 0, "", cells["tool"])
    yield at_least("windows compared", core["windows"], 1_000_000, "", core["simulator"])
    yield at_least(
        "of them at the extremes", core["detail"]["windows_at_extremes"], 10_000, "", core["simulator"]
    )
    yield at_most("mismatches", core["mismatches"], 0, "", core["simulator"])
    yield at_least("simulated clocks a second", core["cycles_per_second"], 150_000, "", core["simulator"])


def loop_figures(summary: dict[str, Any]) -> Iterator[Figure]:
    by = f"bridge, {summary['evidence']} board"
    counts = summary["counters"]
    latency = summary["event_to_command_ms"]
    if latency["n"]:
        yield at_most("event to command, median", round(latency["median"], 2), 20, "ms", by)
    whole = counts["pixels_in"] == counts["pixels_decided"] + counts["pixels_dropped"]
    yield Figure("pixels in = decided + dropped", f"{counts['pixels_in']:,}", "equal", whole, by)
    recorded = counts["triggers"] == counts["events_recorded"] + counts["events_dropped"]
    yield Figure("triggers = recorded + dropped", f"{counts['triggers']:,}", "equal", recorded, by)
    if summary["sulphur"]:
        sigmas = round(abs(summary["sulphur"]["sigmas"]), 1)
        yield at_least("sulphur edge, events from perfect columns", sigmas, 5, "standard errors", by)


def newest_summary(project: Path) -> dict[str, Any] | None:
    runs = sorted((project / ".dwell" / "runs").glob("*.json"), key=lambda path: path.stat().st_mtime)
    return dict(json.loads(runs[-1].read_text())) if runs else None


def main(project: Path) -> int:
    latest = project / ".dwell" / "latest"
    if not (latest / "evaluate").exists():
        print(f"{project} has not been built: dwell build {project}")
        return 2
    figures = [*design_figures(latest), *recall_figures(read(latest, "evaluate", "evaluation.json"))]
    summary = newest_summary(project)
    if summary is not None:
        figures += loop_figures(summary)
    rows = [
        (f.what, f.value, f.limit, "[green]reached[/]" if f.reached else "[red]missed[/]", f.by)
        for f in figures
    ]
    print_table("", ("figure", "measured", "wanted", "", "measured by"), rows)
    return 0 if all(f.reached for f in figures) else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else "examples/vacancy")))
