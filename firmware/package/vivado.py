"""The Vivado project of an overlay, as Tcl. Where Vivado is absent it has never been run, and says so."""

from __future__ import annotations

from collections.abc import Sequence

from dwell.firmware.boards import Board, System
from dwell.firmware.package.hwh import dma_parameters, regions
from dwell.firmware.package.plan import WEIGHTS, ShellPlan
from dwell.firmware.package.top import weights_ports

_HEAD = """\
# Vivado project of overlay {top}, board {board}: `vivado -mode batch -source build.tcl`.
# NEVER RUN: written without Vivado at hand. It makes ../{name}.bit and ../{name}.hwh anew, over the
# simulation-only ones, and leaves timing and utilization reports beside this file.
set here [file dirname [file normalize [info script]]]
create_project -force {top} $here/project -part {part}
if {{[llength [get_board_parts -quiet {board_part}]]}} {{
  set_property board_part {board_part} [current_project]
}}
"""

_SYSTEM = """\
update_compile_order -fileset sources_1
create_bd_design system
set ps [create_bd_cell -type ip -vlnv xilinx.com:ip:processing_system7:5.5 processing_system7_0]
catch {{ apply_bd_automation -rule xilinx.com:bd_rule:processing_system7 \\
  -config {{make_external "FIXED_IO, DDR" apply_board_preset "1"}} $ps }}
set_property -dict [list CONFIG.PCW_USE_S_AXI_HP0 1 CONFIG.PCW_USE_S_AXI_HP1 1 CONFIG.PCW_USE_M_AXI_GP0 1 \\
  CONFIG.PCW_FPGA0_PERIPHERAL_FREQMHZ {clock}] $ps
create_bd_cell -type module -reference {top} trigger
{dmas}
connect_bd_intf_net [get_bd_intf_pins frames_dma/M_AXIS_MM2S] [get_bd_intf_pins trigger/s_axis]
connect_bd_intf_net [get_bd_intf_pins trigger/m_axis] [get_bd_intf_pins frames_dma/S_AXIS_S2MM]
connect_bd_intf_net [get_bd_intf_pins trigger/m_axis_events] [get_bd_intf_pins events_dma/S_AXIS_S2MM]
# The DMA's stream marks no frames: the shell counts them out.
set zero [create_bd_cell -type ip -vlnv xilinx.com:ip:xlconstant:1.1 zero]
set_property CONFIG.CONST_VAL 0 $zero
catch {{ connect_bd_net [get_bd_pins zero/dout] [get_bd_pins trigger/s_axis_tuser] }}
{weights}foreach slave {{{slaves}}} {{
  apply_bd_automation -rule xilinx.com:bd_rule:axi4 \\
    -config {{Master "/processing_system7_0/M_AXI_GP0" Clk "Auto"}} [get_bd_intf_pins $slave]
}}
set memory {{frames_dma/M_AXI_MM2S S_AXI_HP0 frames_dma/M_AXI_S2MM S_AXI_HP0 events_dma/M_AXI_S2MM S_AXI_HP1}}
foreach {{master slave}} $memory {{
  apply_bd_automation -rule xilinx.com:bd_rule:axi4 \\
    -config [list Master "/$master" Slave "/processing_system7_0/$slave" Clk "Auto"] \\
    [get_bd_intf_pins $master]
}}
{addresses}
make_bd_pins_external -name trigger_pulse [get_bd_pins trigger/trigger_pulse]
validate_bd_design
save_bd_design
add_files -norecurse [make_wrapper -files [get_files system.bd] -top]
set_property top system_wrapper [current_fileset]
launch_runs impl_1 -to_step write_bitstream -jobs 4
wait_on_run impl_1
if {{[get_property PROGRESS [get_runs impl_1]] ne "100%"}} {{ error "implementation failed" }}
open_run impl_1
report_timing_summary -file $here/timing.rpt
report_utilization -file $here/utilization.rpt
if {{[get_property SLACK [get_timing_paths]] < 0}} {{ error "timing is not met: see timing.rpt" }}
file copy -force [glob $here/project/{top}.runs/impl_1/*.bit] $here/../{name}.bit
file copy -force [glob $here/project/{top}.gen/sources_1/bd/system/hw_handoff/system.hwh] $here/../{name}.hwh
"""


def build_tcl(plan: ShellPlan, board: Board, system: System, name: str, sources: Sequence[str]) -> str:
    """The text of `build.tcl`; `sources` are relative to the overlay's folder."""
    files = "".join(f"add_files -norecurse $here/../{source}\n" for source in sources)
    dmas = "\n".join(
        _dma(engine, send, receive)
        for engine, send, receive in (
            ("frames_dma", plan.source_bits, plan.decision_bits),
            ("events_dma", 0, 128),
        )
    )
    addresses = "\n".join(
        f"set_property -dict [list offset {system.addresses[cell]:#010x} range {size // 1024}K] "
        f"[get_bd_addr_segs processing_system7_0/Data/SEG_{cell}_*]"
        for cell, _, size in regions(plan)
    )
    head = _HEAD.format(
        top=plan.top, board=board.name, name=name, part=board.part, board_part=system.vivado_board_part
    )
    body = _SYSTEM.format(
        top=plan.top,
        name=name,
        clock=f"{board.clock.default_mhz:g}",
        dmas=dmas,
        addresses=addresses,
        weights=_weights(plan),
        slaves=" ".join(f"{cell}/{port}" for cell, port, _ in regions(plan)),
    )
    return head + files + "add_files -fileset constrs_1 -norecurse $here/pins.xdc\n" + body


def pins_xdc(system: System) -> str:
    """The constraints: where the pulse leaves the device."""
    return "".join(
        f"set_property -dict {{PACKAGE_PIN {pin} IOSTANDARD {system.io_standard}}} [get_ports {port}]\n"
        for port, pin in system.pins.items()
    )


def _weights(plan: ShellPlan) -> str:
    """The block through which weights are written, wired to the top pin by pin."""
    if not plan.weights_bits:
        return ""
    names = " ".join(name for _, _, name in weights_ports(plan))
    return (
        f"create_bd_cell -type module -reference dwell_weights {WEIGHTS}\n"
        f"set_property CONFIG.ADDR_BITS {plan.weights_bits} [get_bd_cells {WEIGHTS}]\n"
        f"foreach name {{{names}}} {{\n"
        f"  connect_bd_net [get_bd_pins {WEIGHTS}/weights_$name] [get_bd_pins trigger/s_axil_weights_$name]\n"
        "}\n"
    )


def _dma(name: str, send: int, receive: int) -> str:
    settings = " ".join(f"CONFIG.{key} {value}" for key, value in dma_parameters(send, receive).items())
    return (
        f"create_bd_cell -type ip -vlnv xilinx.com:ip:axi_dma:7.1 {name}\n"
        f"set_property -dict [list {settings}] [get_bd_cells {name}]"
    )
