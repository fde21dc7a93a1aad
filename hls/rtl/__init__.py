"""From the integer graph to Verilog: `write_design` and its options."""

from dwell.hls.rtl.design.write import library_files, write_design
from dwell.hls.rtl.options import STYLES, RtlOptions

__all__ = ["STYLES", "RtlOptions", "library_files", "write_design"]
