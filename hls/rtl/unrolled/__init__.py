"""Style "unrolled": the whole network as one pipeline that takes a sample every clock."""

from dwell.hls.rtl.unrolled.build import build_unrolled

__all__ = ["build_unrolled"]
