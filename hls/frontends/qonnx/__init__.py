"""QONNX files, operator by operator, to the integer graph."""

from dwell.hls.frontends.qonnx.walk import read_qonnx

__all__ = ["read_qonnx"]
