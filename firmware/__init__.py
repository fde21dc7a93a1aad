"""Hand-written Verilog, boards, overlays and drivers."""
