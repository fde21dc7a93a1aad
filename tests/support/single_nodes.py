"""Networks of one node."""

from __future__ import annotations

from typing import Any

from dwell.hls.qmodel import FixedPoint, QModel
from dwell.hls.qmodel.build import Builder


def one(kind: str, source: FixedPoint, width: int = 1, **given: Any) -> QModel:
    """A network of one node on a vector."""
    build = Builder()
    build.input("x", (width,), source)
    return build.finish("one", getattr(build, kind)("y", "x", **given))


CODES = FixedPoint(True, 5, 2)
