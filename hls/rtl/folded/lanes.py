"""What follows the sums of a folded layer: activation and quantizer, on as many lanes as come out at a time.

A lane sees one channel after the other. Where all channels are treated alike a lane is a small circuit.
Where they differ, and the results have few steps, a lane searches in a memory of thresholds that the output
fold addresses. Else the results of all folds are gathered first, and every channel has its own circuit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from dwell.hls.qmodel import Affine, Cast, Clip, LeakyRelu, Node, Relu, Table, Tensor
from dwell.hls.rtl.circuit.builder import CircuitBuilder, Range
from dwell.hls.rtl.circuit.casts import Requantize, plan_cast
from dwell.hls.rtl.circuit.elementwise import apply_nodes
from dwell.hls.rtl.circuit.schedule import pipeline
from dwell.hls.rtl.folded.matrix import MatrixUnit, common_range
from dwell.hls.rtl.folded.steps import StepUnit, plan_steps
from dwell.hls.rtl.kernel.kernel import Kernel

Tensors = Mapping[str, Tensor]


@dataclass(frozen=True)
class Lanes:
    """What makes results of sums.

    `kernel` works on the PE sums of a fold, or on all of them where `gathered`; `steps` is a search in memory;
    with neither the sums are the results. `channels` are the intervals of the results, one for each channel.
    """

    kernel: Kernel | None
    steps: StepUnit | None
    gathered: bool
    channels: tuple[Range, ...]

    @property
    def latency(self) -> int:
        """Clocks from sums to results, gathering apart."""
        if self.steps is not None:
            return self.steps.latency
        return self.kernel.latency if self.kernel is not None else 0


def uniform(node: Node) -> bool:
    """Whether an element-wise node treats all channels alike."""
    if isinstance(node, Cast):
        return len(set(node.types)) == 1
    if isinstance(node, Table):
        return len(node.breaks) == 1
    if isinstance(node, Affine):
        return len(node.weight) == 1 and len(node.bias) == 1
    if isinstance(node, LeakyRelu):
        return len(node.slope) == 1
    return isinstance(node, Relu | Clip)


def plan_lanes(
    unit: MatrixUnit, nodes: Sequence[Node], tensors: Tensors, *, cutoff: float, any_weights: bool
) -> tuple[MatrixUnit, Lanes]:
    """The lanes for element-wise `nodes` after the sums of `unit`, which comes back with start values that
    round for a first cast.

    With `any_weights` a table that can be written is a memory, whether its channels are alike or not.
    """
    if not nodes:
        return unit, Lanes(None, None, False, unit.sums)
    alike = all(uniform(node) for node in nodes)
    written = any_weights and any(isinstance(node, Table) for node in nodes)
    if alike and not written:
        return _circuit(unit, nodes, tensors, cutoff)
    steps = plan_steps(unit, nodes, tensors, any_weights=any_weights)
    if steps is not None:
        return unit, Lanes(None, steps, False, steps.channels)
    return unit, _gathered(unit, nodes, tensors, cutoff)


def _circuit(
    unit: MatrixUnit, nodes: Sequence[Node], tensors: Tensors, cutoff: float
) -> tuple[MatrixUnit, Lanes]:
    unit, taken, rule = _rounding(unit, nodes)
    lanes = unit.folding.pe
    builder = CircuitBuilder([unit.sum_range] * lanes)
    signals = list(builder.taps)
    if rule is not None:
        cast, frac = rule
        signals = [builder.cast(s, cast, frac) for s in signals]
    signals = apply_nodes(builder, signals, nodes[taken:], tensors, [0] * lanes)
    circuit = builder.finish(signals)
    kernel = Kernel(nodes[0].name, type(nodes[0]).__name__, circuit, pipeline(circuit, cutoff, [0.0] * lanes))
    return unit, Lanes(kernel, None, False, (kernel.result[0],) * unit.folding.outputs)


def _rounding(
    unit: MatrixUnit, nodes: Sequence[Node]
) -> tuple[MatrixUnit, int, tuple[Requantize, int] | None]:
    """A first cast (and a clipping at zero before it) with what rounding adds moved into the start values.

    Also how many nodes that takes, and the rule that is left with the fraction of its result.
    """
    relu = isinstance(nodes[0], Relu)
    cast = nodes[int(relu)] if len(nodes) > int(relu) else None
    if not isinstance(cast, Cast) or cast.types[0].width == 0:
        return unit, 0, None
    span, kind = unit.sum_range, cast.types[0]
    plan = plan_cast(
        span.lo, span.hi, span.frac, kind,
        relu=relu, rounding=cast.rounding, overflow=cast.overflow, free_offset=True,
    )  # fmt: skip
    moved = replace(
        unit,
        offset=plan.offset,
        sums=tuple(Range(s.lo + plan.offset, s.hi + plan.offset, s.frac) for s in unit.sums),
    )
    return moved, int(relu) + 1, (plan.rule, kind.frac)


def _gathered(unit: MatrixUnit, nodes: Sequence[Node], tensors: Tensors, cutoff: float) -> Lanes:
    builder = CircuitBuilder(unit.sums)
    circuit = builder.finish(apply_nodes(builder, list(builder.taps), nodes, tensors))
    kernel = Kernel(
        nodes[0].name, type(nodes[0]).__name__, circuit, pipeline(circuit, cutoff, [0.0] * len(unit.sums))
    )
    return Lanes(kernel, None, True, kernel.result)


def result_range(lanes: Lanes) -> Range:
    """What any result can be, all channels at one binary point."""
    return common_range(lanes.channels)
