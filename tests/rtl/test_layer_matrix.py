"""Every layer through every style: exact over a thousand vectors and more, or refused with a reason.

What is found lies in `build/support`; `docs/reference/support-matrix.md`, made from it by
`bench/support_matrix.py`, must say the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from batches import build_batches
from layer_cells import COLUMNS, ROWS, Row, cell
from random_networks import REFUSALS, check_design, message_of

from dwell.errors import ToolFailedError, VerificationError
from dwell.hls.rtl import write_design
from dwell.sim.dut import Dut, load_dut

pytestmark = pytest.mark.rtl

ROOT = Path(__file__).parents[2]
FOUND = ROOT / "build" / "support"
PAGE = ROOT / "docs" / "reference" / "support-matrix.md"
VECTORS = 1000


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Simulators built by these tests go with them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DWELL_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def _written(row: Row, column: str, folder: Path) -> Dut | str:
    """The design of a cell, or why it is refused."""
    model, options = cell(row, COLUMNS[column])
    try:
        write_design(model, options, folder / model.name)
    except REFUSALS as error:
        return error.message
    return load_dut(folder / model.name)


def _page_column(column: str) -> dict[str, str]:
    """What the page says of a style, by layer."""
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("|")]
    heads, *rows = [[part.strip() for part in line.strip("|").split("|")] for line in lines]
    at = heads.index(column)
    return {row[0]: row[at] for row in rows[1:]}


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("column", COLUMNS)
def test_every_layer_is_exact_or_refused(column: str, tmp_path: Path) -> None:
    found: dict[str, dict[str, object]] = {}
    duts: dict[str, Dut] = {}
    for row in ROWS:
        try:
            made = _written(row, column, tmp_path)
        except Exception as error:
            found[row.name] = {"status": "wrong", "reason": message_of(error)}
            continue
        if isinstance(made, Dut):
            duts[row.name] = made
        else:
            found[row.name] = {"status": "refused", "reason": made}
    for name, core in zip(duts, build_batches(list(duts.values()), tmp_path / "batch"), strict=True):
        try:
            compared = check_design(duts[name], core, VECTORS)
            found[name] = {"status": "exact", "vectors": compared, "any_size": duts[name].any_size}
        except (VerificationError, ToolFailedError) as error:
            found[name] = {"status": "wrong", "reason": message_of(error)}
    FOUND.mkdir(parents=True, exist_ok=True)
    text = json.dumps({row.name: found[row.name] for row in ROWS}, indent=1)
    (FOUND / f"{column.replace(' ', '_')}.json").write_text(text + "\n")
    wrong = {name: entry["reason"] for name, entry in found.items() if entry["status"] == "wrong"}
    assert not wrong, json.dumps(wrong, indent=1)
    assert all(int(str(e["vectors"])) >= VECTORS for e in found.values() if e["status"] == "exact")
    said = {name: text.split()[0] for name, text in _page_column(column).items()}
    assert said == {name: entry["status"] for name, entry in found.items()}, "run make support-matrix"


def test_the_page_says_of_every_layer_what_the_converter_does(tmp_path: Path) -> None:
    """Not whether it is exact, which takes minutes, but whether it is taken at all."""
    wrong = []
    for column in COLUMNS:
        said = _page_column(column)
        assert list(said) == [row.name for row in ROWS]
        for row in ROWS[::6]:
            status = "exact" if isinstance(_written(row, column, tmp_path), Dut) else "refused"
            if not said[row.name].startswith(status):
                wrong.append(f"{row.name}, {column}: the page says {said[row.name]}, and it is {status}")
    assert not wrong, "\n".join(["run make support-matrix", *wrong])
