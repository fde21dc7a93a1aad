"""The support matrix, from what the tests have found: which layer goes exactly through which style.

    python -m pytest tests/rtl/test_layer_matrix.py     # some minutes: leaves build/support/*.json
    python bench/support_matrix.py [--check]

Writes docs/reference/support-matrix.md, and ends with 1 if a layer is wrong. With --check it writes nothing
and ends with 1 if the page says anything else.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
FOUND = ROOT / "build" / "support"
PAGE = ROOT / "docs" / "reference" / "support-matrix.md"
COLUMNS = ("unrolled", "folded", "stream", "stream x4", "stream folded")

_NAME = re.compile(r"\b(?:layer )?'\w+' of type (\w+)")
"""The tiny networks' own names say nothing to a reader."""

HEAD = """# What goes through which style

Made by `make support-matrix` from what `tests/rtl/test_layer_matrix.py` finds; not written by hand.

Each row is a layer in a tiny network of its own, each column a style of `dwell convert` with its io:
`unrolled` takes a whole sample a beat; `folded` uses each multiplier about four times; `stream` takes a
pixel a beat, `stream x4` four of them; in `stream folded` a pixel's multipliers are used about four times too.

**exact** *n*: over *n* results, extremes of the input type among them, at full speed and again with gaps and
back-pressure, the Verilog in Verilator gave the golden model's codes, in the clocks that `design.json` says;
frames that broke off came out completed with zeros. **refused**: the converter says that it does not
carry the layer in this style, with the reason below.
An asterisk: such a design takes frames of any size.

"""


def main() -> int:
    """Write or check the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    chosen = parser.parse_args()
    found = {column: _found(column) for column in COLUMNS}
    text = page(found)
    if chosen.check:
        same = PAGE.is_file() and PAGE.read_text() == text
        print(f"{PAGE.relative_to(ROOT)} {'agrees' if same else 'does not agree'} with build/support")
        return 0 if same else 1
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(text)
    print(PAGE.relative_to(ROOT))
    wrong = [
        f"{layer}, {name}" for name, column in found.items() for layer in column if _is_wrong(column[layer])
    ]
    print("\n".join([f"wrong: {place}" for place in wrong]))
    return 1 if wrong else 0


def page(found: dict[str, dict[str, dict[str, Any]]]) -> str:
    """The page's text. A layer that a style was not asked about is `not tried`."""
    layers = list(dict.fromkeys(name for cells in found.values() for name in cells))
    reasons: list[str] = []
    lines = [f"| layer | {' | '.join(found)} |", f"| --- |{' --- |' * len(found)}"]
    for layer in layers:
        cells = [_cell(found[column].get(layer), reasons) for column in found]
        lines.append(f"| {layer} | {' | '.join(cells)} |")
    notes = [f"{index}. {reason}" for index, reason in enumerate(reasons, 1)]
    ending = ["", "## Reasons", "", *notes] if notes else []
    return HEAD + "\n".join([*lines, *ending]) + "\n"


def _cell(entry: dict[str, Any] | None, reasons: list[str]) -> str:
    if entry is None:
        return "not tried"
    if entry["status"] == "exact":
        mark = "\\*" if entry["any_size"] else ""
        return f"exact {entry['vectors']:,}{mark}"
    reason = _NAME.sub(r"\1", entry["reason"].splitlines()[0])
    if reason not in reasons:
        reasons.append(reason)
    return f"{entry['status']} ({reasons.index(reason) + 1})"


def _is_wrong(entry: dict[str, Any]) -> bool:
    return bool(entry["status"] == "wrong")


def _found(column: str) -> dict[str, dict[str, Any]]:
    path = FOUND / f"{column.replace(' ', '_')}.json"
    return dict(json.loads(path.read_text())) if path.is_file() else {}


if __name__ == "__main__":
    sys.exit(main())
