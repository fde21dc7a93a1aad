"""The hand-written Verilog of the shell, and the register block generated from SystemRDL."""
