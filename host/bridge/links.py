"""Boards by name: entry points of group `dwell.board_links`, objects with `.name` and `.open(design, target,
work)`.
"""

from __future__ import annotations

from pathlib import Path

from dwell.hls.design import Design
from dwell.host.bridge.software_board import SoftwareBoard


class SoftwareLink:
    """The entry point `software`: no board, the golden model on the host."""

    name = "software"

    def open(self, design: Design, target: str, work: Path) -> SoftwareBoard:
        """The board of a design. `target` and `work` mean nothing to it."""
        return SoftwareBoard(design.qmodel(), design_digest=design.digest)


SOFTWARE = SoftwareLink()
