"""Which passes make a circuit smaller. Each keeps every result; all are on unless a bench asks for less."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Passes:
    """`simplify`: of the graph, before anything is lowered (`dwell.hls.qmodel.simplify`). `resynthesize`: partial
    sums shared again by `resynthesis.py` after the solver. `fuse`: sums of three by `fusion.py`."""

    simplify: bool = True
    resynthesize: bool = True
    fuse: bool = True


#: What the solver alone gives.
NO_PASSES = Passes(False, False, False)
