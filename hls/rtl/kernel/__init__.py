"""Circuits as pipelined modules: one window, pixel or vector in, its result some clocks later."""
