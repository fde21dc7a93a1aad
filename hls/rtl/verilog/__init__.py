"""Names and pieces of Verilog that every printer shares."""
