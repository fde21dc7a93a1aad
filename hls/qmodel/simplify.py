"""Passes that leave the function of a network as it is: the same output codes for every input.

Each pass takes a `QModel` and returns another (or the same) and a `Report` of what it did. `simplify` runs
them until none finds anything. What holds afterwards of names: nodes keep theirs; a quantizer whose tensor
has gone, or has lost channels, is dropped from `quantizers`, one whose codes are now found under another
name is kept under it. The input's type, the output's type, fraction, scale and offset stay.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from dwell.hls.qmodel.channels import prune_channels
from dwell.hls.qmodel.factors import fold_affine, tables_to_casts
from dwell.hls.qmodel.graph import Node, QModel, Recurrent
from dwell.hls.qmodel.layout import drop_idle_nodes, drop_side_branches, fold_moves, merge_moves, sink_moves
from dwell.hls.qmodel.narrow import narrow_types, trim_tables
from dwell.hls.qmodel.rewrite import Report
from dwell.hls.qmodel.validate import checked

__all__ = [
    "PASSES",
    "Pass",
    "Report",
    "drop_idle_nodes",
    "drop_side_branches",
    "fold_affine",
    "fold_moves",
    "merge_moves",
    "narrow_types",
    "prune_channels",
    "simplify",
    "simplify_bodies",
    "sink_moves",
    "tables_to_casts",
    "trim_tables",
]

Pass = Callable[[QModel], tuple[QModel, Report]]

#: In the order in which one makes work for the next. `tables_to_casts` is not among them: what it makes is
#: cheaper where tables are long, and dearer where they are short.
PASSES: tuple[Pass, ...] = (
    drop_side_branches,
    sink_moves,
    fold_moves,
    merge_moves,
    fold_affine,
    trim_tables,
    prune_channels,
    narrow_types,
    drop_idle_nodes,
)

#: Rounds are few: each takes away nodes, channels, steps or bits. This many is a bound, not an aim.
_MOST_ROUNDS = 50


def simplify(model: QModel, passes: Sequence[Pass] = PASSES) -> tuple[QModel, tuple[Report, ...]]:
    """Run `passes` round after round until none changes anything; the reports of all that did something."""
    reports: list[Report] = []
    for _ in range(_MOST_ROUNDS):
        found = False
        for one in passes:
            model, report = one(model)
            if report:
                reports.append(report)
                found = True
        if not found:
            break
    return simplify_bodies(model, passes, reports), tuple(reports)


def simplify_bodies(model: QModel, passes: Sequence[Pass], reports: list[Report]) -> QModel:
    """The same inside the bodies of `Recurrent`, whose inputs and outputs stay; reports are put into `reports`."""
    nodes: list[Node] = []
    for node in model.nodes:
        if isinstance(node, Recurrent):
            lean, found = simplify(node.body, passes)
            reports += [replace(report, name=f"{node.name}: {report.name}") for report in found]
            node = replace(node, body=lean) if found else node
        nodes.append(node)
    if all(a is b for a, b in zip(nodes, model.nodes, strict=True)):
        return model
    return checked(replace(model, nodes=tuple(nodes)))
