"""The overlay's Verilog as a FuseSoC core."""

from __future__ import annotations

from collections.abc import Sequence

from dwell.firmware.boards import Board
from dwell.firmware.package.plan import ShellPlan


def core_file(plan: ShellPlan, board: Board, version: str, sources: Sequence[str]) -> str:
    """The text of the `.core` file (CAPI2); `sources` are relative to it."""
    files = "\n".join(f"      - {source}" for source in sources)
    return f"""CAPI=2:
name: dwell:overlay:{plan.top}:{version}
description: Firmware shell of dwell round the network {plan.network}

filesets:
  rtl:
    files:
{files}
    file_type: verilogSource-2005

targets:
  default: &default
    filesets: [rtl]
    toplevel: {plan.top}
  lint:
    <<: *default
    default_tool: verilator
    tools:
      verilator:
        mode: lint-only
        verilator_options: [-Wall]
  synth:
    <<: *default
    default_tool: vivado
    tools:
      vivado:
        part: {board.part}
"""
