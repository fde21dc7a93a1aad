"""From the integer graph to Verilog: `write_design` and its options."""

from dwell.hls.rtl.options import STYLES, RtlOptions
from dwell.hls.rtl.write import library_files, write_design

__all__ = ["STYLES", "RtlOptions", "library_files", "write_design"]
