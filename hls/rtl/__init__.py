"""From the integer graph to Verilog."""
