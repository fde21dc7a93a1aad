"""The hardware hand-off file, as far as PYNQ reads one: the system that Vivado would describe in its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from xml.etree import ElementTree as Xml

from dwell.firmware.boards import System
from dwell.firmware.driver.registers import REGISTERS
from dwell.firmware.package.plan import DMA_LENGTH_BITS, WEIGHTS, ShellPlan

SHELL_VLNV = "dwell:firmware:dwell_shell:1.0"
WEIGHTS_VLNV = "dwell:firmware:dwell_weights:1.0"
SHELL_RANGE = 0x1000
DMA_RANGE = 0x10000
_REALIGNED_BITS = 512
_AXIMM = "xilinx.com:interface:aximm:1.0"


def hwh(plan: ShellPlan, system: System) -> str:
    """The file's text."""
    root = Xml.Element("EDKSYSTEM", EDWVERSION="1.2", TIMESTAMP="none", VIVADOVERSION="2022.1")
    Xml.SubElement(
        root, "SYSTEMINFO", ARCH="zynq", DEVICE=system.device, NAME=plan.top,
        PACKAGE=system.package, SPEEDGRADE=system.speed_grade,
    )  # fmt: skip
    Xml.SubElement(root, "EXTERNALPORTS")
    Xml.SubElement(root, "EXTERNALINTERFACES")
    modules = Xml.SubElement(root, "MODULES")
    _dma(modules, "frames_dma", send=plan.source_bits, receive=plan.decision_bits)
    _dma(modules, "events_dma", send=0, receive=128)
    _shell(modules, plan)
    if plan.weights_bits:
        _weights(modules, plan)
    _processing_system(modules, system, regions(plan))
    Xml.indent(root, space=" ")
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + Xml.tostring(root, encoding="unicode") + "\n"


def regions(plan: ShellPlan) -> list[tuple[str, str, int]]:
    """(block, interface, bytes) of every address region."""
    weights = [(WEIGHTS, "s_axil", max(SHELL_RANGE, 1 << plan.weights_bits))] if plan.weights_bits else []
    return [
        ("frames_dma", "S_AXI_LITE", DMA_RANGE),
        ("events_dma", "S_AXI_LITE", DMA_RANGE),
        ("trigger", "s_axil", SHELL_RANGE),
        *weights,
    ]


def dma_parameters(send_bits: int, receive_bits: int) -> dict[str, object]:
    """The configuration of an AXI DMA with a send and a receive stream of these widths, 0 for none.

    The memory side is never narrower than the stream, and streams over 512 bits cannot be realigned
    (Xilinx PG021); PYNQ's buffers begin on a page.
    """
    return {
        "c_include_mm2s": int(send_bits > 0),
        "c_include_s2mm": int(receive_bits > 0),
        "c_include_sg": 0,
        "c_sg_length_width": DMA_LENGTH_BITS,
        "c_micro_dma": 0,
        "c_include_mm2s_dre": int(send_bits <= _REALIGNED_BITS),
        "c_include_s2mm_dre": 0,
        "c_m_axi_mm2s_data_width": max(64, send_bits),
        "c_m_axis_mm2s_tdata_width": send_bits or 32,
        "c_m_axi_s2mm_data_width": max(64, receive_bits),
        "c_s_axis_s2mm_tdata_width": receive_bits or 32,
        "c_mm2s_burst_size": 16,
        "c_s2mm_burst_size": 16,
    }


def _dma(modules: Xml.Element, name: str, *, send: int, receive: int) -> None:
    module = _module(modules, name, "axi_dma", "xilinx.com:ip:axi_dma:7.1", "PERIPHERAL")
    _parameters(module, dma_parameters(send, receive))
    _port(module, "S_AXI_LITE", "SLAVE")


def _shell(modules: Xml.Element, plan: ShellPlan) -> None:
    module = _module(modules, "trigger", plan.top, SHELL_VLNV, "PERIPHERAL")
    blocks = Xml.SubElement(module, "ADDRESSBLOCKS")
    block = Xml.SubElement(
        blocks, "ADDRESSBLOCK", ACCESS="read-write", INTERFACE="s_axil", NAME="Reg",
        RANGE=str(SHELL_RANGE), USAGE="register",
    )  # fmt: skip
    registers = Xml.SubElement(block, "REGISTERS")
    for name, (offset, access, fields) in REGISTERS.items():
        register = Xml.SubElement(registers, "REGISTER", NAME=name)
        _properties(
            register,
            {
                "DESCRIPTION": name,
                "ADDRESS_OFFSET": hex(offset),
                "SIZE": 32,
                "ACCESS": access,
                "IS_ENABLED": "true",
            },
        )
        inside = Xml.SubElement(register, "FIELDS")
        for field_name, low, bits in fields:
            field = Xml.SubElement(inside, "FIELD", NAME=field_name)
            _properties(
                field, {"DESCRIPTION": field_name, "BIT_OFFSET": low, "BIT_WIDTH": bits, "ACCESS": access}
            )
    _parameters(module, {"C_S_AXIL_ADDR_WIDTH": 12})
    _port(module, "s_axil", "SLAVE")


def _weights(modules: Xml.Element, plan: ShellPlan) -> None:
    module = _module(modules, WEIGHTS, "dwell_weights", WEIGHTS_VLNV, "PERIPHERAL")
    blocks = Xml.SubElement(module, "ADDRESSBLOCKS")
    Xml.SubElement(
        blocks, "ADDRESSBLOCK", ACCESS="read-write", INTERFACE="s_axil", NAME="Reg",
        RANGE=str(max(SHELL_RANGE, 1 << plan.weights_bits)), USAGE="register",
    )  # fmt: skip
    _parameters(module, {"ADDR_BITS": plan.weights_bits})
    _port(module, "s_axil", "SLAVE")


def _processing_system(modules: Xml.Element, system: System, regions: Sequence[tuple[str, str, int]]) -> None:
    kind = system.processing_system
    module = _module(modules, "processing_system7_0", kind, f"xilinx.com:ip:{kind}:5.5", "PERIPHERAL")
    values: dict[str, object] = {}
    for index in range(4):
        values[f"PCW_FPGA_FCLK{index}_ENABLE"] = int(index == 0)
        values[f"PCW_FCLK{index}_PERIPHERAL_DIVISOR0"] = 5
        values[f"PCW_FCLK{index}_PERIPHERAL_DIVISOR1"] = 2
        values[f"PCW_FCLK{index}_PERIPHERAL_CLKSRC"] = "IO PLL"
    _parameters(module, values)
    _port(module, "M_AXI_GP0", "MASTER")
    memory = Xml.SubElement(module, "MEMORYMAP")
    for name, port, size in regions:
        base = system.addresses[name]
        Xml.SubElement(
            memory, "MEMRANGE", ADDRESSBLOCK="Reg", BASENAME="C_BASEADDR", BASEVALUE=f"{base:#010x}",
            HIGHNAME="C_HIGHADDR", HIGHVALUE=f"{base + size - 1:#010x}", INSTANCE=name, IS_DATA="TRUE",
            IS_INSTRUCTION="TRUE", MASTERBUSINTERFACE="M_AXI_GP0", MEMTYPE="REGISTER", SLAVEBUSINTERFACE=port,
        )  # fmt: skip


def _module(modules: Xml.Element, name: str, kind: str, vlnv: str, iptype: str) -> Xml.Element:
    extra = {"IS_PL": "FALSE"} if kind.startswith("processing_system") else {}
    version = vlnv.rsplit(":", 1)[1]
    return Xml.SubElement(
        modules, "MODULE",
        {"FULLNAME": f"/{name}", "HWVERSION": version, "INSTANCE": name, "IPTYPE": iptype, **extra,
         "MODTYPE": kind, "VLNV": vlnv},
    )  # fmt: skip


def _parameters(module: Xml.Element, values: Mapping[str, object]) -> None:
    parameters = Xml.SubElement(module, "PARAMETERS")
    for name, value in values.items():
        Xml.SubElement(parameters, "PARAMETER", NAME=name, VALUE=str(value))
    Xml.SubElement(module, "PORTS")


def _port(module: Xml.Element, name: str, kind: str) -> None:
    interfaces = Xml.SubElement(module, "BUSINTERFACES")
    bus = Xml.SubElement(
        interfaces, "BUSINTERFACE", BUSNAME=f"bus_{name}", DATAWIDTH="32", NAME=name, TYPE=kind, VLNV=_AXIMM
    )
    Xml.SubElement(bus, "PARAMETER", NAME="DATA_WIDTH", VALUE="32")
    Xml.SubElement(bus, "PORTMAPS")


def _properties(element: Xml.Element, values: Mapping[str, object]) -> None:
    for name, value in values.items():
        Xml.SubElement(element, "PROPERTY", NAME=name, VALUE=str(value))
