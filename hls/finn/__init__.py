"""FINN as a back end, without Vivado: Brevitas' QONNX to one Verilog top.

Modules of the `build` environment: `convert` (the whole way), `top`, `flatten`, `sizing`. Modules that import
FINN+ and run in the environment `finn`: `generate`, `graph`, `rules`, `stitch`, `novivado`.
"""
