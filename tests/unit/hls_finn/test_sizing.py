"""FIFO depths: the smallest that keep the interval; rewriting that does not fit its source."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from dwell.errors import ToolFailedError, VerificationError
from dwell.hls.finn.flatten import REWRITES, rewrite
from dwell.hls.finn.sizing import NEVER, interval, size_fifos
from dwell.hls.finn.top import Core, print_core

pytestmark = pytest.mark.fast

LINKS = (
    {"name": "in", "bits": 8, "layers": ["a"]},
    {"name": "ab", "bits": 8, "layers": ["a", "b"]},
    {"name": "bc", "bits": 16, "layers": ["b", "c"]},
    {"name": "out", "bits": 8, "layers": ["c"]},
)
CORE = Core((), LINKS, "in", "out")


def test_every_fifo_is_as_shallow_as_the_interval_allows() -> None:
    needed = {"ab": 5, "bc": 17}

    def measure(depths: Mapping[str, int]) -> int:
        return 100 + sum(max(0, needed[name] - depth) for name, depth in depths.items())

    sizes = size_fifos(CORE, measure)
    assert dict(sizes.depths) == needed
    assert sizes.frame_cycles == sizes.unlimited_cycles == 100


def test_layers_that_wait_for_each_other_are_noticed() -> None:
    with pytest.raises(VerificationError, match="stand still"):
        size_fifos(CORE, lambda depths: NEVER)


def test_a_depth_at_which_nothing_moves_is_too_shallow() -> None:
    def measure(depths: Mapping[str, int]) -> int:
        return 100 if depths["ab"] >= 300 else NEVER

    assert dict(size_fifos(CORE, measure).depths) == {"ab": 300, "bc": 1}


def test_the_interval_is_that_of_the_later_frames() -> None:
    clocks = np.array([10, 11, 20, 21, 40, 41, 60, 61], dtype=np.uint32)
    assert interval(clocks, 2) == 20
    with pytest.raises(VerificationError, match="too few"):
        interval(clocks[:4], 2)


def test_fifos_stand_between_layers_only() -> None:
    text = print_core(CORE, "core", {"ab": 5, "bc": 0})
    assert ".DEPTH(5)) ab_fifo" in text
    assert "bc_fifo" not in text and "in_fifo" not in text
    assert text.count("dwell_limited_fifo") == 0
    assert print_core(CORE, "core", None).count("dwell_limited_fifo") == 2


@pytest.mark.parametrize("change", REWRITES, ids=lambda change: change.file)
def test_a_library_of_another_version_is_noticed(change: object, tmp_path: Path) -> None:
    (tmp_path / change.file).write_text("module other;\nendmodule\n")  # type: ignore[attr-defined]
    with pytest.raises(ToolFailedError, match="rewriting"):
        rewrite(tmp_path)
