"""FINN's layers stitched by Vivado, as the core of a design: in place of our own stitching and FIFOs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dwell.commands import run_command
from dwell.errors import ConfigError, ToolNotFoundError
from dwell.hls.finn.flatten import rewrite
from dwell.hls.finn.top import CLOCK, RESET, Core
from dwell.progress import Reporter
from dwell.tools import Tool, find_tool

OWN, VIVADO = "own", "vivado"
#: What a design stitched so says of itself.
NOTE = (
    "stitched by FINN's CreateStitchedIP with {tool}: a way that was tested with a stand-in for Vivado alone"
)


def vivado(*, reload: bool) -> Tool:
    """Vivado. Raises `ToolNotFoundError`, and `ConfigError` for weights that are to be writable."""
    if reload:
        raise ConfigError("Vivado's stitching has no writable weights", hint="leave out --stitch vivado")
    try:
        return find_tool("vivado")
    except ToolNotFoundError as error:
        raise ToolNotFoundError(
            str(error), hint=f"{error.hint}, or leave out --stitch vivado", place=error.place
        ) from error


def by_vivado(
    core: Core,
    depths: Mapping[str, int],
    asked: Mapping[str, object],
    tool: Tool,
    work: Path,
    report: Reporter,
) -> tuple[tuple[Path, ...], str]:
    """Sources in which `finn_design_wrapper` is `core` with FINN's own FIFOs, and a remark.

    `asked` holds `part` and `clock_mhz`. Raises `ToolFailedError`.
    """
    by_pair: dict[str, list[int]] = {}
    for link in core.queued:
        # ours hold one beat more, in their output register
        by_pair.setdefault(">".join(link["layers"]), []).append(depths[str(link["name"])] + 1)
    args = {"out": str(work), "depths": by_pair, "tool": str(tool.path), **asked}
    run_command("finn", "dwell.hls.finn.vivado:stitch", args, report, environment="finn")
    folder = work / "vivado"
    rewrite(folder)
    files = sorted(folder.iterdir(), key=lambda p: (not p.stem.endswith("_pkg"), p.suffix != ".sv", p.name))
    remark = NOTE.format(tool=f"Vivado {tool.version}".strip())
    return tuple(file for file in files if file.suffix in (".v", ".sv")), remark


def print_wrapped(core: Core, module: str) -> str:
    """`module`, with the ports of `print_core`, round `finn_design_wrapper`."""
    into, out = core.bits(core.entry), core.bits(core.final)
    return f"""`default_nettype none

module {module} (
    input  wire {CLOCK},
    input  wire {RESET},
    input  wire [{into - 1}:0] s_data,
    input  wire s_valid,
    output wire s_ready,
    output wire [{out - 1}:0] m_data,
    output wire m_valid,
    input  wire m_ready
);
    finn_design_wrapper u_design (
        .{CLOCK}({CLOCK}), .{RESET}({RESET}), .sim_finish(1'b0),
        .s_axis_0_tdata(s_data), .s_axis_0_tvalid(s_valid), .s_axis_0_tready(s_ready),
        .m_axis_0_tdata(m_data), .m_axis_0_tvalid(m_valid), .m_axis_0_tready(m_ready)
    );
endmodule

`default_nettype wire
"""
