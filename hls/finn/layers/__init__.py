"""Layers that FINN has for Vitis HLS alone, in RTL of our own: forks, additions, maximum pooling.

`cell` (no FINN in it) prints the module that a graph instantiates; `fork`, `add` and `pool` are the layers as FINN
sees them and run in environment `finn`, as does `own`, which puts them in a graph.
"""
