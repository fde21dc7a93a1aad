"""The comparison page: what it says of what was measured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from finn_page import Estimate, Found, Group, Network, Row, Source, from_json, page, to_json, wrong

FINN = Row(
    "finn", "100,000/s", "MVAU_rtl_0 PE 1 SIMD 3", 768, 1033, 1141,
    1545, 1817, 7, 0.5, 132.6, 30.1, 12.0, 101, 1010, 0,
)  # fmt: skip
RTL = replace(FINN, flow="rtl", asked="768 clocks", folds="conv1 12", first=1090, last=1090, build_s=0.1)
NETWORK = Network(
    "A network",
    "Of three layers.",
    Source("QONNX executor", 100, 41_300, ""),
    "",
    (Group(FINN, RTL, Estimate("768 clocks", "conv1 9", 703, 846, 8, 1.5)),),
)

pytestmark = pytest.mark.fast


def test_a_line_for_each_flow() -> None:
    text = page(Found("Made by hand.", (NETWORK,)))
    lines = [line for line in text.splitlines() if line.startswith(("| `", "| hls4ml"))]
    assert lines == [
        "| `finn` | 100,000/s | 768 | 1,033 | 1,141 | 1,545 | 1,817 | 7 | 0.5 | 133 | 30.1 | 301 | 0 of 1,010 |",
        "| `rtl` | 768 clocks | 768 | 1,090 | 1,090 | 1,545 | 1,817 | 7 | 0.5 | 133 | 0.1 | 1 | 0 of 1,010 |",
        "| hls4ml, estimate | 768 clocks | ≥ 703 | – | ≥ 846 | – | – | ≤ 8 | ≤ 1.5 | – | – | – | – |",
    ]
    assert "41,300 codes at its quantizers over 100 frames, 0 differ" in text
    assert "Nothing was\n  placed or routed" in text
    assert "Not exact" not in text and not wrong([NETWORK])


def test_the_header_fits_the_lines() -> None:
    table = [line.count("|") for line in page(Found("", (NETWORK,))).splitlines() if line.startswith("|")]
    assert len(table) == 5 and set(table) == {14}


def test_a_wrong_result_is_said_first() -> None:
    group = replace(NETWORK.groups[0], rtl=replace(RTL, mismatches=3))
    faulty = replace(NETWORK, groups=(group,))
    text = page(Found("", (faulty,)))
    assert "**Not exact:**\n\n- A network, rtl, 768 clocks: 3 of 1,010 results\n" in text
    assert "| **3 of 1,010** |" in text


def test_a_golden_model_that_is_not_the_network_is_said() -> None:
    faulty = replace(NETWORK, source=Source("QONNX executor", 100, 0, "relu1: code 3 where 4 is right"))
    assert wrong([faulty]) == ["A network: golden model against the network: relu1: code 3 where 4 is right"]
    assert "**The golden model is not the network**" in page(Found("", (faulty,)))


def test_what_is_left_out_is_said() -> None:
    assert "tfc was not there" in page(Found("", (), ("tfc was not there",)))


def test_the_json_holds_all_of_it() -> None:
    found = Found("Made by hand.", (NETWORK,), ("tfc was not there",))
    assert from_json(to_json(found)) == found


def test_the_page_in_the_documentation_is_that_of_its_json() -> None:
    path = Path(__file__).parents[3] / "docs" / "reference" / "finn-comparison.md"
    found = from_json(path.with_suffix(".json").read_text())
    assert path.read_text() == page(found), "python bench/finn_comparison.py --again"
    assert not wrong(found.networks)
