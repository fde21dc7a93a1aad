"""Print the loop's figures from a record: row to event, event to command, with their distributions.

python bench/loop_latency.py examples/vacancy/.dwell/runs/RUN.h5
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from dwell.host.bridge.record import Record, open_record
from dwell.host.bridge.summary import compare_record

BARS = 40
EDGES_MS = (0, 1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 100, 1e9)


def histogram(title: str, values_ms: np.ndarray) -> None:
    values = values_ms[np.isfinite(values_ms)]
    if len(values) == 0:
        print(f"{title}: nothing measured")
        return
    low, middle, high = np.percentile(values, (5, 50, 95))
    print(f"{title}: n {len(values)}, 5 % {low:.2f} ms, median {middle:.2f} ms, 95 % {high:.2f} ms")
    counts, _ = np.histogram(values, EDGES_MS)
    for count, left, right in zip(counts, EDGES_MS, EDGES_MS[1:], strict=False):
        if count:
            upper = f"{right:g}" if right < 1e9 else "…"
            print(
                f"  {left:>5g} to {upper:>4} ms {count:6d} {'█' * max(1, int(BARS * count / counts.max()))}"
            )


def main(record: Record) -> None:
    board = json.loads(record.attributes["board"])
    print(
        f"board: {board['name']} ({board['evidence']}); {record.counters['frames']} frames, {record.status}"
    )
    histogram(
        "row scanned -> event at the host", (record.events["seen_s"] - record.events["row_finished_s"]) * 1e3
    )
    visits = record.commands[record.commands["reason"] == b"event"]
    histogram("event -> command at the instrument", (visits["received_s"] - visits["event_seen_s"]) * 1e3)
    first = (visits["received_s"] - visits["first_event_seen_s"]) * 1e3
    histogram("first event of the vacancy -> command at the instrument", first)
    c = record.counters
    print(f"pixels in {c['pixels_in']} = decided {c['pixels_decided']} + dropped {c['pixels_dropped']}")
    print(f"triggers {c['triggers']} = recorded {c['events_recorded']} + dropped {c['events_dropped']}")
    found = compare_record(record)
    if found is not None:
        print(
            f"sulphur edge: events {found['events']:.1f} ± {found['events_error']:.1f}, perfect columns "
            f"{found['references']:.1f} ± {found['references_error']:.1f}, "
            f"{found['sigmas']:.1f} standard errors apart"
        )


if __name__ == "__main__":
    main(open_record(Path(sys.argv[1])))
