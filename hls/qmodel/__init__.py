"""The integer graph: types, interpreter, and its files."""

from dwell.hls.qmodel.graph import QModel
from dwell.hls.qmodel.ranges import Interval
from dwell.hls.qmodel.types import (
    MAX_WIDTH,
    Cast,
    Codes,
    Conv2D,
    Dense,
    FixedPoint,
    Flatten,
    Input,
    Node,
    Overflow,
    Relu,
    Reshape,
    Rounding,
    Tensor,
)

__all__ = [
    "MAX_WIDTH",
    "Cast",
    "Codes",
    "Conv2D",
    "Dense",
    "FixedPoint",
    "Flatten",
    "Input",
    "Interval",
    "Node",
    "Overflow",
    "QModel",
    "Relu",
    "Reshape",
    "Rounding",
    "Tensor",
]
