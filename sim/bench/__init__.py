"""cocotb benches of a design's outside: AXI4-Stream sources and sinks with pauses, protocol checks, clocks counted."""
