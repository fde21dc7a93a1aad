"""Simulation: the Verilated core in bulk, and cocotb benches of the whole design."""
