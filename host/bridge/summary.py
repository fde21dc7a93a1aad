"""What came of a run, in a few figures: printed by `dwell bridge` and kept beside the record.

Everything in it is taken from the record, so it says the same however the run ended.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dwell.errors import ResourceError
from dwell.host.bridge.analysis import BACKGROUND_EV, SULPHUR_EV, compare
from dwell.host.bridge.record import Record, open_record


def summary_path(record: Path) -> Path:
    """Where a record's summary is: beside it, as `.json`."""
    return record.with_suffix(".json")


def keep_summary(record: Path, board: str) -> dict[str, Any]:
    """Summarize a record and keep that beside it; the file is whole or absent.

    `board` is what was asked for. Raises `ConfigError` if there is no record, `ResourceError` if the summary
    cannot be written.
    """
    summary = summarize(open_record(record), record, board)
    path = summary_path(record)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        temporary.write_text(json.dumps(summary, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise ResourceError(f"the summary {path} cannot be written: {error}", place=str(path)) from error
    return summary


def summarize(record: Record, path: Path, board: str) -> dict[str, Any]:
    """The JSON keys of `dwell bridge`. Latencies are given where instrument and host share a clock."""
    counts = record.counters
    about = json.loads(record.attributes["board"])
    instrument = json.loads(record.attributes["instrument"])
    visits = record.commands[record.commands["reason"] == b"event"]
    clock = bool(instrument["shares_clock"])
    return {
        "frames": counts["frames"],
        "triggers": counts["triggers"],
        "actions": counts["commands"],
        "dropped": counts["pixels_dropped"] + counts["events_dropped"] + counts["rows_lost"],
        "decision_us": about["decision_us"],
        "board": board,
        "evidence": about["evidence"],
        "instrument": instrument["name"],
        "instrument_simulated": instrument["simulated"],
        "counters": dict(counts),
        "event_to_command_ms": _span(visits["event_seen_s"], visits["received_s"], clock),
        "first_event_to_command_ms": _span(visits["first_event_seen_s"], visits["received_s"], clock),
        "row_to_event_ms": _span(record.events["row_finished_s"], record.events["seen_s"], clock),
        "sulphur": compare_record(record),
        "windows_eV": {"background": list(BACKGROUND_EV), "sulphur": list(SULPHUR_EV)},
        "stopped": "" if record.status == "complete" else record.status,
        "record": str(path),
    }


def compare_record(record: Record) -> dict[str, Any] | None:
    """The comparison of a record's spectra as JSON; None with too few of them."""
    found = compare(record.energies_eV, record.spectra_for("event"), record.spectra_for("reference"))
    return asdict(found) if found is not None else None


def _span(start_s: NDArray[np.float64], end_s: NDArray[np.float64], clock: bool) -> Mapping[str, float | int]:
    """Distribution in ms of the times between two moments, where both are known."""
    span_ms = (end_s - start_s) * 1e3
    return distribution(span_ms[np.isfinite(span_ms)] if clock else np.zeros(0))


def distribution(values: NDArray[np.float64]) -> dict[str, float | int]:
    """Count, median, 5th and 95th percentile and greatest of some measurements (N,)."""
    if not len(values):
        return {"n": 0}
    low, middle, high = (float(v) for v in np.percentile(values, (5, 50, 95)))
    return {"n": len(values), "p5": low, "median": middle, "p95": high, "max": float(values.max())}
