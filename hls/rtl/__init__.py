"""From the integer graph to Verilog: `write_design` and its options."""

from dwell.hls.rtl.options import STYLES, RtlOptions
from dwell.hls.rtl.support import SUPPORTED, check_supported
from dwell.hls.rtl.write import library_files, write_design

__all__ = ["STYLES", "SUPPORTED", "RtlOptions", "check_supported", "library_files", "write_design"]
