"""Boards by name: entry points of group `dwell.board_links`, objects with `.name` and `.open(design, target,
work)`.
"""

from __future__ import annotations

from pathlib import Path

from dwell.errors import ConfigError
from dwell.hls.design import Design
from dwell.host.bridge.firmware_board import FirmwareBoard
from dwell.host.bridge.software_board import SoftwareBoard


class SoftwareLink:
    """The entry point `software`: no board, the golden model on the host."""

    name = "software"

    def open(self, design: Design, target: str, work: Path) -> SoftwareBoard:
        """The board of a design. `target` and `work` mean nothing to it."""
        return SoftwareBoard(design.qmodel(), design_digest=design.digest)


class SimulatedLink:
    """The entry point `sim`: the Verilated firmware behind the real PYNQ driver, in a process of its own."""

    name = "sim"

    def open(self, design: Design, target: str, work: Path) -> FirmwareBoard:
        """The board of a design; the first time its model is compiled, which takes a minute."""
        return FirmwareBoard(design, "sim", work, "simulated")


class PynqLink:
    """The entry point `pynq`: a board over ssh, `pynq:HOST`. Never tried on one: there was none."""

    name = "pynq"

    def open(self, design: Design, target: str, work: Path) -> FirmwareBoard:
        """The board at `target`, as ssh takes it."""
        if not target:
            raise ConfigError("which board?", hint="write pynq:HOST, such as pynq:xilinx@192.168.2.99")
        return FirmwareBoard(design, target, work, "hardware")


SOFTWARE = SoftwareLink()
SIMULATED = SimulatedLink()
PYNQ = PynqLink()
