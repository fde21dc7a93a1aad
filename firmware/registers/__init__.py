"""The registers of the shell: from one SystemRDL source to Verilog, Python, C and a page of the docs."""
