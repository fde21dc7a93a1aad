"""What the passes of `simplify` share: the report, and putting a changed graph together again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from dwell.hls.qmodel.graph import Node, QModel
from dwell.hls.qmodel.types import Tensor
from dwell.hls.qmodel.validate import checked


@dataclass(frozen=True)
class Report:
    """What one pass did: how many of what, under plain names. Empty when it found nothing."""

    name: str
    counts: Mapping[str, int] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return any(self.counts.values())

    def __str__(self) -> str:
        done = ", ".join(f"{count} {what}" for what, count in self.counts.items() if count)
        return f"{self.name}: {done or 'nothing to do'}"


Result = tuple[QModel, Report]


def rebuilt(
    model: QModel,
    nodes: Iterable[Node],
    tensors: Mapping[str, Tensor] | None = None,
    *,
    output: str | None = None,
    renamed: Mapping[str, str] | None = None,
    altered: Iterable[str] = (),
) -> QModel:
    """`model` with other nodes and tensors, without what is neither read nor watched any more.

    `renamed` says under which name the codes of a tensor that has gone are found. Quantizers whose tensor
    has gone otherwise, or is among the `altered` ones that no longer carry the same codes, are dropped.
    """
    names = renamed or {}
    broken = set(altered)
    pairs = [(source, names.get(name, name)) for source, name in model.quantizers if name not in broken]
    last = model.output if output is None else output
    wanted = {last, model.input, *(name for _, name in pairs)}
    kept: list[Node] = []
    for node in reversed(tuple(nodes)):
        if node.output in wanted:
            kept.append(node)
            wanted.update(node.inputs)
    made = {node.output for node in kept}
    known = model.tensors if tensors is None else tensors
    return checked(
        replace(
            model,
            nodes=tuple(reversed(kept)),
            tensors={name: tensor for name, tensor in known.items() if name in made},
            output=last,
            quantizers=tuple(pair for pair in pairs if pair[1] in made),
        )
    )


def reading(node: Node, renamed: Mapping[str, str]) -> Node:
    """`node` with its inputs under their new names."""
    inputs = tuple(renamed.get(name, name) for name in node.inputs)
    return node if inputs == node.inputs else replace(node, inputs=inputs)


def free_name(wanted: str, taken: Iterable[str]) -> str:
    """`wanted`, or with a number behind it where that is taken."""
    used = set(taken)
    name, count = wanted, 1
    while name in used:
        count += 1
        name = f"{wanted}_{count}"
    return name
