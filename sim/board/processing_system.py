"""The registers of the Zynq-7000's processing system that PYNQ touches before an overlay runs."""

from __future__ import annotations

_SLCR = 0xF8000000
_PLL_FEEDBACK = {0x100: 40, 0x104: 32, 0x108: 30}
_FPGA_CLOCKS = (0x170, 0x180, 0x190, 0x1A0)

WORDS_AT_START: dict[int, int] = {
    **{_SLCR + offset: factor << 12 for offset, factor in _PLL_FEEDBACK.items()},
    **{_SLCR + offset: 0x00400500 for offset in _FPGA_CLOCKS},
    _SLCR + 0x120: 0x1F000200,
}
"""Power-on values by physical address (Xilinx UG585, appendix B): PLL factors, clock dividers."""


def in_processing_system(address: int) -> bool:
    """Whether an address belongs to the processing system's own registers."""
    return 0xE0000000 <= address < 0xFFFF0000
