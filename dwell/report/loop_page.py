"""The part of the page that shows a run of the loop, as text and figures."""

from __future__ import annotations

from typing import Any

import numpy as np

from dwell.report import loop_figures
from dwell.report.figures import SERIES
from dwell.report.loop import FloatArray, LastFrame, Loop, Spectra, Sum

#: What decided, by the evidence that the record gives: never more than that.
_BOARDS = {
    "software": (
        "no board",
        "No board took part: the design's golden model decided, as a program on the host.",
    ),
    "simulated": (
        "simulated board",
        "The board was simulated: the design's firmware ran in a simulator behind the board's driver.",
    ),
    "hardware": ("board", "The design decided on a physical board, {name}."),
}
_COUNTERS = {
    "rows": "rows scanned",
    "rows_lost": "rows lost and filled",
    "decisions": "decisions",
    "events_invalid": "events that touch a lost row, or came after the end",
    "spectra": "spectra",
    "commands": "commands to the instrument",
    "refused_by_budget": "commands refused by the budget",
    "electrons_on_spectra": "electrons spent on spectra",
}


def loop_page(loop: Loop, design_digest: str) -> dict[str, Any]:
    """Every value of the section. `design_digest` is that of the design on the page."""
    board, about = _board(loop)
    simulated = bool(loop.instrument["simulated"])
    return {
        "text": _text(loop, about),
        "badges": [
            {"state": "ok" if loop.status == "complete" else "bad", "text": _status(loop)},
            {"state": "ok" if loop.board.get("evidence") == "hardware" else "off", "text": board},
            {
                "state": "off" if simulated else "ok",
                "text": "simulated instrument" if simulated else "instrument",
            },
            _same_design(loop, design_digest),
        ],
        "tiles": _tiles(loop),
        "frame": _frame(loop.frame),
        "spectra": _spectra(loop.spectra),
        "latencies": [
            _latency(
                "Last row of the window scanned → event at the host", loop, loop.row_to_event_ms, SERIES[2]
            ),
            _latency(
                "Event at the host → command at the instrument", loop, loop.event_to_command_ms, SERIES[3]
            ),
        ],
        "sums": [_sum(one) for one in loop.sums],
        "counters": [
            {"name": name, "value": f"{loop.counters[key]:,}"}
            for key, name in _COUNTERS.items()
            if key in loop.counters
        ],
    }


def footer_evidence(loop: Loop | None) -> str:
    """What the foot of the page says of physical boards."""
    if loop is not None and loop.board.get("evidence") == "hardware":
        return "only what the loop's section says was measured on a physical board."
    return "nothing here was measured on a physical board."


def _board(loop: Loop) -> tuple[str, str]:
    evidence = str(loop.board.get("evidence"))
    unknown = ("board not known", f"What decided is not known: the record says '{evidence}'.")
    short, text = _BOARDS.get(evidence, unknown)
    text = text.format(name=loop.board.get("name", "unnamed")) if evidence in _BOARDS else text
    decision_us = loop.board.get("decision_us")
    if evidence in _BOARDS and decision_us is not None:
        text += f" By the design's clock a decision comes {decision_us:.3g} µs after its window's last pixel."
    return short, text


def _status(loop: Loop) -> str:
    if loop.status == "complete":
        return "ran to its end"
    return "cut off" if loop.cut_off else "stopped early"


def _text(loop: Loop, about: str) -> str:
    kind = "simulated" if loop.instrument["simulated"] else "real"
    text = f"Run {loop.name}" + (f", begun {loop.started}" if loop.started else "")
    text += f", with the {kind} instrument {loop.instrument['name']}. {about}"
    if loop.cut_off:
        text += " The record was never closed: the run was killed. What it had written is shown."
    elif loop.status != "complete":
        text += f" It was stopped: {loop.status.removeprefix('stopped: ')}."
    return text


def _same_design(loop: Loop, design_digest: str) -> dict[str, str]:
    if loop.design_digest == design_digest:
        return {"state": "ok", "text": "the design on this page"}
    return {
        "state": "bad",
        "text": f"another design than on this page: {loop.design_digest[:12] or 'unnamed'}",
    }


def _tiles(loop: Loop) -> list[dict[str, str]]:
    counts = loop.counters
    frames = counts["frames"]
    tiles = [
        ("frames complete" if frames != 1 else "frame complete", f"{frames:,}"),
        ("events recorded", f"{counts['events_recorded']:,}"),
        ("spectra at events", f"{len(loop.spectra.events):,}"),
        ("spectra at perfect columns", f"{len(loop.spectra.references):,}"),
    ]
    if len(loop.event_to_command_ms):
        median = float(np.median(loop.event_to_command_ms))
        tiles.append(("event to command, median, host's clock", f"{median:.3g} ms"))
    if loop.spectra.comparison:
        sigmas = abs(float(loop.spectra.comparison["sigmas"]))
        tiles.append(("standard errors between the sulphur edges", f"{sigmas:.1f}"))
    return [{"label": label, "value": value} for label, value in tiles]


def _frame(frame: LastFrame | None) -> dict[str, str] | None:
    if frame is None:
        return None
    lines = len(frame.codes)
    whole = frame.rows == lines
    last_ms = float(frame.events[:, 2].max()) if len(frame.events) else 0.0
    seen = f"Frame {frame.number + 1}, " + (
        "the last complete one" if whole else f"incomplete: {frame.rows} of {lines} rows"
    )
    if frame.filled:
        seen += f"; {frame.filled} rows were lost on the way and filled with zeros"
    return {
        "board": loop_figures.board_view(frame),
        "board_text": f"{seen}; {lines}×{frame.codes.shape[1]} pixels of {10 * frame.pitch_nm:.2g} Å.",
        "events": loop_figures.events_view(frame),
        "events_text": f"{len(frame.events):,} events in this frame. In this field the probe was sent back to "
        f"{len(frame.visits):,} places of events, and to {len(frame.references):,} perfect columns to compare.",
        "stops": loop_figures.times_bar(),
        "early": "0",
        "late": f"{last_ms:,.0f} ms after the frame's first event",
    }


def _spectra(spectra: Spectra) -> dict[str, str]:
    drawn = len(spectra.events) + len(spectra.references) > 0
    return {"figure": loop_figures.mean_spectra(spectra) if drawn else "", "text": _compared(spectra)}


def _compared(spectra: Spectra) -> str:
    found = spectra.comparison
    if not found:
        return "Too few spectra of either kind to compare."
    low, high = spectra.windows_eV["sulphur"]
    return (
        f"Sulphur edge above background, {low:g} to {high:g} eV: {found['events']:.1f} ± "
        f"{found['events_error']:.1f} counts at events, {found['references']:.1f} ± "
        f"{found['references_error']:.1f} at perfect columns; {abs(found['sigmas']):.1f} standard errors apart."
    )


def _latency(title: str, loop: Loop, values_ms: FloatArray, color: str) -> dict[str, str]:
    if not len(values_ms):
        clock = bool(loop.instrument["shares_clock"])
        text = "None was measured." if clock else "Not measured: instrument and host share no clock."
        return {"title": title, "figure": "", "text": text}
    low, middle, high = (float(v) for v in np.percentile(values_ms, (5, 50, 95)))
    text = (
        f"{len(values_ms):,} times by the host's clock: median {middle:.3g} ms, "
        f"5 % below {low:.3g} ms, 95 % below {high:.3g} ms."
    )
    return {"title": title, "figure": loop_figures.latency(values_ms, color), "text": text}


def _sum(one: Sum) -> dict[str, str]:
    state, result = {
        True: ("ok", "adds up"),
        False: ("bad", "does not add up"),
        None: ("off", "never fetched"),
    }[one.holds]
    return {
        "left": _words(one.left[0]),
        "left_value": f"{one.left[1]:,}",
        "right": " + ".join(_words(name) for name, _ in one.right),
        "right_value": " + ".join(f"{value:,}" for _, value in one.right),
        "state": state,
        "result": result,
    }


def _words(counter: str) -> str:
    return counter.replace("_", " ")
