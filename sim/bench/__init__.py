"""cocotb benches of a design's outside: streams with pauses, protocol checks, clocks counted."""
