"""The page: what was collected becomes rows and figures, and the template sets them."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata, resources
from typing import Any

from dwell.report import figures
from dwell.report.collect import RUNGS, ReportData
from dwell.report.design_page import design_text, layer_text, type_text
from dwell.report.loop import design_digest
from dwell.report.loop_page import footer_evidence, loop_page
from dwell.report.marks import marks

#: How the methods of the evaluation are named on the page, in their order.
METHODS: Mapping[str, str] = {
    "float": "network, float",
    "quantized": "network, quantized",
    "matched_template": "matched template",
    "laplacian_of_gaussian": "Laplacian of Gaussian",
    "intensity": "intensity threshold",
}
SETS: Mapping[str, str] = {"linear": "Linear imaging model", "prism": "abTEM PRISM multislice"}

#: Resource on the page → (key in synthesis.json, key of the board).
_RESOURCES = {"LUT": "lut", "FF": "ff", "DSP48": "dsp", "BRAM36": "bram36"}


def render(data: ReportData) -> str:
    """One self-contained HTML page."""
    import jinja2

    template = resources.files("dwell.report").joinpath("report.html.j2").read_text()
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=True)
    return environment.from_string(template).render(page(data))


def page(data: ReportData) -> dict[str, Any]:
    """Every value the template sets, as text."""
    design = data.design
    return {
        "title": f"{data.name}: from data to proven RTL",
        "subtitle": "design {name}, style {style}, back end {backend}, board {board}".format_map(design),
        "version": metadata.version("dwell"),
        "tiles": _tiles(data),
        "scans": _scans(data),
        "target_false_alarm": f"{float(data.evaluation.get('target_false_alarm', 1e-4)):g}",
        "sets": _sets(data),
        "layers": [layer_text(layer) for layer in design["layers"]],
        "design_text": design_text(design) + _widths_text(data.manifests.get("quantize")),
        "flow_input": f"pixels {type_text(design['input']['type'])}",
        "flow_output": f"{design['output']['tdata_bits']}-bit beats",
        "resources": _resources(data.synthesis),
        "board_name": design["board"],
        "evidence_text": _evidence(data.synthesis),
        "rungs": [_rung(number, what, data.rungs.get(number)) for number, what in RUNGS.items()],
        "run": loop_page(data.loop, design_digest(data.manifests["convert"])) if data.loop else None,
        "footer": footer_evidence(data.loop),
        "stages": [_stage(name, manifest) for name, manifest in data.manifests.items()],
    }


def _tiles(data: ReportData) -> list[dict[str, str]]:
    clock_mhz = data.design["clock_mhz"]
    tiles = []
    if data.bench:
        latency = data.bench["latency_cycles"]
        ns = 1000 * latency / clock_mhz
        each, clocks = ("decision", "ii_cycles") if data.design["max_width"] else ("frame", "frame_cycles")
        tiles.append((f"from one {each} to the next, measured", _cycles(data.bench[clocks])))
        since = "the window's last pixel" if data.design["max_width"] else "the frame's last beat"
        tiles.append((f"from {since}, measured; {ns:.0f} ns", _cycles(latency)))
    if data.synthesis:
        used = data.synthesis
        tiles.append((f"{used['evidence']} by {used['tool']}", f"{used['lut']:,} LUT"))
        tiles.append(("multiplier blocks", f"{used['dsp']} DSP"))
    if data.core:
        tiles.append((f"mismatches in {data.core['windows']:,} windows", f"{data.core['mismatches']:,}"))
    for key, methods in data.evaluation.get("sets", {}).items():
        if "quantized" in methods:
            tiles.append((f"recall, {SETS.get(key, key)}", f"{methods['quantized']['recall']:.3f}"))
    return [{"label": label, "value": value} for label, value in tiles]


def _cycles(count: float) -> str:
    return f"{count:g} clock" + ("" if count == 1 else "s")


def _scans(data: ReportData) -> list[dict[str, str]]:
    scans = []
    for scan in data.gallery:
        drawn = marks(scan)
        caption = (
            f"{SETS.get(scan.label, scan.label)}: {len(drawn.found)} found, {len(drawn.missed)} missed, "
            f"{len(drawn.false_alarms)} false-alarm pixels"
        )
        scans.append({"image": figures.scan(scan.frame, drawn, scan.pixel_size_A), "caption": caption})
    return scans


def _sets(data: ReportData) -> list[dict[str, Any]]:
    return [_set(key, methods, data) for key, methods in data.evaluation.get("sets", {}).items()]


def _set(key: str, methods: Mapping[str, Mapping[str, Any]], data: ReportData) -> dict[str, Any]:
    names = [m for m in METHODS if m in methods] + [m for m in methods if m not in METHODS]
    target = float(data.evaluation["target_false_alarm"])
    curves = [
        figures.Curve(
            METHODS.get(m, m),
            data.roc[f"{key}/{m}/false_alarm"],
            data.roc[f"{key}/{m}/recall"],
            dashed=m not in ("float", "quantized"),
        )
        for m in names
    ]
    bars = [(METHODS.get(m, m), methods[m]["recall"], methods[m]["low"], methods[m]["high"]) for m in names]
    rows = [
        {
            "label": METHODS.get(m, m),
            "recall": f"{methods[m]['recall']:.3f}",
            "interval": f"{methods[m]['low']:.3f} to {methods[m]['high']:.3f}",
            "auc": f"{methods[m]['auc']:.4f}",
        }
        for m in names
    ]
    return {
        "label": SETS.get(key, key),
        "roc": figures.roc(curves, target, key),
        "bars": figures.recall_bars(bars, key),
        "rows": rows,
    }


def _resources(synthesis: Mapping[str, Any]) -> list[dict[str, str]]:
    if not synthesis:
        return []
    rows = []
    for label, key in _RESOURCES.items():
        used, available = float(synthesis[key]), float(synthesis["available"][key])
        percent = 100.0 * used / available
        rows.append(
            {
                "name": label,
                "used": f"{used:,g}",
                "available": f"{available:,g}",
                "percent": f"{percent:.1f} %",
                "width": f"{min(percent, 100.0):.1f}",
            }
        )
    return rows


def _evidence(synthesis: Mapping[str, Any]) -> str:
    if not synthesis:
        return ""
    return (
        f"Cells as synthesized by {synthesis['tool']}, not placed or routed. "
        f"Clock: {synthesis['fmax_mhz']:.0f} MHz, an estimate from the netlist's cell delays with an "
        "allowance for routing."
    )


def _widths_text(quantize: Any) -> str:
    """Widths of weights that the Hessian decided, where it did."""
    bits = quantize.metrics.get("weight_bits") if quantize is not None else None
    if not bits:
        return ""
    return f" Widths of weights by the Hessian: {', '.join(f'{k} {v}' for k, v in bits.items())} bits."


def _rung(number: int, what: str, result: Mapping[str, Any] | None) -> dict[str, Any]:
    row = {"number": number, "what": what, "compared": "", "mismatches": "", "tool": ""}
    if result is None:
        return row | {"state": "off", "result": "not climbed"}
    if result["ok"] is None:
        return row | {"state": "off", "result": f"not applicable: {result['reason']}"}
    ok = bool(result["ok"])
    return row | {
        "state": "ok" if ok else "bad",
        "result": "holds" if ok else "fails",
        "compared": f"{result['compared']:,}",
        "mismatches": f"{result['mismatches']:,}",
        "tool": result["tool"],
    }


def _stage(name: str, manifest: Any) -> dict[str, str]:
    return {
        "name": name,
        "digest": manifest.digest[:12],
        "seconds": f"{manifest.wall_seconds:.1f}",
        "tools": ", ".join(f"{tool} {version}" for tool, version in sorted(manifest.tools.items())),
    }
