"""Adder graphs, circuits and their pipelines."""

from __future__ import annotations

import numpy as np
import pytest
from alkaid.types import Op, QInterval
from hypothesis import given, settings
from hypothesis import strategies as st

from dwell.errors import InternalError
from dwell.hls.rtl.circuit import adders
from dwell.hls.rtl.circuit.adders import multiply
from dwell.hls.rtl.circuit.builder import CircuitBuilder, Constant, Range, ShiftAdd, operands
from dwell.hls.rtl.circuit.schedule import delay, pipeline


def random_span(rng: np.random.Generator) -> Range:
    lo = int(rng.integers(-40, 10))
    return Range(lo, lo + int(rng.integers(0, 60)), int(rng.integers(-3, 6)))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_matrix_products_are_exact(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, columns = int(rng.integers(1, 20)), int(rng.integers(1, 6))
    spans = [random_span(rng) for _ in range(rows)]
    matrix = rng.integers(-15, 16, (rows, columns)) * (rng.random((rows, columns)) < 0.7)
    builder = CircuitBuilder(spans)
    circuit = builder.finish(multiply(builder, builder.taps, matrix))
    taps = np.stack([rng.integers(s.lo, s.hi + 1, 300) for s in spans], axis=1)
    taps[0], taps[1] = [s.lo for s in spans], [s.hi for s in spans]
    frac = max(s.frac for s in spans)
    wanted = (taps << np.array([frac - s.frac for s in spans])) @ matrix
    got = circuit.evaluate(taps) << np.array([frac - s.range.frac for s in circuit.outputs])
    np.testing.assert_array_equal(got, wanted)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(1.0, 20.0))
def test_pipelines_keep_order_and_cutoff(seed: int, cutoff: float) -> None:
    rng = np.random.default_rng(seed)
    spans = [Range(0, 255)] * 12
    builder = CircuitBuilder(spans)
    circuit = builder.finish(multiply(builder, builder.taps, rng.integers(-7, 8, (12, 3))))
    arrival = [float(a) for a in rng.uniform(0, 1, 12)]
    plan = pipeline(circuit, cutoff, arrival)
    times: list[float] = []
    for index, node in enumerate(circuit.nodes):
        stage, start = plan.stage[index], 0.0
        for other in operands(node):
            if isinstance(circuit.nodes[other], Constant):
                continue
            assert plan.stage[other] <= stage
            if plan.stage[other] == stage:
                start = max(start, times[other])
        if not operands(node):
            start = arrival[getattr(node, "index", 0)]
        need = delay(node, circuit.ranges[index], [circuit.ranges[i] for i in operands(node)])
        assert start + need <= cutoff or start == 0 or need == 0
        times.append(start + need)
    assert plan.stages == 1 + max(plan.stage[s.node] for s in circuit.outputs)


def test_a_matrix_of_zeros_is_a_constant() -> None:
    builder = CircuitBuilder([Range(0, 15)] * 3)
    circuit = builder.finish(multiply(builder, builder.taps, np.zeros((3, 2), dtype=np.int64)))
    assert circuit.adders == 0
    assert circuit.evaluate(np.array([[1, 2, 3]])).tolist() == [[0, 0]]


def test_values_outside_their_interval_are_noticed() -> None:
    builder = CircuitBuilder([Range(0, 3), Range(0, 3)])
    circuit = builder.finish([builder.add(builder.taps[0], builder.taps[1], known=Range(0, 3))])
    with pytest.raises(InternalError, match="leaves its interval"):
        circuit.evaluate(np.array([[3, 3]]))


def test_bits_that_are_not_zero_are_not_dropped() -> None:
    builder = CircuitBuilder([Range(0, 3, 1), Range(0, 3, 1)])
    circuit = builder.finish([builder.add(builder.taps[0], builder.taps[1], known=Range(0, 3, 0))])
    assert isinstance(circuit.nodes[-1], ShiftAdd) and circuit.nodes[-1].drop == 1
    with pytest.raises(InternalError, match="loses bits"):
        circuit.evaluate(np.array([[1, 2]]))


@pytest.mark.parametrize("opcode", [2, 3, 6, 7, 8, 9, 10, 99])
def test_an_operation_without_a_primitive_is_named(opcode: int) -> None:
    builder = CircuitBuilder([Range(0, 3)])
    op = Op((0,), opcode, (0,), QInterval(0.0, 3.0, 1.0), 0.0, 0.0)
    with pytest.raises(InternalError, match=f"code {opcode}"):
        adders._node(builder, op, builder.taps, builder.taps)


def test_every_operation_of_a_sum_is_taken_over() -> None:
    span = QInterval(-8.0, 7.0, 1.0)
    ops = [
        (Op((), adders.INPUT, (0,), span, 0, 0), [5], 5),
        (Op((0,), adders.NEGATE, (), span, 0, 0), [5], -5),
        (Op((0, 0), adders.ADD, (2,), QInterval(-40.0, 35.0, 1.0), 0, 0), [5], 25),
        (Op((0, 0), adders.SUBTRACT, (1,), span, 0, 0), [-5], 5),
        (Op((0,), adders.ADD_CONSTANT, (-3, 0), span, 0, 0), [5], 2),
        (Op((), adders.CONSTANT, (6,), QInterval(6.0, 6.0, 1.0), 0, 0), [5], 6),
        (Op((0, 0, 0), adders.SUM, (0, 0, 1, 3, 0, 1), span, 0, 0), [5], 25),
    ]
    for op, taps, wanted in ops:
        builder = CircuitBuilder([Range(-8, 7)])
        signal = adders._node(builder, op, builder.taps, builder.taps)
        value = builder.finish([signal]).evaluate(np.array([taps]))[0, 0]
        assert value * 2.0**-signal.range.frac == wanted


def test_weights_beyond_the_solver_are_refused() -> None:
    builder = CircuitBuilder([Range(0, 3)])
    with pytest.raises(InternalError, match="24 bits"):
        multiply(builder, builder.taps, np.array([[1 << 24]]))
