"""A design as a Verilated program that moves AXI4-Stream beats in bulk, in a process of its own."""

from dwell.sim.verilated.build import build_core
from dwell.sim.verilated.run import Core, CoreRun, Pauses, RunOptions, VerilatedCore, run_core

__all__ = [
    "Core",
    "CoreRun",
    "Pauses",
    "RunOptions",
    "VerilatedCore",
    "build_core",
    "run_core",
]
