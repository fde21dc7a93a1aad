"""What the bridge says of a design that it cannot drive."""

from __future__ import annotations

from pathlib import Path

import pytest
from board_overlays import vector_design

from dwell.errors import ConfigError
from dwell.host.bridge.firmware_board import FirmwareBoard

pytestmark = pytest.mark.fast


def test_whole_frames_of_codes_are_not_a_scan(tmp_path: Path) -> None:
    design = vector_design(tmp_path / "design")
    with pytest.raises(ConfigError, match=r"of kind frames: it takes whole frames of \(6,\) only") as raised:
        FirmwareBoard(design, "sim", tmp_path, "simulated")
    assert "stream" in raised.value.hint
