"""Constant matrices as adder graphs: alkaid finds them, `resynthesis` improves them, `CircuitBuilder` takes them over.

alkaid's solver shares partial sums between outputs. Only its graph is used: its values carry intervals as
floats with a power-of-two step, which are codes here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dwell.errors import InternalError
from dwell.hls.rtl.circuit.builder import CircuitBuilder, Range, Signal
from dwell.hls.rtl.circuit.form_circuits import emit, read_forms
from dwell.hls.rtl.circuit.opcodes import ADD, ADD_CONSTANT, CONSTANT, INPUT, NEGATE, SUBTRACT, SUM
from dwell.hls.rtl.circuit.resynthesis import resynthesize

if TYPE_CHECKING:
    from alkaid.types import CombLogic, Op

#: Weights pass through float32 in alkaid's solver, intervals of sums through float64.
MOST_WEIGHT_BITS = 24
MOST_SUM_BITS = 50


def multiply(
    builder: CircuitBuilder, inputs: Sequence[Signal], matrix: npt.NDArray[np.int64]
) -> list[Signal]:
    """``inputs @ matrix`` as an adder graph; `matrix` is (inputs, outputs) of integer codes.

    Binary points: a product has those of its input. Raises `InternalError` on an operation that a matrix
    product should not need, or on weights beyond 24 bits.
    """
    if matrix.shape[0] != len(inputs):
        raise InternalError(f"{len(inputs)} inputs for a matrix of {matrix.shape[0]} rows")
    if int(np.abs(matrix).max(initial=0)).bit_length() > MOST_WEIGHT_BITS:
        raise InternalError(f"a weight of more than {MOST_WEIGHT_BITS} bits reached the adder-graph solver")
    live = [row for row, s in enumerate(inputs) if not s.range.constant and np.any(matrix[row])]
    fixed = [row for row, s in enumerate(inputs) if s.range.constant and s.range.lo]
    frac = max((s.range.frac for s in inputs), default=0)
    offsets = [
        sum(
            int(matrix[row, col]) * (inputs[row].range.lo << (frac - inputs[row].range.frac)) for row in fixed
        )
        for col in range(matrix.shape[1])
    ]
    if not live:
        return [builder.constant(code, frac) for code in offsets]
    sums = _sums(builder, matrix[live], [inputs[row] for row in live])
    return [builder.add_constant(s, code, frac) for s, code in zip(sums, offsets, strict=True)]


def _sums(builder: CircuitBuilder, matrix: npt.NDArray[np.int64], inputs: Sequence[Signal]) -> list[Signal]:
    """The solver's graph, improved where that is wanted; the same matrix over the same intervals is solved once."""
    spans = tuple(s.range for s in inputs)
    key = (matrix.tobytes(), matrix.shape, spans)
    if key not in builder.solved:
        graph = _solve(spans, matrix)
        read = read_forms(graph, spans) if builder.passes.resynthesize else None
        builder.solved[key] = (graph, read and (read[0], resynthesize(*read)))
    graph, improved = builder.solved[key]
    if improved is None:
        return _take_over(builder, graph, inputs)
    forms, outputs = improved
    return emit(builder, forms, outputs, inputs)


def _solve(spans: Sequence[Range], matrix: npt.NDArray[np.int64]) -> CombLogic:
    from alkaid.trace import FVArray, trace
    from alkaid.trace.ops import einsum

    step = np.array([2.0**-s.frac for s in spans])
    inputs = FVArray.from_lhs(
        np.array([s.lo for s in spans]) * step,
        np.array([s.hi for s in spans]) * step,
        step,
        hwconf=(1, 1, -1),
        # Depth within one level of the shallowest graph: pipeline registers and latency against sharing.
        # No tables: what one-bit inputs save in adders goes again in lookups.
        solver_options={"hard_dc": 1, "binary_lut": False},
    )
    outputs = einsum("i,io->o", inputs, matrix.astype(np.float64))
    return trace(inputs, outputs, keep_dead_inputs=True)


def _take_over(builder: CircuitBuilder, graph: CombLogic, inputs: Sequence[Signal]) -> list[Signal]:
    made: list[Signal] = []
    for op in graph.ops:
        made.append(_node(builder, op, made, inputs))
    results = []
    for index, up, minus in zip(graph.out_idxs, graph.out_shifts, graph.out_negs, strict=True):
        if index < 0:
            results.append(builder.constant(0, 0))
            continue
        signal = builder.rescaled(made[index], int(up))
        results.append(builder.negate(signal) if minus else signal)
    return results


def _node(builder: CircuitBuilder, op: Op, made: Sequence[Signal], inputs: Sequence[Signal]) -> Signal:
    if op.opcode == INPUT:
        index: int = op.data[0]
        return inputs[index]
    if op.opcode == CONSTANT:
        return _constant(builder, op)
    if op.opcode == NEGATE:
        return builder.negate(made[op.addr[0]])
    if op.opcode in (ADD, SUBTRACT):
        right = builder.rescaled(made[op.addr[1]], op.data[0])
        return builder.add(made[op.addr[0]], right, subtract=op.opcode == SUBTRACT, known=_interval(op))
    if op.opcode == ADD_CONSTANT:
        return builder.add_constant(made[op.addr[0]], op.data[0], op.data[1])
    if op.opcode == SUM:
        return _sum(builder, op, made)
    raise InternalError(
        f"the adder graph holds an operation of code {op.opcode}, which no primitive here does"
    )


def _sum(builder: CircuitBuilder, op: Op, made: Sequence[Signal]) -> Signal:
    """A sum of several terms, each with a sign and a shift: two at a time."""
    terms = [
        (bool(op.data[2 * i]), builder.rescaled(made[address], op.data[2 * i + 1]))
        for i, address in enumerate(op.addr)
    ]
    terms.sort(key=lambda term: not term[0])  # what is added first, then what is subtracted
    plus, total = terms[0]
    if not plus:
        total = builder.negate(total)
    for plus, term in terms[1:]:
        total = builder.add(total, term, subtract=not plus)
    return total


def _interval(op: Op) -> Range:
    """alkaid's interval, which knows more than the operands tell (``x + y - x`` is no wider than `y`)."""
    frac = -round(math.log2(op.qint.step))
    return Range(_code(op.qint.min, op.qint.step), _code(op.qint.max, op.qint.step), frac)


def _constant(builder: CircuitBuilder, op: Op) -> Signal:
    code: Any = op.data[0]
    return builder.constant(int(code), -round(math.log2(op.qint.step)) if code else 0)


def _code(value: float, step: float) -> int:
    code = value / step
    if code != round(code):
        raise InternalError(f"the adder graph has a bound {value} that is no multiple of its step {step}")
    return round(code)
