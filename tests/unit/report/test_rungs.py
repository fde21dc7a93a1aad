"""How a rung shows on the report."""

from __future__ import annotations

from types import SimpleNamespace

from dwell.report.render import _rung, _widths_text

RUNG = {"rung": 3, "ok": True, "compared": 10_000, "mismatches": 0, "tool": "g++", "reason": "r"}


def test_a_rung_that_does_not_apply_is_neither_good_nor_bad() -> None:
    row = _rung(3, "emulation", {**RUNG, "ok": None})
    assert row["state"] == "off" and row["result"] == "not applicable: r"
    assert _rung(3, "emulation", RUNG)["state"] == "ok"
    assert _rung(3, "emulation", {**RUNG, "ok": False})["state"] == "bad"
    assert _rung(3, "emulation", None)["result"] == "not climbed"


def test_widths_by_the_hessian_show_where_there_are_any() -> None:
    found = SimpleNamespace(metrics={"weight_bits": {"conv1": 6, "conv2": 3}})
    assert _widths_text(found) == " Widths of weights by the Hessian: conv1 6, conv2 3 bits."
    assert _widths_text(SimpleNamespace(metrics={})) == "" == _widths_text(None)
